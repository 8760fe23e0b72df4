"""One command from settings to a folder of results."""

from __future__ import annotations

import importlib
import importlib.util
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from attnzoo import registry
from attnzoo.errors import UserError
from attnzoo.files import Held, held, remove, replacing, sweep
from attnzoo.models.methods import Method
from attnzoo.tables.clips import write_data
from attnzoo.tables.costs import measure_costs
from attnzoo.tables.folder import (
    PROTOCOL,
    WORK,
    check_same_protocol,
    described,
    reuse,
    stands,
    write_error,
    write_json,
)
from attnzoo.tables.jobs import Job, compose, jobs_of
from attnzoo.tables.progress import Progress
from attnzoo.tables.search import search_jobs, write_choice
from attnzoo.tables.settings import Settings
from attnzoo.tables.work import run_job
from attnzoo.tables.workers import Outcome, Task, Workers

GRID, GROUP = 32, 4
"""Cells of a side and frames of a group in the figure of alignment: the finest latents, size 4."""
REPORT = "attnzoo.report"
LOCK = ".lock"


def run(settings: Settings) -> bool:
    """Runs what is not there yet; whether all succeeded.

    Raises:
        UserError: bad input, before anything is run.
    """
    if settings.reuse is not None:
        check_same_protocol(settings.reuse, settings.protocol.hash())
    jobs = (search_jobs if settings.search else jobs_of)(settings.protocol, settings.cells)
    mine = _share(jobs, settings.part)
    _check_writable(settings.out)
    with _alone(settings.out, shared=settings.part is not None):
        failed = (_search if settings.search else _run_tables)(settings, mine)
        _tidy(settings, failed)
    # A setting of a search that fails is one that is not chosen.
    return settings.search or not failed


def _run_tables(settings: Settings, mine: Sequence[Job]) -> list[Outcome]:
    about = described(
        settings.out,
        settings.protocol,
        settings.tables,
        settings.command,
        part=settings.part is not None,
    )
    write_json(settings.out / PROTOCOL, about)
    said = Progress()
    if settings.reuse is not None:
        for job in mine:
            if not stands(settings.out, job):
                reuse(settings.out, settings.reuse, job)
    failed = _run_jobs(settings, mine, said)
    if settings.part is None:
        costs = measure_costs(
            settings.out, settings.protocol, settings.cells, settings.plugins, said
        )
        failed += costs
        _pictures(settings)
        if any(stands(settings.out, job) for job in mine):
            _report(settings.out, said)
        else:
            said.say("no run has a record, so there is no report")
    print(f"{settings.out}: {len(mine)} runs of {len(settings.cells)} cells, {_told(failed)}")
    return failed


def _search(settings: Settings, mine: Sequence[Job]) -> list[Outcome]:
    failed = _run_jobs(settings, mine, Progress())
    if settings.part is None:
        for cell, chosen in write_choice(settings.out, settings.protocol, settings.cells).items():
            print(cell, *(f"{key}={value}" for key, value in chosen.items()))
    print(f"{settings.out / 'search'}: {len(mine)} settings tried, {_told(failed)}")
    return failed


def _share(jobs: Sequence[Job], part: tuple[int, int] | None) -> list[Job]:
    number, count = part or (0, 1)
    return list(jobs[number::count])


def _run_jobs(settings: Settings, jobs: Sequence[Job], said: Progress) -> list[Outcome]:
    """Does the jobs that do not stand; returns what failed, which is written in its place."""
    out = settings.out
    left = [job for job in jobs if not stands(out, job)]
    # The log lies beside the working folder: that of a finished run goes.
    tasks = {
        Task(job.name, out / WORK / f"{job.key}.log", run_job, (out, job)): job for job in left
    }
    said.begin("runs", list(tasks), settings.workers)
    if len(left) < len(jobs):
        said.say(f"{len(jobs) - len(left)} of {len(jobs)} runs are there already")
    failed = []
    with Workers(settings.workers, settings.threads, settings.plugins) as workers:
        for outcome in workers.do(list(tasks), said.tick):
            said.done(outcome)
            job = tasks[outcome.task]
            if outcome.kind is None:
                outcome.task.log.unlink(missing_ok=True)
            else:
                write_error(out, job, outcome.kind, outcome.said)
                failed.append(outcome)
    return failed


def _pictures(settings: Settings) -> None:
    """The clips of the data, what alignment does to them, and what a token sees."""
    from attnzoo.testing.alignment import aligned_clips, draw

    (settings.out / "figures").mkdir(exist_ok=True)
    _fields(settings)
    protocol = settings.protocol
    composed = compose("settings", protocol.settings)
    first = protocol.seeds[0] * protocol.clips
    clips = [composed.source.test[i] for i in range(first, first + protocol.clips)]
    write_data(settings.out / "clips", clips)
    if all(clip.flow is not None for clip in clips):
        grid = min(GRID, composed.source.size // 2)
        aligned = [aligned_clips(clip.name, [clip], grid=grid, group=GROUP) for clip in clips[:4]]
        path = settings.out / "figures" / "align.png"
        with replacing(path) as beside:
            draw(aligned, beside)


def _fields(settings: Settings) -> None:
    """What a token sees by the first cell of each built-in variant, to be drawn without torch."""
    from attnzoo.testing.receptive_field import save

    seen: dict[str, tuple[str, dict[str, Any]]] = {}
    known: set[str] = set()
    for name in settings.cells:
        overrides = settings.protocol.overrides(name, settings.protocol.seeds[0])
        experiment = compose(name, overrides).experiment
        entry = registry.get(experiment.variant)
        if entry.built_in and entry.name not in known and experiment.method is Method.video:
            known.add(entry.name)
            label = settings.protocol.cells[name].label
            seen[label] = (entry.name, experiment.options)
    if seen:
        save(settings.out / "figures" / "figure3.npz", seen)


def _report(folder: Path, said: Progress) -> None:
    """The report, where this package has one: it reads the folder alone."""
    if importlib.util.find_spec(REPORT) is None:
        return
    said.say(f"making the report of {folder}")
    importlib.import_module(REPORT).make(folder)


def _told(failed: Sequence[Outcome]) -> str:
    if not failed:
        return "all done"
    return f"{len(failed)} failed: " + "; ".join(outcome.task.name for outcome in failed)


def _tidy(settings: Settings, failed: Sequence[Outcome]) -> None:
    """Deletes unfinished runs of earlier settings, unless something may still go on from there."""
    if settings.part is None and not failed:
        remove(settings.out / WORK)


@contextmanager
def _alone(folder: Path, *, shared: bool) -> Iterator[None]:
    """Keeps two commands from working at the same runs; parts of one share the folder."""
    try:
        with held(folder / LOCK, shared=shared):
            (folder / WORK).mkdir(exist_ok=True)
            if not shared:
                for place in (p for p in folder.rglob("*") if p.is_dir()):
                    sweep(place)
                sweep(folder)
            yield
    except Held as error:
        raise UserError(f"out={folder}: another command is at work there") from error


def _check_writable(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise UserError(f"out={folder}: cannot be written ({error.strerror})") from error
