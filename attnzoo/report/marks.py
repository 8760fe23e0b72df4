"""Which numbers of a table differ from its reference row, corrected for all that are tested."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from attnzoo.metrics.statistics import holm
from attnzoo.report.pairs import Gain
from attnzoo.report.table import Cell

SIGNIFICANT = 0.05

Place = tuple[int, int]
"""Row and column."""


def marked(
    grid: Sequence[Sequence[Cell]], gains: Mapping[Place, Gain | None]
) -> tuple[list[list[Cell]], str]:
    """The cells with gain, p and mark, and a sentence where too few pairs can show anything.

    `gains` are those over the reference row, None where there is no common pair. Holm's correction
    is over all of them: one table, one family.
    """
    known = {place: one for place, one in gains.items() if one is not None}
    adjusted = dict(zip(known, holm([one.p() for one in known.values()]), strict=True))
    done = [list(cells) for cells in grid]
    for (i, j), one in known.items():
        p = adjusted[i, j]
        mark = ("better" if one.value > 0 else "worse") if p < SIGNIFICANT else ""
        done[i][j] = replace(done[i][j], gain=one.value, p=p, mark=mark)
    return done, _too_few(list(known.values()))


def _too_few(gains: Sequence[Gain]) -> str:
    """Sign flips of n pairs have no p below 2 / 2^n."""
    if not gains:
        return "Nothing could be tested."
    n = min(len(one.values) for one in gains)
    least = 2 / 2**n * len(gains)
    if least <= SIGNIFICANT:
        return ""
    return (
        f"Only {n} pairs stand behind some numbers: in {len(gains)} tests the least corrected p "
        f"they allow is {min(least, 1):.2g}, so that no difference there can be significant."
    )


def marks_note(reference: str) -> str:
    """What the marks mean."""
    return (
        f"(+) better, (-) worse than {reference}: paired sign-flip test over videos and seeds, p "
        "below 5 % after Holm's correction over the whole table."
    )
