"""Ctrl-C and SIGTERM, which ask a process to stop: who gets them for a while."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

ASKING = (signal.SIGINT, signal.SIGTERM)

Handlers = dict[signal.Signals, Any]


def give_to(handler: Any) -> Handlers:
    """Both go to `handler`, but one that is ignored, as a shell has it; says who had them.

    Outside the main thread, which alone has handlers, nothing changes.
    """
    if threading.current_thread() is not threading.main_thread():
        return {}
    heard = [one for one in ASKING if signal.getsignal(one) is not signal.SIG_IGN]
    return {one: signal.signal(one, handler) for one in heard}


def give_back(before: Handlers) -> None:
    """To who had them."""
    for number, handler in before.items():
        signal.signal(number, signal.SIG_DFL if handler is None else handler)


@contextmanager
def left_to_the_system() -> Iterator[None]:
    """Meanwhile either ends the process, also in the middle of what is not Python's."""
    before = give_to(signal.SIG_DFL)
    try:
        yield
    finally:
        give_back(before)
