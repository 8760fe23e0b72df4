"""One bit of what a job reads back, caches and checkpoints: found by a checksum, and told."""

from __future__ import annotations

import signal
import time
from pathlib import Path

from jobs import Job
from rounds import Round

from kinds.fault import Fault

MOST = 4
"""Entries of one round."""


def flip(path: Path, place: int) -> None:
    """Turns over one bit of a file, counted from its start."""
    content = bytearray(path.read_bytes())
    content[place // 8] ^= 1 << place % 8
    path.write_bytes(bytes(content))


def in_the_cache(round: Round) -> None:
    """The entry is made again, with a notice that names it, and the numbers are right."""
    round.ended(round.start(), 0)
    assert round.job.entries is not None
    entries = sorted(p for p in round.folder.glob(round.job.entries) if p.is_file())
    round.expect(bool(entries), "there is no cache")
    for path in round.random.sample(entries, min(len(entries), MOST)):
        before = path.read_bytes()
        flip(path, round.random.randrange(8 * len(before)))
        round.faults += 1
        round.ended(round.start(), 0)
        round.expect(path.name in round.said, f"{path.name} is not named: {round.said[-300:]}")
        round.expect(path.read_bytes() == before, f"{path.name} was not made again")
    round.check_end()


def in_a_checkpoint(round: Round) -> None:
    """The one before is taken, and the run ends as the uninterrupted one."""
    child = round.start()
    while child.alive() and len(list(round.out.glob("checkpoints/stage*"))) < 2:
        time.sleep(0.002)
    round.pause(child, round.random.uniform(0.0, 0.2) * round.reference.seconds)
    child.send(signal.SIGKILL)
    round.ended(child, -signal.SIGKILL, 0)
    round.look()
    if round.job.has_checkpoint(round.out):
        checkpoints = sorted(round.out.glob("checkpoints/stage*"))
        path = round.random.choice([p for p in sorted(checkpoints[-1].iterdir()) if p.is_file()])
        flip(path, round.random.randrange(8 * path.stat().st_size))
        round.faults += 1
        if len(checkpoints) == 1:
            round.forget(path)
        round.ended(round.start(), 0)
        round.expect(checkpoints[-1].name in round.said, f"not told of {path}: {round.said[-300:]}")
    round.finish()


def _caches(job: Job) -> bool:
    return job.everyday and job.entries is not None


def _checkpoints(job: Job) -> bool:
    return job.name == "train"


FAULTS = (
    Fault("bit-in-cache", in_the_cache, rounds=2, fits=_caches),
    Fault("bit-in-checkpoint", in_a_checkpoint, rounds=3, fits=_checkpoints),
)
