"""Table 6: noise and camera; what it tells is judged in `attnzoo.report.explanation`."""

from __future__ import annotations

from dataclasses import replace

from attnzoo.report.explanation import JUDGED, explanation
from attnzoo.report.folder import Folder, TableRows
from attnzoo.report.marks import marked, marks_note
from attnzoo.report.measures import MEASURES
from attnzoo.report.pairs import Gain, Scores
from attnzoo.report.quality import described, score_cell
from attnzoo.report.references import corner, kind
from attnzoo.report.table import Cell, Column, Row, Table

SHOWN = (JUDGED, "warp_error_4", "l1_body", "embedded_perceptual")
"""Few, since all tests of the table share a correction."""


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
        _real(folder, scores, rows),
        _settings(folder, rows),
        explanation(folder, scores, rows).sentence() + " It stands, with them, in claims.md.",
    )
    return Table(rows.name, rows.title, columns, tuple(done), notes)


def _real(folder: Folder, scores: Scores, rows: TableRows) -> str:
    """What real clips have of the warp error with each camera; nothing where that is not known."""
    found: dict[str, float] = {}
    for row in rows.rows:
        real = scores.sample(row.cell, JUDGED).real
        if real is not None:
            found.setdefault(corner(folder, row.cell)[1], real)
    told = " and ".join(f"{real:.4f} with a {camera} camera" for camera, real in found.items())
    return f"Real clips have a {MEASURES[JUDGED].name} of {told}." if told else ""


def _settings(folder: Folder, rows: TableRows) -> str:
    """The settings that all rows have of their own; nothing if there are none."""
    cells = (folder.cells[row.cell] for row in rows.rows)
    own = [cell.overrides for cell in cells if not cell.added]
    common = [one for one in own[0] if all(one in other for other in own)] if own else []
    if not common:
        return ""
    return f"All rows have settings that other tables have not: {', '.join(common)}."


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
