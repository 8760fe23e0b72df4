"""Table 6: noise and camera, and the verdict on why attention at the same place gains.

The explanation on trial: noise that all frames share is revealed where another frame shows the
known background at the same place, so attention at the same place can take it away, and alignment
along the motion, which moves tokens off their place, undoes that. It predicts

1. with shared noise and a still camera, `temporal` is better than `none`;
2. so is unaligned `stsa`;
3. `temporal` gains more there than with independent noise;
4. `stsa` gains more there than `stsa_flow`, the same windows aligned;
5. `temporal` gains more there than with a moving camera, which shows other background at a place.

Each is judged by the warp error over one frame on the body, by the rule of
`attnzoo.report.verdict`, all five at one 5 %. The explanation holds if all of them hold, and does
not if one of them does not.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from attnzoo.report.folder import Folder, TableRows
from attnzoo.report.marks import marked
from attnzoo.report.measures import MEASURES
from attnzoo.report.pairs import Gain, Scores
from attnzoo.report.quality import described, score_cell
from attnzoo.report.table import Cell, Column, Row, Table
from attnzoo.report.verdict import Asked, Comparison, Verdict, judge, together, too_short

JUDGED = "warp_error_1"
SHOWN = (JUDGED, "warp_error_4", "l1_body", "embedded_perceptual")
"""Few, since all tests share a correction and a cell of this table may have a dozen videos."""
NOISES = ("shared", "half", "independent")
CAMERAS = ("still", "moving")

Corner = tuple[str, str]
"""Noise and camera."""


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


def corner(folder: Folder, cell: str) -> Corner:
    """Noise and camera of a cell."""
    setting = folder.cells[cell].setting
    return setting("noise", "shared"), setting("camera", "still")


def kind(folder: Folder, cell: str) -> str:
    """The variant of a cell, `mixed` for modules of which only some are aligned.

    A cell that was added has a name of its own.
    """
    found = folder.cells[cell]
    if found.added:
        return f"added: {found.id}"
    return "mixed" if found.setting("aligned", "all") != "all" else found.attn


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
    grid, too_few = marked(grid, gains)
    done = [
        replace(_described(folder, row), cells=tuple(cells))
        for row, cells in zip((described(folder, r) for r in rows.rows), grid, strict=True)
    ]
    notes = (
        "Ratios are of mean badness to that of none with the same noise and camera, over the same "
        "videos and seeds; below 100 % is better than none.",
        "(+) better, (-) worse than none: paired sign-flip test, p below 5 % after Holm's "
        "correction over the whole table.",
        too_few,
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
    found = [
        _prediction("temporal, noise shared, camera still", "none", temporal),
        _prediction("stsa, noise shared, camera still", "none", stsa),
        _prediction(
            "gain of temporal, noise shared",
            "with noise independent",
            contrast(temporal, gained(("independent", "still"), "temporal")),
        ),
        _prediction(
            "gain of stsa, noise shared",
            "of stsa_flow",
            contrast(stsa, gained(still, "stsa_flow")),
        ),
        _prediction(
            "gain of temporal, camera still",
            "with a moving camera",
            contrast(temporal, gained(("shared", "moving"), "temporal")),
        ),
    ]
    if folder.quick:
        found = [too_short(one) for one in found]
    return Explanation(together({one.verdict for one in found}), tuple(found))


PREDICTIONS = 5


def _prediction(first: str, second: str, gain: Gain | None) -> Comparison:
    found = judge(gain, Asked.better, comparisons=PREDICTIONS)
    value, n = (None, 0) if gain is None else (gain.value, len(gain.values))
    return Comparison(first, second, MEASURES[JUDGED], Asked.better, value, n, found)


def contrast(first: Gain | None, second: Gain | None) -> Gain | None:
    """How much larger one gain is than another, by common pairs.

    Of videos that have none in common (another camera may give other names), equal numbers are
    paired by order: two independent samples, whose difference varies by the sum of both.
    """
    if first is None or second is None:
        return None
    places: Mapping[object, int] = {key: i for i, key in enumerate(second.keys)}
    common = [(i, places[key]) for i, key in enumerate(first.keys) if key in places]
    if not common and len(first.keys) == len(second.keys):
        common = [(i, i) for i in range(len(first.keys))]
    if len(common) < 2:
        return None
    one, other = (list(part) for part in zip(*common, strict=True))
    keys = tuple(first.keys[i] for i in one)
    seeds = {s: first.seeds[s] - second.seeds[s] for s in first.seeds if s in second.seeds}
    return Gain(keys, first.values[one] - second.values[other], seeds)
