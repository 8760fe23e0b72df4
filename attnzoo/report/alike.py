"""Rows that are one and the same by all scores of pictures and videos."""

from __future__ import annotations

from collections.abc import Sequence

from attnzoo.report.folder import Folder, TableRows
from attnzoo.report.measures import MEASURES, PICTURES, VIDEOS
from attnzoo.report.pairs import Scores

NEAR = 0.005
"""By which share of the larger one two means may differ."""
HOW = f"by less than {100 * NEAR:g} % in every score of pictures and videos"


def alike(scores: Scores, cells: Sequence[str]) -> list[list[str]]:
    """Cells any two of which are as near as that, in groups of two and more."""
    groups: list[list[str]] = []
    for cell in dict.fromkeys(cells):
        home = next((g for g in groups if all(_near(scores, cell, other) for other in g)), None)
        if home is None:
            groups.append([cell])
        else:
            home.append(cell)
    return [group for group in groups if len(group) > 1]


def _near(scores: Scores, cell: str, other: str) -> bool:
    differences = [
        abs(one - two) / max(abs(one), abs(two), 1e-12)
        for key, measure in MEASURES.items()
        if measure.section in (PICTURES, VIDEOS)
        and (one := _mean(scores, cell, key)) is not None
        and (two := _mean(scores, other, key)) is not None
    ]
    return bool(differences) and max(differences) < NEAR


def _mean(scores: Scores, cell: str, key: str) -> float | None:
    values = scores.sample(cell, key).values
    return float(values.mean()) if len(values) else None


def alike_note(scores: Scores, rows: TableRows) -> str:
    """The rows of a table that differ so little; nothing without any."""
    names = {row.cell: row.name for row in rows.rows}
    groups = [
        ", ".join(f'"{names[cell]}"' for cell in group) for group in alike(scores, list(names))
    ]
    return f"Rows that differ {HOW}: {'; '.join(groups)}." if groups else ""


def one_comparison(folder: Folder, scores: Scores, pairs: Sequence[tuple[str, str]]) -> list[str]:
    """Which pairs of a claim are one: those whose cells are alike where they differ."""
    shared = set(pairs[0]).intersection(*pairs) if pairs else set()
    cells = [cell for pair in pairs for cell in pair if cell not in shared]
    return [
        f"{' and '.join(folder.cells[cell].label for cell in group)} differ {HOW}, so that what "
        "compares with each of them is one comparison"
        for group in alike(scores, cells)
    ]
