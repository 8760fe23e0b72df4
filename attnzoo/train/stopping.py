"""The first Ctrl-C or SIGTERM asks training to stop at its next step, a second stops at once."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType

from attnzoo.signals import ASKING, Handlers, give_back, give_to


class Stopping:
    """Whether somebody wants training to stop; `wanted` is the signal's number."""

    def __init__(self, launched: bool = False) -> None:
        """Nobody does yet.

        launched: whether a launcher passes on what it gets. It may send SIGTERM to processes that
        have got SIGINT before; so then only a second one of a kind stops at once.
        """
        self.wanted: int | None = None
        self._launched = launched
        self._before: Handlers = {}

    @contextmanager
    def listening(self, says: bool = True) -> Iterator[None]:
        """Takes both signals meanwhile, where they can be had: in a process's main thread.

        says: whether the first one is answered on the standard error.
        """

        def asked(number: int, frame: FrameType | None) -> None:
            first, self.wanted = self.wanted is None, self.wanted or number
            # To whoever had them: the next one stops at once.
            self._give_back(*([number] if self._launched else ASKING))
            if says and first:  # unbuffered: a signal may come while something else is printed
                name = signal.Signals(number).name
                text = f"\n{name}: saving at the end of this step; once more stops at once\n"
                with suppress(OSError):  # whoever read it got the signal, too, and is gone
                    os.write(2, text.encode())

        self._before = give_to(asked)
        try:
            yield
        finally:
            self._give_back(*ASKING)

    def _give_back(self, *numbers: int) -> None:
        mine = [number for number in map(signal.Signals, numbers) if number in self._before]
        give_back({number: self._before.pop(number) for number in mine})

    def error(self) -> BaseException:
        """What the signal is as an exception, by Python's habit and a shell's."""
        if self.wanted == signal.SIGTERM:
            return SystemExit(128 + signal.SIGTERM)
        return KeyboardInterrupt()
