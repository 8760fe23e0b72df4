"""One command from settings to a folder of results."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from attnzoo import commands, registry
from attnzoo.errors import UserError
from attnzoo.files import Held, held, remove, replacing, sweep
from attnzoo.models.methods import Method
from attnzoo.paths import make_writable
from attnzoo.report import make as make_report
from attnzoo.report.page import LOCK as REPORT_LOCK
from attnzoo.tables.clips import write_data
from attnzoo.tables.costs import measure_costs
from attnzoo.tables.floor import write_floor
from attnzoo.tables.folder import (
    WORK,
    made_key,
    reuse,
    stands,
    working,
    write_error,
    write_json,
)
from attnzoo.tables.jobs import Job, compose, jobs_of
from attnzoo.tables.joining import PROTOCOL, check_same_protocol, described, joined
from attnzoo.tables.progress import Progress
from attnzoo.tables.protocol import Protocol
from attnzoo.tables.search import check_there, search_jobs, write_choice
from attnzoo.tables.settings import Settings
from attnzoo.tables.work import run_job
from attnzoo.tables.workers import Outcome, Task, Workers

GRID, GROUP = 32, 4
"""Cells of a side and frames of a group in the figure of alignment: the finest latents, size 4."""
FIGURED = ("table1", "table2", "table3")
"""The tables whose variants are in the figure of what a token sees."""
LOCK = ".lock"


def run(settings: Settings) -> bool:
    """Runs what is not there yet; whether all succeeded.

    Raises:
        UserError: bad input, before anything is run.
    """
    if settings.reuse is not None:
        check_same_protocol(settings.reuse, settings.protocol.hash())
    if settings.search:
        check_there(settings.out)
    else:
        joined(settings.out, settings.protocol, settings.tables)
    jobs = (search_jobs if settings.search else jobs_of)(settings.protocol, settings.cells)
    mine = _share(jobs, settings.part)
    make_writable(settings.out, f"out={settings.out}")
    with _alone(settings.out, settings.part, jobs):
        failed = (_search if settings.search else _run_tables)(settings, mine)
        _tidy(settings, mine)
    # A setting of a search that fails by itself is one that is not chosen.
    return not any(outcome.passing for outcome in failed) if settings.search else not failed


def _run_tables(settings: Settings, mine: Sequence[Job]) -> list[Outcome]:
    whole, tables = joined(settings.out, settings.protocol, settings.tables)
    part = settings.part is not None
    about = described(settings.out, whole, tables, settings.command, part=part)
    write_json(settings.out / PROTOCOL, about)
    said = Progress()
    _take_over(settings, mine)
    failed = _run_jobs(settings, mine, said)
    if settings.part is None:
        costs = measure_costs(
            settings.out, settings.protocol, settings.cells, settings.plugins, said
        )
        failed += costs
        _pictures(settings.out, whole, whole.only([name for name in tables if name in FIGURED]))
        if any(stands(settings.out, job) for job in mine):
            _report(settings.out, said)
        else:
            said.say("no run has a record, so there is no report")
    print(f"{settings.out}: {len(mine)} runs of {len(settings.cells)} cells, {_told(failed)}")
    return failed


def _take_over(settings: Settings, jobs: Sequence[Job]) -> None:
    """Copies what `reuse` has of jobs that do not stand; in its own folder they are run again."""
    other = settings.reuse
    if other is None or other.resolve() == settings.out.resolve():
        return
    taken = []
    for job in jobs:
        added = settings.protocol.cells[Path(job.place).parent.name].added
        if not stands(settings.out, job):
            record = reuse(settings.out, other, job, added=added)
            taken += [] if record is None else [made_key(record) != job.key]
    if any(taken):
        print(
            f"{other}: {sum(taken)} of the {len(taken)} records taken over were made with other "
            "code or libraries"
        )


def _search(settings: Settings, mine: Sequence[Job]) -> list[Outcome]:
    failed = _run_jobs(settings, mine, Progress())
    passing = [outcome for outcome in failed if outcome.passing]
    if passing:
        print(f"nothing is chosen, since the machine fell short; {commands.SAME_COMMAND}")
    elif settings.part is None:
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
    tasks = {Task(job.name, _log(out, job), run_job, (out, job)): job for job in left}
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
                write_error(out, job, outcome.kind, outcome.said, passing=outcome.passing)
                failed.append(outcome)
    return failed


def _pictures(folder: Path, protocol: Protocol, figured: Sequence[str]) -> None:
    """What the data are, what alignment does to them, and what a token of these cells sees."""
    from attnzoo.testing.alignment import aligned_clips, draw

    (folder / "figures").mkdir(exist_ok=True)
    _fields(folder, protocol, figured)
    composed = compose("settings", protocol.settings)
    first = protocol.seeds[0] * protocol.clips
    clips = [composed.source.test[i] for i in range(first, first + protocol.clips)]
    write_data(folder / "clips", clips)
    write_floor(folder, protocol, composed.source)
    if all(clip.flow is not None for clip in clips):
        grid = min(GRID, composed.source.size // 2)
        aligned = [aligned_clips(clip.name, [clip], grid=grid, group=GROUP) for clip in clips[:4]]
        path = folder / "figures" / "align.png"
        with replacing(path) as beside:
            draw(aligned, beside)


def _fields(folder: Path, protocol: Protocol, cells: Sequence[str]) -> None:
    """What a token sees by the first cell of each built-in variant, to be drawn without torch."""
    from attnzoo.testing.receptive_field import save

    seen: dict[str, tuple[str, dict[str, Any]]] = {}
    known: set[str] = set()
    for name in cells:
        cell = protocol.cells[name]
        if cell.added and cell.attn not in registry.list_variants():
            continue  # of an earlier command, whose plug-ins are not here
        experiment = compose(name, protocol.overrides(name, protocol.seeds[0])).experiment
        entry = registry.get(experiment.variant)
        if entry.built_in and entry.name not in known and experiment.method is Method.video:
            known.add(entry.name)
            seen[cell.label] = (entry.name, experiment.options)
    if seen:
        save(folder / "figures" / "figure3.npz", seen)


def _report(folder: Path, said: Progress) -> None:
    """The report, which reads the folder alone."""
    said.say(f"making the report of {folder}")
    make_report(folder)


def _told(failed: Sequence[Outcome]) -> str:
    if not failed:
        return "all done"
    return f"{len(failed)} failed: " + "; ".join(outcome.task.name for outcome in failed)


def _tidy(settings: Settings, jobs: Sequence[Job]) -> None:
    """Deletes what is left of these jobs' work where they stand; others may go on from theirs."""
    for job in jobs:
        if stands(settings.out, job):
            remove(working(settings.out, job))
            remove(_log(settings.out, job))
    work = settings.out / WORK
    if settings.part is None and not any(work.iterdir()):
        work.rmdir()


def _log(folder: Path, job: Job) -> Path:
    """Beside the working folder: that of a finished run goes."""
    work = working(folder, job)
    return work.with_name(f"{work.name}.log")


@contextmanager
def _alone(folder: Path, part: tuple[int, int] | None, jobs: Sequence[Job] = ()) -> Iterator[None]:
    """Keeps two commands from working at the same runs; parts of one share the folder.

    jobs: all of the command, of which a part does its share.
    """
    try:
        with ExitStack() as locks:
            locks.enter_context(held(folder / LOCK, shared=part is not None))
            (folder / WORK).mkdir(exist_ok=True)
            if part is not None:
                _beside_parts(folder, part, jobs, locks)
            else:
                with held(folder / REPORT_LOCK, waits=True):
                    for place in (p for p in folder.rglob("*") if p.is_dir()):
                        sweep(place)
                    sweep(folder)
            yield
    except Held as error:
        told = "" if part is None else "; parts at one time need the same tables and the same count"
        raise UserError(f"out={folder}: another command is at work there{told}") from error


def _beside_parts(
    folder: Path, part: tuple[int, int], jobs: Sequence[Job], locks: ExitStack
) -> None:
    """Takes a part's lock, where no other part's share could hold the same run.

    Shares go by the place in the command's own list: those of another count, or of other tables,
    may have a run in common.
    """
    number, count = part
    places = "\n".join(job.place for job in jobs)
    same = f"-of-{count}-{hashlib.sha256(places.encode()).hexdigest()[:16]}"
    locks.enter_context(held(folder / f"{LOCK}-{number}{same}"))
    for other in folder.glob(f"{LOCK}-*-of-*"):
        if not other.name.endswith(same):
            with held(other):
                pass
