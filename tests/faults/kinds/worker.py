"""A worker process that is killed, as by a system that is short of memory."""

from __future__ import annotations

import os
import signal
from pathlib import Path

from jobs import Job, cold_workers
from rounds import Round

from kinds.fault import Fault


def _workers(pid: int) -> list[int]:
    """The children of a process."""
    try:
        return list(map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split()))
    except OSError:
        return []


def _killed(round: Round, cold: bool) -> None:
    child = round.start(before=cold_workers if cold else None)
    round.pause(child, round.moment())
    workers = _workers(child.pid)
    if workers and child.alive():
        os.kill(round.random.choice(workers), signal.SIGKILL)
        round.faults += 1
    round.ended(child, 0)
    round.check_end()
    round.finish()


def _fits(job: Job) -> bool:
    return job.everyday and job.workers


FAULTS = (
    Fault("worker", lambda round: _killed(round, False), rounds=3, fits=_fits),
    Fault("worker-cold", lambda round: _killed(round, True), rounds=1, fits=_fits),
)
