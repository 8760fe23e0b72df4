"""Table 4: the scenarios of section 5.2, side by side for each measure of single videos."""

from __future__ import annotations

from dataclasses import replace

import pandas as pd

from attnzoo.report.folder import Folder, TableRows
from attnzoo.report.marks import marked, marks_note
from attnzoo.report.measures import MEASURES
from attnzoo.report.pairs import Scores
from attnzoo.report.quality import described, score_cell
from attnzoo.report.references import references
from attnzoo.report.table import Column, Table

SHOWN = ("l1_body", "embedded_perceptual", "warp_error_1", "warp_error_4", "logo_position")


def scenario_table(folder: Folder, scores: Scores, rows: TableRows, frame: pd.DataFrame) -> Table:
    """The table; distances of sets are left out, for which a scenario has too few videos."""
    scenarios = [str(name) for name in frame["scenario"].dropna().unique()]
    shown = [
        (MEASURES[key], scenario)
        for key in SHOWN
        if any(len(scores.sample(row.cell, key).values) for row in rows.rows)
        for scenario in scenarios
    ]
    columns = tuple(
        Column(f"{measure.key}/{name}", name or "all", measure.name, measure.unit, measure.better)
        for measure, name in shown
    )
    reference = rows.rows[references(folder, rows)[0]]
    gains = {
        (i, j): scores.gain(row.cell, reference.cell, measure.key, name)
        for i, row in enumerate(rows.rows)
        for j, (measure, name) in enumerate(shown)
        if row.cell != reference.cell
    }
    grid, untested = marked(
        [[score_cell(scores, row.cell, m, name) for m, name in shown] for row in rows.rows], gains
    )
    done = tuple(
        replace(described(folder, row), cells=tuple(cells))
        for row, cells in zip(rows.rows, grid, strict=True)
    )
    notes = (
        "Scenarios in the paper's order; it gives no numbers for them.",
        "Distances of sets are not split: a scenario has too few videos for one.",
        marks_note(f'"{reference.label}"'),
        untested,
    )
    return Table(rows.name, rows.title, columns, done, notes)
