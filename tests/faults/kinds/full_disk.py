"""A disk that is full: a small file system in memory, then a file-size limit."""

from __future__ import annotations

import math
import os
import resource

from jobs import OUT
from rounds import Round

from kinds import mounts
from kinds.fault import Fault

LARGE = "size=1g"
PAGE = resource.getpagesize()
"""What a file system in memory counts in."""
SAYS = ("No space left", "File too large", "could not be written")


def full(round: Round) -> None:
    """The folder of results has some pages less than it needs, or a few more, and then plenty."""
    written = [p.stat().st_size for p in (round.reference.folder / OUT).rglob("*") if p.is_file()]
    most = 1.5 * sum(math.ceil(size / PAGE) for size in written)
    size = PAGE * int(math.exp(round.random.uniform(0, math.log(max(most, 2)))))
    with mounts.mounted(round.out, LARGE):
        round.history()
        there = os.statvfs(round.out)
        size += (there.f_blocks - there.f_bfree) * there.f_frsize
        mounts.remount(round.out, f"size={size}")
        status = round.ended(round.start())
        _told(round, status)
        round.look()
        mounts.remount(round.out, LARGE)
        round.finish()


def limited(round: Round) -> None:
    """No file may grow beyond some size: the error comes in the middle of a write."""
    round.history()
    largest = max(p.stat().st_size for p in round.reference.folder.rglob("*") if p.is_file())
    size = int(math.exp(round.random.uniform(math.log(1024), math.log(largest))))

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))

    status = round.ended(round.start(before=limit))
    _told(round, status)
    round.look()
    round.finish()


def _told(round: Round, status: int) -> None:
    """Either it was enough, or it says what was not."""
    if status == 0:
        round.check_end()
        return
    round.lacked(status, *SAYS)


FAULTS = (
    Fault("full-disk", full, rounds=3, possible=mounts.possible),
    Fault("file-size", limited, rounds=1),
)
