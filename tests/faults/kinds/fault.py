"""What a kind of fault is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from jobs import Job
from rounds import Round


@dataclass(frozen=True)
class Fault:
    """A way to go wrong.

    name: on the command line and in the table; play: does it to a round's job and checks what
    comes of it; rounds: of each job, in the long run; fits: which jobs it is done to; possible:
    raises OSError with the reason where this machine does not allow it, which is a failure.
    """

    name: str
    play: Callable[[Round], None]
    rounds: int
    fits: Callable[[Job], bool] = lambda job: job.everyday
    possible: Callable[[], None] = lambda: None
