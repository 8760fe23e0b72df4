"""What the seams between windows cost: how well neighbouring frames agree there and elsewhere."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from scipy import stats
from torch import Tensor

from attnzoo.data.clip import Clip
from attnzoo.metrics.flicker import tremor
from attnzoo.metrics.statistics.mean import student
from attnzoo.metrics.warp_error import Correspondence, correspondence, warp_error
from attnzoo.models.stretches import Stretches

LEVEL = 0.95


@dataclass(frozen=True)
class Mean:
    """A mean over `n` pairs of neighbouring frames with its interval; null where there is none."""

    value: float | None
    low: float | None
    high: float | None
    n: int


@dataclass(frozen=True)
class Compared:
    """One measure at seams and inside windows, and the difference of the two means.

    own: the difference in the dance's own pictures, which have no seams: what the dance's speed
    alone makes of it.
    """

    measure: str
    seams: Mean
    inside: Mean
    difference: Mean
    own: Mean


Values = Callable[[Tensor], list[float]]
"""Of a clip `[f, 3, H, W]`: a value for each pair of neighbours, NaN where there is none."""


def compared(video: Tensor, clip: Clip, parts: Stretches) -> list[Compared]:
    """The measures of a generated clip `[f, 3, H, W]`; none where it is one window.

    A pair of neighbouring frames is a seam where any of the weight passes from one window to
    another between the two. Intervals are of means over pairs (Student's t, of differences
    Welch's), as if pairs knew nothing of each other; neighbours do, so they are rather too narrow.
    """
    if len(parts.windows) < 2:
        return []
    seam = (parts.passing() > 0).tolist()
    own = clip.video
    return [
        Compared(
            name,
            _mean(_at(seam, values(video), True)),
            _mean(_at(seam, values(video), False)),
            _difference(seam, values(video)),
            _difference(seam, values(own)),
        )
        for name, values in _measures(clip).items()
    ]


def _measures(clip: Clip) -> dict[str, Values]:
    found: dict[str, Values] = {}
    if clip.flow is not None:
        along = correspondence(clip.flow, len(clip.video), 1)
        found["warp error"] = partial(_warped, along=along)
        if clip.body.any():
            found["warp error on the body"] = partial(_warped, along=along, where=clip.body)
    found["change"] = _changes
    if clip.body.any():
        found["change off the dancer"] = partial(_changes, off=clip.body)
    found["tremor"] = _tremors
    return found


def _warped(video: Tensor, along: Correspondence, where: Tensor | None = None) -> list[float]:
    """Warp error of each pair, on `where` alone if that is given."""
    pairs = range(len(video) - 1)
    each = [
        replace(along, grid=along.grid[k : k + 1], visible=along.visible[k : k + 1]) for k in pairs
    ]
    masks = [None if where is None else where[k : k + 2] for k in pairs]
    return [warp_error(video[k : k + 2], each[k], masks[k]) for k in pairs]


def _changes(video: Tensor, off: Tensor | None = None) -> list[float]:
    """Mean absolute difference of neighbours; `off` a body, where it is in neither frame."""
    change = (video[1:] - video[:-1]).abs().double().mean(1)
    if off is None:
        return [float(pair.mean()) for pair in change]
    place = (off[1:, 0] < 0.5) & (off[:-1, 0] < 0.5)
    return [float(pair[where].mean()) for pair, where in zip(change, place, strict=True)]


def _tremors(video: Tensor) -> list[float]:
    """Of a pair that of its first frame: how far it is from the middle of the frames beside it."""
    return [math.nan, *(float(tremor(video[None, k : k + 3])) for k in range(len(video) - 2))]


def _at(seam: Sequence[bool], values: Sequence[float], wanted: bool) -> list[float]:
    pairs = zip(seam, values, strict=True)
    return [value for one, value in pairs if one is wanted and math.isfinite(value)]


def _mean(values: Sequence[float]) -> Mean:
    if not values:
        return Mean(None, None, None, 0)
    value = float(np.mean(values))
    if len(values) < 2 or np.ptp(values) == 0:
        return Mean(value, None, None, len(values))
    low, high = student(np.asarray(values, np.float64), LEVEL)
    return Mean(value, low, high, len(values))


def _difference(seam: Sequence[bool], values: Sequence[float]) -> Mean:
    at, inside = _at(seam, values, True), _at(seam, values, False)
    if not at or not inside:
        return Mean(None, None, None, 0)
    value = float(np.mean(at) - np.mean(inside))
    if min(len(at), len(inside)) < 2 or np.ptp(at) + np.ptp(inside) == 0:
        return Mean(value, None, None, len(at) + len(inside))
    found = stats.ttest_ind(at, inside, equal_var=False).confidence_interval(LEVEL)
    return Mean(value, float(found.low), float(found.high), len(at) + len(inside))


def table(rows: Sequence[Compared]) -> str:
    """The measures, one a line, with their intervals."""
    heads = ["", "at seams", "inside windows", "difference", "the dance's own"]
    lines = [heads] + [
        [row.measure, *map(_said, (row.seams, row.inside, row.difference, row.own))] for row in rows
    ]
    widths = [max(len(line[i]) for line in lines) for i in range(len(heads))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )


def _said(mean: Mean) -> str:
    if mean.value is None:
        return "-"
    if mean.low is None or mean.high is None:
        return f"{mean.value:.4f}"
    return f"{mean.value:.4f} [{mean.low:.4f}, {mean.high:.4f}]"
