"""A grid from settings to files: checked, measured, printed, compared."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch

from attnzoo.bench.base import against_commit, pairs_table
from attnzoo.bench.cell import Cell, digest_of
from attnzoo.bench.compare import compare, comparison_table
from attnzoo.bench.environment import fixed_environment
from attnzoo.bench.grid import axes_of, cells
from attnzoo.bench.noise import noise
from attnzoo.bench.row import Row, Status, read_rows
from attnzoo.bench.scaling import growth_table, growths
from attnzoo.bench.settings import Given, number, path, positive, single, truth
from attnzoo.bench.sweep import AGAIN, Plan, Result, keep, sweep
from attnzoo.bench.table import table
from attnzoo.errors import UserError
from attnzoo.files import Held, held
from attnzoo.paths import make_writable

OUTPUTS = Path("outputs/bench")
MOST_THREADS = 1024

SETTINGS = (
    "out", "against", "base", "plots", "rounds", "limit", "width", "longest", "memory", "steps",
    "threads", "device", "quick", "fresh", "aa",
)  # fmt: skip

WRITTEN = ("out", "against", "plots", "fresh", "aa")
"""What is of no use where no rows are written."""


@dataclass(frozen=True)
class Settings:
    """A run of the bench, all of it checked.

    out: the rows' file; against: an earlier one to be compared with; base: a commit to be
    compared with; plots: the folder for pictures; fresh: measure what `out` holds already.
    """

    cells: Sequence[Cell]
    plan: Plan
    device: torch.device
    out: Path
    against: Path | None
    base: str | None
    plots: Path | None
    fresh: bool
    plugins: Sequence[str] = ()


def settings_of(given: Given, plugins: Sequence[str] = ()) -> Settings:
    """What was typed, checked.

    Raises:
        UserError: an unknown key, or a value that cannot be.
    """
    quick = truth(given, "quick")
    threads = positive(given, "threads", None)
    if threads is not None and threads > MOST_THREADS:
        raise UserError(f"threads={threads}: at most {MOST_THREADS}")
    if threads is not None:
        torch.set_num_threads(threads)
    device = _device(str(single(given, "device", "cpu")))
    out, against = (path(given, key, suffix=".jsonl") for key in ("out", "against"))
    axes = axes_of({k: v for k, v in given.items() if k not in SETTINGS}, device.type, quick)
    memory = number(given, "memory", None)
    default = Plan(rounds=12, limit=60.0, longest=20.0) if quick else Plan()
    plan = Plan(
        rounds=positive(given, "rounds", default.rounds) or default.rounds,
        limit=number(given, "limit", default.limit) or default.limit,
        width=number(given, "width", default.width),
        longest=number(given, "longest", default.longest) or default.longest,
        memory=None if memory is None else round(memory * 2**30),
        steps=positive(given, "steps", default.steps) or default.steps,
        twice=truth(given, "aa"),
    )
    base = single(given, "base", None)
    if base is not None and (unused := [key for key in WRITTEN if key in given]):
        raise UserError(f"base=, {unused[0]}=: give one of them; with base= no rows are written")
    if against is not None:
        read_rows(against, "against")  # before anything that takes long
    found = cells(axes)  # which takes seconds, to know a whole U-Net's levels
    name = digest_of([cell.digest for cell in found])
    return Settings(
        cells=found,
        plan=plan,
        device=device,
        out=out or OUTPUTS / f"{name}.jsonl",
        against=against,
        base=None if base is None else str(base),
        plots=path(given, "plots"),
        fresh=truth(given, "fresh"),
        plugins=tuple(plugins),
    )


def run(settings: Settings) -> bool:
    """Measures, prints and writes; whether nothing is worse than in what it is compared with.

    Raises:
        UserError: a file that cannot be read or written, or holds what is not to be overwritten.
    """
    if settings.base is not None:
        return _against_base(settings, settings.base)
    with alone(settings.out):
        return _measured(settings)


@contextmanager
def alone(out: Path) -> Iterator[None]:
    """Keeps two runs from writing the same rows.

    Raises:
        UserError: another one is at work, or the folder cannot be written.
    """
    make_writable(out.parent, f"out={out}")
    try:
        with held(out.with_name(f".{out.name}.lock")):
            yield
    except Held as error:
        raise UserError(f"out={out}: another run of the bench is at work there") from error


def _measured(settings: Settings) -> bool:
    old = None if settings.against is None else read_rows(settings.against, "against")
    kept = _kept(settings)
    _check_folder(settings.plots)
    print(f"{len(settings.cells)} cells, rows to {settings.out}", flush=True)
    journal = settings.out.with_name(settings.out.name + ".part")
    result = sweep(settings.cells, settings.plan, settings.device, journal, kept, settings.plugins)
    keep(settings.out, result.rows, journal)
    print(report(result.rows, result))
    if settings.plots is not None:
        from attnzoo.bench.plots import draw

        for file in draw(result.rows, result.roofline, settings.plots):
            print(file)
    if old is None:
        return True
    comparison = compare(old, result.rows)
    if not comparison.changes:
        raise UserError(f"against={settings.against}: holds none of these cells")
    print(f"\nagainst {settings.against}\n{comparison_table(comparison)}")
    return not comparison.worse


def _against_base(settings: Settings, ref: str) -> bool:
    print(f"{len(settings.cells)} cells, in this tree and in {ref}, in turns", flush=True)
    pairs = against_commit(settings.cells, ref, settings.plan, settings.device, settings.plugins)
    print(pairs_table(pairs))
    for pair in pairs:
        if pair.worse:
            print(f"worse than {ref}: {pair.cell}")
    return not any(pair.worse for pair in pairs)


def report(rows: Sequence[Row], result: Result) -> str:
    """Table, exponents, roofline and noise."""
    parts = [table(rows)]
    found = growths(rows)
    if found:
        parts.append(growth_table(found))
    roof = result.roofline
    peaks = ", ".join(f"{dtype} {v / 1e9:.1f} GFLOP/s" for dtype, v in roof.flops_per_s.items())
    parts.append(f"roofline of this machine: {peaks}, copy {roof.bytes_per_s / 1e9:.1f} GB/s")
    parts.append(noise_line(rows, result))
    return "\n\n".join(parts)


def noise_line(rows: Sequence[Row], result: Result) -> str:
    """The measured noise in words; a difference within it is none."""
    own = noise([row.seconds for row in rows if row.status is Status.ok])
    said = "unknown, too few rounds" if own is None else f"{own:.1%}"
    line = f"A/A noise, every cell against itself (even and odd rounds): {said}"
    times = result.times
    again = [key for key in times.seconds if key.endswith(AGAIN)]
    if again:
        ratios = [abs(times.ratio(key, key.removesuffix(AGAIN)).median - 1) for key in again]
        line += f"; each measured twice: up to {max(ratios):.1%}"
    others = [row.environment.get("others") for row in rows]
    busy = max((o for o in others if o is not None), default=None)
    if busy is not None and busy > 0.1:
        line += f"; other processes kept {busy:.1f} cores busy meanwhile"
    return f"{line}. A smaller difference is none."


def _kept(settings: Settings) -> Sequence[Row]:
    """The rows that `out` holds; they are no others than this grid's."""
    if settings.fresh or not settings.out.exists():
        return ()
    rows = read_rows(settings.out, "out")
    mine = {cell.digest for cell in settings.cells}
    others = [row for row in rows if row.cell.digest not in mine]
    if others:
        raise UserError(
            f"out={settings.out}: holds {len(others)} rows of other cells, such as "
            f"{others[0].cell}; take another file, or fresh=true to write over it"
        )
    here = fixed_environment(settings.device)
    for row in rows:
        there = row.environment
        differ = [key for key in here if key != "commit" and there.get(key) != here[key]]
        if differ:
            key = differ[0]
            raise UserError(
                f"out={settings.out}: was measured with {key}={there.get(key)}, here it is "
                f"{here[key]}; take another file, or fresh=true to write over it"
            )
    return rows


def _check_folder(plots: Path | None) -> None:
    try:
        if plots is not None:
            plots.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"plots={plots}: cannot be written ({error.strerror})") from error


def _device(name: str) -> torch.device:
    if name not in ("cpu", "cuda"):
        raise UserError(f"device={name}: there are cpu, cuda")
    if name == "cuda" and not torch.cuda.is_available():
        raise UserError("device=cuda: no CUDA device is available here; device=cpu")
    return torch.device(name)
