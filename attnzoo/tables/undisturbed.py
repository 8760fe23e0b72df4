"""Signals that ask to stop wait while a process is started, so that none is started unseen."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

SIGNALS = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def undisturbed() -> Iterator[None]:
    """The first Ctrl-C or SIGTERM inside takes effect at the end; a second one ends the process.

    A handler's exception in the middle of starting a process leaves one that nobody knows of, and
    so nobody ends. Outside the main thread, which alone has handlers, nothing changes.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[int] = []

    def wait(number: int, frame: FrameType | None) -> None:
        came.append(number)
        for one in before:
            signal.signal(one, signal.SIG_DFL)

    heard = [one for one in SIGNALS if signal.getsignal(one) is not signal.SIG_IGN]
    before: dict[signal.Signals, Any] = {}
    for one in heard:
        before[one] = signal.signal(one, wait)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
        for signum in came:
            signal.raise_signal(signum)
