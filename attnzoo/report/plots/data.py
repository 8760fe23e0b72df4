"""What plots draw: a results folder with its scores, and what is missing from it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path

import pandas as pd

from attnzoo.metrics.statistics import Interval, mean_interval
from attnzoo.report import pairs
from attnzoo.report.folder import Folder, Row, frame_of, read_folder
from attnzoo.report.measures import MEASURES, Measure
from attnzoo.report.pairs import Scores
from attnzoo.report.published import METRICS, published, ranks, role
from attnzoo.report.references import families

MOST = 40
"""Rows of a table that plots show, the first ones: more could not be told apart in print."""


class Data:
    """A results folder, with means, intervals and gains of its scores; each is computed once."""

    def __init__(self, folder: Folder, scores: Scores, cut: Sequence[str] = ()) -> None:
        self.folder = folder
        self.cut = cut
        self.scores = scores
        self.estimate = cache(self._estimate)
        self.gain = cache(self._gain)

    @staticmethod
    def read(path: Path) -> Data:
        """The folder at `path`; one in which every cell failed has no scores.

        Raises:
            UserError: it is no results folder, or a file in it is not what it should be.
        """
        whole = read_folder(path)
        folder, cut = shortened(whole)
        some = any(folder.records.values())
        frame = (
            frame_of(folder) if some else pd.DataFrame(columns=["cell", "score", *pairs.COLUMNS])
        )
        return Data(folder, Scores(frame, families(whole)), cut)

    def _estimate(self, cell: str, key: str, scenario: str | None = None) -> Interval | None:
        """A score of a cell with its interval over seeds, of one scenario's clips if it is given.

        None where there are no values.
        """
        sample = self.scores.sample(cell, key, scenario)
        return self.scores.estimate(cell, key, scenario) if len(sample.values) else None

    def _gain(self, cell: str, reference: str, key: str) -> Interval | None:
        """By which share of the reference's badness a cell is better, over the pairs of both.

        Of badness see `attnzoo.report.measures`. None without pairs.
        """
        found = self.scores.gain(cell, reference, key)
        return None if found is None else found.interval()

    def real(self, cell: str, key: str) -> float | None:
        """The same measure of the real clips, where that is not trivial."""
        return self.scores.sample(cell, key).real

    def failed(self, cell: str) -> str | None:
        """Why a cell has no record at all, in one line; None if it has one."""
        if self.folder.records_of(cell):
            return None
        errors = [f"{f.kind}: {f.error}" for f in self.folder.failures if f.cell == cell]
        return f"failed ({errors[0]})" if errors else "not run"

    def failures(self, rows: Sequence[Row]) -> list[str]:
        """The rows without a record, with the reason."""
        return [f"{row.name} {why}" for row in rows if (why := self.failed(row.cell))]

    def published_rank(self, table: str, row: Row, measure: Measure) -> int | None:
        """The rank that the paper's table gives a row, by what it calls the measure's kin."""
        cell = self.folder.cells[row.cell]
        metric = kin(table, measure)
        if metric is None or metric not in published(table, cell):
            return None
        rows = [self.folder.cells[r.cell] for r in self.folder.tables[table].rows]
        printed = {role(c): published(table, c) for c in rows if published(table, c)}
        return ranks(metric, {name: float(p[metric]) for name, p in printed.items()})[role(cell)]

    def and_gaps(self, caption: str, missing: Sequence[str] = ()) -> str:
        """The caption, with what is missing and that a short run is no judgement."""
        parts = [caption]
        if missing:
            parts.append(f"Missing: {', '.join(dict.fromkeys(missing))}.")
        if self.cut:
            parts.append(f"Drawn: {', '.join(self.cut)}; the tables have all of them.")
        if self.folder.quick:
            parts.append("A quick run, too short to judge by.")
        return " ".join(parts)


def shortened(folder: Folder) -> tuple[Folder, list[str]]:
    """The folder with at most `MOST` rows a table, and of which table how many were kept."""
    tables = {name: replace(table, rows=table.rows[:MOST]) for name, table in folder.tables.items()}
    cut = [
        f"the first {MOST} of {len(table.rows)} rows of {name}"
        for name, table in folder.tables.items()
        if len(table.rows) > MOST
    ]
    return replace(folder, tables=tables), cut


def kin(table: str, measure: Measure) -> str | None:
    """The published metric that a panel's ranks are by: FVD where there is FID-VID too."""
    if table not in ("table1", "table2", "table3"):
        return None
    return next((m for m in reversed(METRICS) if m in measure.published), None)


def measures(keys: Sequence[str]) -> list[Measure]:
    """The measures of some scores, in their order."""
    return [MEASURES[key] for key in keys]


def mean(values: Sequence[float]) -> Interval | None:
    """Mean of one value a video with its interval; None of no values."""
    return mean_interval(values) if len(values) else None


def in_percent(gain: Interval) -> Interval:
    """A gain as a share, times 100."""
    low, high = (None if end is None else 100 * end for end in (gain.low, gain.high))
    return Interval(100 * gain.value, low, high, gain.n, gain.method)


def least(interval: Interval) -> float:
    """The lower end of an interval, or the value itself without one."""
    return interval.value if interval.low is None else interval.low


def most(interval: Interval) -> float:
    """The upper end of an interval, or the value itself without one."""
    return interval.value if interval.high is None else interval.high


def reach(interval: Interval) -> list[list[float]]:
    """How far an interval reaches below and above, as matplotlib takes it; 0 without one."""
    value = interval.value
    return [[max(value - least(interval), 0)], [max(most(interval) - value, 0)]]
