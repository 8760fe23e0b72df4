"""A worker process that is killed, as by a system that is short of memory."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

from jobs import Job, cold_workers
from rounds import Round

from kinds.fault import Fault

SPAWNED = b"--multiprocessing-fork"
"""Stands in the command line of a spawned worker; that of the resource tracker is another."""


def _workers(pid: int) -> list[int]:
    """The forks of a process, and those that it has spawned; not what else it has started."""
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        return [int(one) for one in children if _line(one) == _line(pid) or SPAWNED in _line(one)]
    except OSError:
        return []


def _line(pid: int | str) -> bytes:
    return Path(f"/proc/{pid}/cmdline").read_bytes()


def _killed(round: Round, cold: bool) -> None:
    """At any moment from its first worker on."""
    round.history()
    child = round.start(before=cold_workers if cold else None)
    while child.alive() and not _workers(child.pid):
        time.sleep(0.005)
    left = round.reference.seconds - (time.monotonic() - child.began)
    round.pause(child, round.random.uniform(0.0, 0.9) * max(left, 0.0))
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
    Fault("worker", lambda round: _killed(round, False), rounds=8, fits=_fits),
    Fault("worker-cold", lambda round: _killed(round, True), rounds=4, fits=_fits),
)
