"""One line on the standard error: what is at work, how much is done, how long the rest takes."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Sequence
from typing import TextIO

from attnzoo.tables.workers import Outcome, Task

EVERY_S = 60.0
"""In a log file each line stays: not more often than this."""


class Progress:
    """Of one command; a new part of it begins with `begin`."""

    def __init__(self, stream: TextIO | None = None) -> None:
        """stream: the standard error as it is now, if None."""
        self.stream = stream or sys.stderr
        self.seconds: dict[str, list[float]] = {}
        self.left: list[Task] = []
        self.total, self.workers, self.what = 0, 1, ""
        self._last = 0.0

    def begin(self, what: str, tasks: Sequence[Task], workers: int) -> None:
        """So many tasks, so many at a time."""
        self.what, self.left, self.workers = what, list(tasks), workers
        self.total, self.seconds, self._last = len(tasks), {}, 0.0

    def tick(self, busy: Sequence[tuple[Task, float]]) -> None:
        """Shows the line, with the tasks at work and their seconds so far."""
        live = self.stream.isatty()
        now = time.monotonic()
        if not live and now - self._last < EVERY_S and self._last:
            return
        self._last = now
        line = self.line(busy)
        if live:
            width = shutil.get_terminal_size().columns - 1
            self.stream.write(f"\r{line[:width]:<{width}}")
        else:
            self.stream.write(f"{line}\n")
        self.stream.flush()

    def line(self, busy: Sequence[tuple[Task, float]]) -> str:
        """`cells 12/51, none, seed 1 (40 s); 34 minutes left`."""
        names = "; ".join(f"{task.name} ({seconds:.0f} s)" for task, seconds in busy)
        done = f"{self.what} {self.total - len(self.left)}/{self.total}"
        return f"{done}, {self._remaining(busy)}, at work: {names or 'nothing'}"

    def _remaining(self, busy: Sequence[tuple[Task, float]]) -> str:
        known = [seconds for several in self.seconds.values() for seconds in several]
        if not known:
            return "time left unknown"
        mean = sum(known) / len(known)
        begun = {id(task): seconds for task, seconds in busy}
        rest = sum(
            max(0.0, self._expected(task, mean) - begun.get(id(task), 0.0)) for task in self.left
        )
        return f"about {rest / self.workers / 60:.0f} min left"

    def _expected(self, task: Task, mean: float) -> float:
        """As long as the same cell took with another seed, or the mean of all."""
        own = self.seconds.get(_cell(task))
        return sum(own) / len(own) if own else mean

    def done(self, outcome: Outcome) -> None:
        """One task less; a failure gets a line that stays."""
        self.left = [task for task in self.left if task is not outcome.task]
        self.seconds.setdefault(_cell(outcome.task), []).append(outcome.seconds)
        if outcome.kind is not None:
            self.say(f"{outcome.task.name}: failed: {outcome.kind}: {outcome.said}")

    def say(self, text: str) -> None:
        """A line that stays."""
        if self.stream.isatty():
            self.stream.write("\r\033[K")
        self.stream.write(" ".join(text.split()) + "\n")
        self.stream.flush()


def _cell(task: Task) -> str:
    return task.name.partition(",")[0]
