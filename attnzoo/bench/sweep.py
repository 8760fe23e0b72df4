"""A sweep: cells are prepared, timed in interleaved rounds, and become rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

from attnzoo import registry
from attnzoo.bench import roofline
from attnzoo.bench.cell import Cell, What, digest_of
from attnzoo.bench.environment import PACKAGE, Load, address, fixed_environment
from attnzoo.bench.journal import Journal
from attnzoo.bench.measure import Candidate, Clocked, Measurement, Spread, interval, measure, timed
from attnzoo.bench.preparation import Preparation, Ready, Refused
from attnzoo.bench.row import Row, Status, write_rows
from attnzoo.bench.serving import SHORT, Worker


@dataclass(frozen=True)
class Plan:
    """How a sweep goes.

    rounds, limit, width: when timing ends, see `measure`; longest: seconds that one run may take;
    memory: bytes that may be used, None: most of what is free; steps: denoising steps over which
    what is done once a clip is spread; twice: each cell once more under another name (A/A).
    """

    rounds: int = 30
    limit: float = 120.0
    width: float | None = 0.02
    longest: float = 60.0
    memory: int | None = None
    steps: int = 50
    twice: bool = False


@dataclass(frozen=True)
class Result:
    """Rows in the order of the cells, the machine's roofline, and the times of the rounds."""

    rows: Sequence[Row]
    roofline: roofline.Roofline
    times: Measurement


class _Warmed:
    """A short run, timed right after one that does not count."""

    def __init__(self, run: Candidate, device: torch.device) -> None:
        self._run = run
        self._device = device

    def seconds(self) -> float:
        timed(self._run, self._device)
        return timed(self._run, self._device)


AGAIN = " again"
"""Ends the name of a cell that is measured for the second time, in an A/A run."""


def sweep(
    cells: Sequence[Cell],
    plan: Plan,
    device: torch.device,
    journal_at: Path,
    kept: Sequence[Row] = (),
    plugins: Sequence[str] = (),
) -> Result:
    """Measures the cells; `kept` are rows of an earlier run, of which those that fit stay.

    What is found out goes to a journal at `journal_at` as it comes. Started again after it was
    killed, a sweep takes from there what is known. It stays until the rows have been written
    (`keep`), and goes then. `plugins` are what a worker has to load.
    """
    environment = fixed_environment(device)
    here = address(environment)
    keys = {cell.digest: digest_of([cell.digest, here, *_own_code(cell)]) for cell in cells}
    done = {row.key: row for row in kept if row.status is Status.ok and not plan.twice}
    journal = Journal(journal_at, here)
    load = Load()
    missing = [cell for cell in cells if keys[cell.digest] not in done]
    # Small ones first: they tell what large ones will take.
    missing.sort(key=lambda cell: cell.tokens)
    ready, refused = _prepared(missing, keys, plan, device, journal, plugins)
    dtypes = sorted({cell.dtype for cell in cells})
    candidates: dict[str, Candidate] = dict(roofline.runs(dtypes, device))
    for key, one in ready.items():
        candidates[key] = _candidate(one, device)
        if plan.twice:
            candidates[key + AGAIN] = _candidate(one, device)
    times = _timed(candidates, plan, device, journal)
    roof = roofline.roofline(times, dtypes, device)
    environment |= {**load.found(), **_peaks(roof)}
    rows = []
    for cell in cells:
        key = keys[cell.digest]
        if key in done:
            rows.append(replace(done[key], amortised=_amortised(cell, done[key].latency, plan)))
        elif key in refused:
            rows.append(replace(refused[key].row(cell, key), environment=environment))
        else:
            row = _row(cell, key, ready[key], times.seconds[key], roof, plan)
            rows.append(replace(row, environment=environment))
    journal.close()
    return Result(rows, roof, times)


def _own_code(cell: Cell) -> list[str]:
    """Hash of a variant's file where that is no part of the package."""
    name = cell.mirrors or cell.name
    if cell.peer and not cell.mirrors:
        return []
    entry = registry.get(name)
    return [] if entry.built_in else [str(entry.sha256)]


def keep(out: Path, rows: Sequence[Row], journal_at: Path) -> None:
    """Writes the rows of a finished sweep; they hold all of its journal, which then goes."""
    write_rows(out, rows)
    journal_at.unlink(missing_ok=True)


def _prepared(
    cells: Sequence[Cell],
    keys: Mapping[str, str],
    plan: Plan,
    device: torch.device,
    journal: Journal,
    plugins: Sequence[str],
) -> tuple[dict[str, Ready], dict[str, Refused]]:

    def elsewhere(cell: Cell) -> object:
        with Worker(
            PACKAGE.parent, device=device, longest=plan.longest, memory=plan.memory, plugins=plugins
        ) as worker:
            return worker.prepare(cell)

    preparation = Preparation(device, plan.longest, plan.memory, elsewhere)
    ready: dict[str, Ready] = {}
    refused: dict[str, Refused] = {}
    with tqdm(cells, unit="cell", desc="checked and counted", disable=None) as bar:
        for cell in bar:
            bar.set_postfix_str(str(cell))
            key = keys[cell.digest]
            known = journal.facts.get(key)
            earlier = None if known is None else (known, journal.first[key])
            found = preparation.prepare(cell, earlier)
            if isinstance(found, Refused):
                refused[key] = found
                continue
            ready[key] = found
            if known is None:
                journal.add_facts(key, found.facts, found.first)
    return ready, refused


def _candidate(ready: Ready, device: torch.device) -> Candidate:
    run = ready.subject.run
    short = ready.first < SHORT and not isinstance(run, Clocked)
    return _Warmed(run, device) if short else run


def _timed(
    candidates: Mapping[str, Candidate], plan: Plan, device: torch.device, journal: Journal
) -> Measurement:
    with tqdm(total=plan.rounds, unit="round", desc="timed", disable=None) as bar:
        bar.update(max((len(journal.seconds.get(key, ())) for key in candidates), default=0))

        def told(seconds: Mapping[str, float]) -> None:
            journal.add_round(seconds)
            bar.set_postfix_str(f"{len(seconds)} of {len(candidates)} cells not yet known well")
            bar.update()

        return measure(
            candidates,
            rounds=plan.rounds,
            warmup=0,
            limit=plan.limit,
            width=plan.width,
            earlier=journal.seconds,
            told=told,
            device=device,
        )


def _row(
    cell: Cell,
    key: str,
    ready: Ready,
    seconds: Sequence[float],
    roof: roofline.Roofline,
    plan: Plan,
) -> Row:
    spread, facts = Spread.of(seconds), ready.facts
    frames = cell.batch * cell.frames
    useful, moved = facts.flops_useful or 0, facts.bytes_moved or 0
    if cell.compiled:  # what a compiler fuses is not counted; the least is the only bound
        moved = facts.bytes_least or 0
    return Row(
        cell,
        key,
        Status.ok,
        facts=facts,
        latency=spread.median,
        latency_low=spread.low,
        latency_high=spread.high,
        interval=interval(seconds),
        seconds=tuple(seconds),
        throughput=frames / spread.median if spread.median else None,
        intensity=useful / moved if moved else None,
        roofline_share=roof.share(useful, moved, spread.median, cell.dtype),
        amortised=_amortised(cell, spread.median, plan),
    )


def _amortised(cell: Cell, latency: float | None, plan: Plan) -> float | None:
    once = cell.what in (What.flow, What.maps)
    return latency / plan.steps if once and latency is not None else None


def _peaks(roof: roofline.Roofline) -> dict[str, Any]:
    peaks = {f"peak_flops_{dtype}": value for dtype, value in roof.flops_per_s.items()}
    return {**peaks, "peak_bytes": roof.bytes_per_s}
