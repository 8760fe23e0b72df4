"""`python tests/faults/run.py`: what a sweep meets on shared machines, done to it on purpose.

Every fault is done to every job it fits, in rounds. After each round nothing may be half-written
under a final name, nothing that was recorded may be gone or changed, and the job, gone on with,
must end with the files and numbers of a run that nothing happened to. Rounds that are done stand
in a file, and the same command goes on after them; a change of the package or of the faults begins
anew. The table is printed, and written beside the rows as Markdown.

A row whose rounds all came too late, or had all that they needed, gets some more. Exit status 1:
something was lost or wrong, or a fault could not be done here; of all faults and jobs also: a row
has none, or the rows `kill` have fewer than 50 kills.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import resource
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path[:0] = [str(HERE), str(ROOT)]
for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[name] = "1"  # a process of several threads cannot be forked

import children  # noqa: E402
from jobs import JOBS, Job, warm  # noqa: E402
from kinds import FAULTS, mounts  # noqa: E402
from kinds.clock import load as load_clock  # noqa: E402
from kinds.fault import Fault  # noqa: E402
from rounds import Reference, References, Round, furnish  # noqa: E402

from attnzoo.__main__ import COMMANDS  # noqa: E402

MORE = 6
"""Rounds beyond its own of a fault that has not been done to a job yet."""
SOONER = (1, 2, 4)
"""In turn, by how much sooner moments come in those: mostly, others came after the job's end."""
KILLS = 50


@dataclass(frozen=True)
class Played:
    """A round that is done, as it stands in the file."""

    code: str
    seed: int
    fault: str
    job: str
    round: int
    faults: int
    lost: list[str]
    wrong: list[str]
    seconds: float
    cpu_seconds: float


def main() -> int:
    """Plays what is left, and prints the table."""
    given = _parser().parse_args()
    scratch = (given.scratch or Path(tempfile.gettempdir()) / "attnzoo-faults").resolve()
    load_clock(scratch)
    children.adopt_orphans()
    mounts.clear(scratch)
    warm()
    chosen = [f for f in FAULTS if not given.only or f.name in given.only]
    jobs = [j for j in JOBS.values() if not given.job or j.name in given.job]
    done = _read(given.out, given.seed)
    references = References(scratch)
    impossible = list(_impossible(chosen))
    for job in jobs:
        if job.arguments[0] not in COMMANDS:
            impossible.append((job.name, f"there is no command {job.arguments[0]!r}"))
            print("{}: {}".format(*impossible[-1]), flush=True)
    jobs = [job for job in jobs if job.arguments[0] in COMMANDS]
    for fault in chosen:
        for job in jobs:
            if not fault.fits(job) or {fault.name, job.name} & {name for name, _ in impossible}:
                continue
            for number, sooner in _left(fault, job, done, given.rounds):
                try:
                    reference = references.of(job)
                except RuntimeError as error:
                    impossible.append((job.name, " ".join(str(error).split())[-300:]))
                    print(f"{job.name}: {error}", flush=True)
                    break
                reference = replace(reference, seconds=reference.seconds / sooner)
                played = _play(fault, job, number, given.seed, reference, scratch)
                done[fault.name, job.name, number] = played
                _write(given.out, done)
                _tell(played)
    text = table(list(done.values()), impossible)
    given.out.parent.mkdir(parents=True, exist_ok=True)
    given.out.with_suffix(".md").write_text(text)
    print(text)
    whole = not (given.only or given.job or given.rounds)
    few = list(_too_few(done)) if whole else []
    for line in few:
        print(line)
    bad = any(p.lost or p.wrong for p in done.values())
    return 1 if bad or impossible or few else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, help="of each fault and job, instead of its own")
    several = "this one; may be given again"
    parser.add_argument("--only", action="append", choices=[f.name for f in FAULTS], help=several)
    parser.add_argument("--job", action="append", choices=list(JOBS), help=several)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=ROOT / "results/faults/faults.jsonl")
    parser.add_argument("--scratch", type=Path, help="where jobs work; kept where one fails")
    return parser


def _impossible(faults: Sequence[Fault]) -> Iterator[tuple[str, str]]:
    for fault in faults:
        try:
            fault.possible()
        except OSError as error:
            print(f"{fault.name}: cannot be done here: {error}", flush=True)
            yield fault.name, str(error)


def _play(
    fault: Fault, job: Job, number: int, seed: int, reference: Reference, scratch: Path
) -> Played:
    folder = scratch / f"{fault.name}-{job.name}-{number}"
    for old in (folder, folder.with_name(f"{folder.name}-logs")):
        shutil.rmtree(old, ignore_errors=True)
    furnish(job, folder, scratch)
    # Rounds and kinds may be left out or added without a change of the others.
    own = random.Random(f"{seed} {fault.name} {job.name} {number}")
    round = Round(job, folder, reference, own, number)
    began, used = time.monotonic(), _used()
    try:
        fault.play(round)
    except Exception as error:
        round.wrong.append(f"the harness: {type(error).__name__}: {error}")
    seconds, used = time.monotonic() - began, _used() - used
    if not round.lost and not round.wrong:
        shutil.rmtree(folder)
        shutil.rmtree(round.logs)
    return Played(
        code(), seed, fault.name, job.name, number, round.faults, round.lost,
        [text[:500] for text in round.wrong], round_to(seconds),
        round_to(used),
    )  # fmt: skip


def _used() -> float:
    """Seconds of processors by all commands that have ended."""
    found = resource.getrusage(resource.RUSAGE_CHILDREN)
    return found.ru_utime + found.ru_stime


def round_to(seconds: float) -> float:
    """To a hundredth."""
    return float(f"{seconds:.2f}")


@cache
def code() -> str:
    """SHA-256 of the package and of the faults: what was found of others is no finding."""
    digest = hashlib.sha256()
    for folder in (ROOT / "attnzoo", HERE):
        for path in sorted(folder.rglob("*")):
            if path.suffix in (".py", ".c"):
                digest.update(str(path.relative_to(ROOT)).encode() + path.read_bytes())
    return digest.hexdigest()[:16]


Done = dict[tuple[str, str, int], Played]


def _left(fault: Fault, job: Job, done: Done, rounds: int | None) -> Iterator[tuple[int, int]]:
    """The rounds to be played, by what is done when asked, and by how much sooner than others.

    rounds: no more than these.
    """
    own = rounds or max(1, round(job.share * fault.rounds + 0.1))
    for number in range(rounds or own + MORE):
        if number >= own and _faults(done, fault.name, job.name):
            return
        if (fault.name, job.name, number) not in done:
            yield number, SOONER[max(0, number - own + 1) % len(SOONER)]


def _faults(done: Done, fault: str, job: str | None = None) -> int:
    """How many were done to a job, or to all."""
    mine = (p for p in done.values() if p.fault == fault and job in (None, p.job))
    return sum(p.faults for p in mine)


def _too_few(done: Done) -> Iterator[str]:
    """What has not been tried enough, in words."""
    for fault, job in dict.fromkeys((p.fault, p.job) for p in done.values()):
        if not _faults(done, fault, job):
            yield f"{fault}, {job}: no fault was done"
    if (kills := _faults(done, "kill")) < KILLS:
        yield f"kill: {kills} kills, fewer than {KILLS}"


def _read(path: Path, seed: int) -> Done:
    """The rounds that stand there, of this code and seed."""
    if not path.exists():
        return {}
    found = [Played(**json.loads(line)) for line in path.read_text().splitlines()]
    now = code()
    return {(p.fault, p.job, p.round): p for p in found if (p.code, p.seed) == (now, seed)}


def _write(path: Path, done: Done) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}")
    beside.write_text("".join(json.dumps(asdict(played)) + "\n" for played in done.values()))
    beside.replace(path)


def _tell(played: Played) -> None:
    bad = [*(f"LOST {text}" for text in played.lost), *(f"WRONG {t}" for t in played.wrong)]
    line = f"{played.fault}, {played.job}, round {played.round}: {played.faults} faults, "
    print(line + f"{played.seconds:.1f} s" + "".join(f"\n    {text}" for text in bad), flush=True)


def table(played: Sequence[Played], impossible: Sequence[tuple[str, str]]) -> str:
    """A row a fault and job, and their sums, in Markdown."""
    lines = [
        "| fault | job | rounds | faults | lost | wrong | time |",
        "| --- | --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    for fault in dict.fromkeys(fault.name for fault in FAULTS):
        for job in JOBS:
            mine = [p for p in played if (p.fault, p.job) == (fault, job)]
            if mine:
                lines.append(_row(fault, job, mine))
    for name, reason in impossible:
        lines.append(f"| {name} | cannot be done here: {reason} | 0 | 0 | - | - | - |")
    lines.append(_row("all", "", list(played)))
    return "\n".join(lines) + "\n"


def _row(fault: str, job: str, played: Sequence[Played]) -> str:
    """Rounds with something lost or wrong are counted once each."""
    faults = sum(p.faults for p in played)
    lost, wrong = (sum(bool(getattr(p, kind)) for p in played) for kind in ("lost", "wrong"))
    seconds = sum(p.seconds for p in played)
    return f"| {fault} | {job} | {len(played)} | {faults} | {lost} | {wrong} | {seconds:.0f} s |"


if __name__ == "__main__":
    sys.exit(main())
