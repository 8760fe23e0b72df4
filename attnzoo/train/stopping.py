"""The first Ctrl-C or SIGTERM asks training to stop at its next step, a second stops at once."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Stopping:
    """Whether somebody wants training to stop; `wanted` is the signal's number."""

    def __init__(self, launched: bool = False) -> None:
        """Nobody does yet.

        launched: whether a launcher passes on what it gets. It may send SIGTERM to processes that
        have got SIGINT before; so then only a second one of a kind stops at once.
        """
        self.wanted: int | None = None
        self._launched = launched
        self._before: dict[signal.Signals, Any] = {}

    @contextmanager
    def listening(self, says: bool = True) -> Iterator[None]:
        """Takes both signals meanwhile, where they can be had: in a process's main thread.

        says: whether the first one is answered on the standard error.
        """
        if threading.current_thread() is not threading.main_thread():
            yield
            return

        def asked(number: int, frame: FrameType | None) -> None:
            first, self.wanted = self.wanted is None, self.wanted or number
            # To whoever had them: the next one stops at once.
            self._give_back(*([number] if self._launched else SIGNALS))
            if says and first:  # unbuffered: a signal may come while something else is printed
                name = signal.Signals(number).name
                text = f"\n{name}: saving at the end of this step; once more stops at once\n"
                with suppress(OSError):  # whoever read it got the signal, too, and is gone
                    os.write(2, text.encode())

        self._before = {
            number: signal.signal(number, asked)
            for number in SIGNALS
            if signal.getsignal(number) is not signal.SIG_IGN
        }
        try:
            yield
        finally:
            self._give_back(*SIGNALS)

    def _give_back(self, *numbers: int) -> None:
        for number in numbers:
            if number in self._before:
                handler = self._before.pop(signal.Signals(number))
                signal.signal(number, handler if handler is not None else signal.SIG_DFL)

    def error(self) -> BaseException:
        """What the signal is as an exception, by Python's habit and a shell's."""
        if self.wanted == signal.SIGTERM:
            return SystemExit(128 + signal.SIGTERM)
        return KeyboardInterrupt()
