"""Table 6: noise and camera, and the verdict on why attention at the same place gains.

The explanation on trial: noise that all frames share is revealed where another frame shows the
known background at the same place, so attention at the same place can take it away, and alignment
along the motion, which moves tokens off their place, undoes that. It predicts

1. with shared noise and a still camera, `temporal` is better than `none`;
2. so is unaligned `stsa`;
3. `temporal` gains more there than with independent noise;
4. `stsa` gains more there than `stsa_flow`, the same windows aligned;
5. `temporal` gains more there than with a moving camera, which shows other background at a place.

How much more one gains than another is itself a gain, `1 - (1 - g) / (1 - g_other)`: the share of
what the other leaves that the one does not. Each is judged by the warp error over one frame on the
body, by the rule of `attnzoo.report.verdict`, all five at one 5 %. The explanation holds if all of
them hold, and does not if one of them does not.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from attnzoo.report.folder import Folder, TableRows
from attnzoo.report.marks import marked, marks_note
from attnzoo.report.measures import MEASURES
from attnzoo.report.pairs import Gain, Scores
from attnzoo.report.quality import described, score_cell
from attnzoo.report.references import Corner, corner, kind
from attnzoo.report.table import Cell, Column, Row, Table
from attnzoo.report.verdict import Asked, Comparison, Verdict, judge, together, too_short

JUDGED = "warp_error_1"
SHOWN = (JUDGED, "warp_error_4", "l1_body", "embedded_perceptual")
"""Few, since all tests share a correction and a cell of this table may have a dozen videos."""
NOISES = ("shared", "half", "independent")
CAMERAS = ("still", "moving")


@dataclass(frozen=True)
class Explanation:
    """The verdict on the explanation, and its predictions in order."""

    verdict: Verdict
    predictions: tuple[Comparison, ...]

    def sentence(self) -> str:
        """The verdict in a line."""
        told = ", ".join(f"{i} {p.verdict.name}" for i, p in enumerate(self.predictions, 1))
        return f"The explanation {_SAID[self.verdict]} (predictions: {told.replace('_', ' ')})."


_SAID = {
    Verdict.holds: "holds",
    Verdict.does_not: "does not hold",
    Verdict.unknown: "cannot be told with this many samples",
}


def noise_camera_table(folder: Folder, scores: Scores, rows: TableRows) -> Table:
    """The table: one score as it is, then ratios of badness to `none` with the same two."""
    by = {(corner(folder, row.cell), kind(folder, row.cell)): row.cell for row in rows.rows}
    columns = (
        Column(JUDGED, MEASURES[JUDGED].name, "Score", better="lower"),
        *(
            Column(f"{key}/none", MEASURES[key].name, "Ratio to none", "%", "lower", "ratio")
            for key in SHOWN
        ),
    )
    grid, gains = [], {}
    for i, row in enumerate(rows.rows):
        reference = by.get((corner(folder, row.cell), "none"))
        cells = [score_cell(scores, row.cell, MEASURES[JUDGED])]
        for j, key in enumerate(SHOWN, 1):
            gain = scores.gain(row.cell, reference, key) if reference else None
            cells.append(_ratio(gain, row.cell == reference))
            if row.cell != reference:
                gains[i, j] = gain
        grid.append(cells)
    grid, untested = marked(grid, gains)
    done = [
        replace(_described(folder, row), cells=tuple(cells))
        for row, cells in zip((described(folder, r) for r in rows.rows), grid, strict=True)
    ]
    notes = (
        "Ratios are of mean badness to that of none with the same noise and camera, of each seed's "
        "videos, and over seeds the geometric mean; below 100 % is better than none.",
        marks_note("none"),
        untested,
        explanation(folder, scores, rows).sentence() + " It stands, with them, in claims.md.",
    )
    return Table(rows.name, rows.title, columns, tuple(done), notes)


def _described(folder: Folder, row: Row) -> Row:
    noise, camera = corner(folder, row.cell)
    return replace(row, group=row.group or f"noise {noise}, camera {camera}")


def _ratio(gain: Gain | None, reference: bool) -> Cell:
    if reference:
        return Cell("100", 100.0)
    if gain is None:
        return Cell(note="none of the same noise and camera has no common videos")
    found = gain.interval()
    value = 100 * (1 - gain.value)
    if found.low is None or found.high is None:
        return Cell(f"{value:.1f}", value, n=found.n, note=found.method)
    low, high = 100 * (1 - found.high), 100 * (1 - found.low)
    return Cell(f"{value:.1f}", value, low, high, found.n)


def explanation(folder: Folder, scores: Scores, rows: TableRows) -> Explanation:
    """The predictions judged, and the verdict."""
    by = {(corner(folder, row.cell), kind(folder, row.cell)): row.cell for row in rows.rows}
    still: Corner = ("shared", "still")

    def gained(where: Corner, variant: str) -> Gain | None:
        cells = by.get((where, variant)), by.get((where, "none"))
        return None if None in cells else scores.gain(str(cells[0]), str(cells[1]), JUDGED)

    temporal, stsa = gained(still, "temporal"), gained(still, "stsa")
    aligned = by.get((still, "stsa")), by.get((still, "stsa_flow"))
    tried = [
        ("temporal, noise shared, camera still", "none", temporal),
        ("stsa, noise shared, camera still", "none", stsa),
        (
            "gain of temporal, noise shared",
            "with noise independent",
            contrast(temporal, gained(("independent", "still"), "temporal")),
        ),
        (
            "gain of stsa, noise shared",
            "of stsa_flow",
            None if None in aligned else scores.gain(str(aligned[0]), str(aligned[1]), JUDGED),
        ),
        (
            "gain of temporal, camera still",
            "with a moving camera",
            contrast(temporal, gained(("shared", "moving"), "temporal")),
        ),
    ]
    found = [_prediction(*one, folder.seeds) for one in tried]
    if folder.quick:
        found = [too_short(one) for one in found]
    return Explanation(together({one.verdict for one in found}), tuple(found))


PREDICTIONS = 5


def _prediction(first: str, second: str, gain: Gain | None, seeds: Sequence[int]) -> Comparison:
    found = judge(gain, Asked.better, comparisons=PREDICTIONS, seeds=seeds)
    value, n = (None, 0) if gain is None else (gain.value, len(gain.logs))
    return Comparison(first, second, MEASURES[JUDGED], Asked.better, value, n, found)


def contrast(first: Gain | None, second: Gain | None) -> Gain | None:
    """How much more one cell gains than another, as a gain, over the seeds of both.

    What it varies by without being looked at is the sum of both, as if they were independent: too
    much, if anything, since equal seeds train on equal clips.
    """
    if first is None or second is None:
        return None
    logs = {s: first.logs[s] - second.logs[s] for s in first.logs if s in second.logs}
    if not logs or not all(math.isfinite(log) for log in logs.values()):
        return None
    prior = None
    if first.prior is not None and second.prior is not None:
        freedom = min(first.prior.freedom, second.prior.freedom)
        variance = first.prior.variance + second.prior.variance
        prior = replace(first.prior, variance=variance, freedom=freedom)
    return Gain.of(logs, prior)
