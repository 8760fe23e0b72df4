"""Signals that ask to stop wait while a process is started, so that none is started unseen."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from attnzoo.signals import give_back, give_to


@contextmanager
def undisturbed() -> Iterator[None]:
    """The first Ctrl-C or SIGTERM inside takes effect at the end; a second one ends the process.

    A handler's exception in the middle of starting a process leaves one that nobody knows of, and
    so nobody ends.
    """
    came: list[int] = []

    def wait(number: int, frame: FrameType | None) -> None:
        came.append(number)
        give_to(signal.SIG_DFL)

    before = give_to(wait)
    try:
        yield
    finally:
        give_back(before)
        for number in came:
            signal.raise_signal(number)
