"""A file cut off at any byte, as by a disk that failed: seen, and made again or refused by name."""

from __future__ import annotations

import os
import shutil
import signal
import time
from contextlib import suppress
from pathlib import Path

from checking import final_files
from jobs import CACHE, SAMPLE, Job
from rounds import Round

from kinds.fault import Fault

LOOKED_AT = (".png", ".svg", ".mp4", ".html", ".csv", ".md", ".tex")
"""What people look at, and no command reads: cut off, it may stay so until it is deleted."""


def unfinished(round: Round) -> None:
    """Of a job that was killed, a file of what it goes on from."""
    child = round.start()
    round.pause(child, round.moment())
    while child.alive() and not _files(round):  # some jobs write all of it at their end
        time.sleep(0.001)
    child.send(signal.SIGKILL)
    round.ended(child, -signal.SIGKILL, 0)
    round.look()
    _cut(round)


def finished(round: Round) -> None:
    """Of a job that is done."""
    round.ended(round.start(round.job.arguments), 0)
    round.look()
    _cut(round)


def _files(round: Round) -> list[Path]:
    """What may be cut off: final files that hold something, but for what was printed."""
    folders = [place for place in (round.out, round.folder / CACHE) if place.exists()]
    found = []
    for path in (path for place in folders for path in final_files(place)):
        if path.name in ("log", "lock") or path.suffix == ".log":
            continue
        with suppress(FileNotFoundError):  # the job may be at work
            found += [path] if path.stat().st_size else []
    return found


def _cut(round: Round) -> None:
    files = _files(round)
    if not files:
        round.finish()
        return
    path = round.random.choice(files)
    os.truncate(path, round.random.randrange(path.stat().st_size))
    round.faults += 1
    refused_or_right(round, path)


def refused_or_right(round: Round, path: Path) -> None:
    """After `path` was damaged: the job ends as it should, or refuses and names the file.

    A file that is only looked at by people (a picture, a table) is made again when it is gone.
    """
    name = str(path.relative_to(round.folder))
    round.forget(path)
    status = round.ended(round.start())
    if status == 0 and not round.damaged():
        round.check_end()
        return
    if status != 0:
        told = str(path) in round.said or name in round.said or path.name in round.said
        round.expect(status == 2 and told, f"{name} is damaged; {status}: {round.said[-300:]}")
    else:
        round.expect(path.suffix in LOOKED_AT, f"{name} is cut off, and nobody has noticed")
    if path.name == "config.yaml" or (round.out / "record.json").exists():
        shutil.rmtree(round.out)  # a run's own folder: of a finished one no part is made again
        round.forget()
    else:
        if {"clips", "curves"} & set(path.parts):
            round.forget()  # the run of its cell is made again
        path.unlink(missing_ok=True)
    round.job.inputs(round.folder)
    round.finish()


def _fits(job: Job) -> bool:
    """Samples are made in a new folder each time."""
    return job.everyday and job is not SAMPLE


FAULTS = (
    Fault("truncated", unfinished, rounds=3, fits=_fits),
    Fault("truncated-done", finished, rounds=2, fits=_fits),
)
