"""Killed where it matters: at an operation on a file, and in the middle of a write."""

from __future__ import annotations

import math
import os
import resource
import signal
import sys
from collections.abc import Callable
from typing import Any

from jobs import COVERAGE
from rounds import Round

from kinds.fault import Fault

CHANGES = (
    "os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.truncate", "os.link", "os.symlink",
    "shutil.rmtree", "shutil.move", "shutil.copyfile",
)  # fmt: skip
SMALLEST = 64
KILLS = 2


def killed_at(number: int) -> Callable[[], None]:
    """To be called in the command: all its processes die at its `number`-th change of a file.

    A change is what Python's audit events tell of: a file opened to be written, made, renamed or
    deleted below the working directory. A worker process counts on from what it was forked with.
    """

    def install() -> None:
        here, count = os.getcwd(), 0

        def hook(event: str, arguments: tuple[Any, ...]) -> None:
            nonlocal count
            if event == "open":
                path, mode, flags = arguments
                changes = bool(flags & (os.O_WRONLY | os.O_RDWR)) or "w" in str(mode)
            else:
                path, changes = arguments[0] if arguments else "", event in CHANGES
            if not changes or not isinstance(path, str | os.PathLike):
                return
            if os.path.abspath(path).startswith(here + os.sep):
                count += 1
                if count == number:
                    os.killpg(0, signal.SIGKILL)

        sys.addaudithook(hook)

    return install


def at_a_change(round: Round) -> None:
    """Early ones in some rounds, late ones in others; one that never comes is no fault."""
    for _ in range(KILLS):
        number = int(math.exp(round.random.uniform(0.0, math.log(80))))
        _killed(round, killed_at(number), -signal.SIGKILL)
    round.finish()


def in_the_middle(round: Round) -> None:
    """By a limit to the size of a file, whose signal kills: after so many bytes, in any library."""
    for _ in range(KILLS):
        largest = max(p.stat().st_size for p in round.reference.folder.rglob("*") if p.is_file())
        size = int(math.exp(round.random.uniform(math.log(SMALLEST), math.log(largest))))

        def limit(size: int = size) -> None:
            signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
            resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))

        # A worker that dies of it is a cell that has failed.
        _killed(round, limit, -signal.SIGXFSZ, *((1,) if round.job.workers else ()))
    round.finish()


def _killed(round: Round, before: Callable[[], None], *statuses: int) -> None:
    child = round.start(before=before)
    status = round.ended(child, *statuses, 0)
    round.faults += status != 0
    round.look()


FAULTS = (
    Fault("kill-at-change", at_a_change, rounds=3),
    Fault("kill-in-write", in_the_middle, rounds=2),
    Fault("kill-in-write", in_the_middle, rounds=1, fits=lambda job: job is COVERAGE),
)
