"""Which numbers of a table differ from its reference row, corrected for all that are tested."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from attnzoo.metrics.statistics import holm
from attnzoo.report.pairs import Gain
from attnzoo.report.table import Cell

SIGNIFICANT = 0.05

Place = tuple[int, int]
"""Row and column."""


def marked(
    grid: Sequence[Sequence[Cell]],
    gains: Mapping[Place, Gain | None],
    added: Collection[int] = (),
) -> tuple[list[list[Cell]], str]:
    """The cells with gain, p and mark, and a sentence where numbers could not be tested.

    `gains` are those over the reference row, None where there is no common pair. Holm's correction
    is over all of them: one table, one family. `added` are rows that change nobody else's test:
    the others are corrected without them.
    """
    known = {place: one for place, one in gains.items() if one is not None}
    found = {place: one.p() for place, one in known.items()}
    own = {place: p for place, p in found.items() if place[0] not in added}
    adjusted = _corrected(found) | _corrected(own)
    done = [list(cells) for cells in grid]
    for (i, j), one in known.items():
        p = None if found[i, j] is None else adjusted[i, j]
        mark = ("better" if one.value > 0 else "worse") if p is not None and p < SIGNIFICANT else ""
        done[i][j] = replace(done[i][j], gain=one.value, p=p, mark=mark)
    tested = sum(p is not None for p in found.values())
    return done, _untested(list(known.values()), tested)


def _corrected(found: Mapping[Place, float | None]) -> dict[Place, float]:
    """By Holm; what cannot be tested for its outcome counts among the tests all the same."""
    counted = [1.0 if p is None else p for p in found.values()]
    return dict(zip(found, holm(counted), strict=True))


def _untested(gains: Sequence[Gain], tested: int) -> str:
    """One seed says nothing about seeds."""
    if not gains:
        return "Nothing could be tested."
    if max(len(one.logs) for one in gains) < 2:
        return "With one seed no difference can be tested: how much seeds differ is not known."
    left = len(gains) - tested
    return f"{left} of {len(gains)} differences could not be tested." if left else ""


def marks_note(reference: str) -> str:
    """What the marks mean."""
    return (
        f"(+) better, (-) worse than {reference}: Student's t over seeds of the ratio's logarithm, "
        "by a variance moderated by comparisons alike; p below a nominal 5 % after "
        "Holm's correction over the whole table."
    )
