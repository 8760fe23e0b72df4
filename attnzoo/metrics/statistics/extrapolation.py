"""A distance against the number of videos, and its limit for infinitely many.

Fréchet distances of n videos lie above their limit by nearly a multiple of 1/n (Chong and Forsyth,
2020), so a line through the values of subsets of several sizes, over 1/n, meets the axis there.
That holds where n is well above the effective number of dimensions: below, the curve bends, which
the fit of the larger sizes alone shows.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from attnzoo.metrics.statistics.floor import SetDistance

SIZES = 8
"""Numbers of videos at which the distance is taken, evenly spaced in 1/n."""
FEWEST = 10
BEND = 0.2
"""Two fits that differ by more than this share of the measured distance do not agree."""


@dataclass(frozen=True)
class Extrapolation:
    """The curve and its end.

    counts: numbers of videos n; values: the mean distance over `repeats` random subsets of that
    number; spread: their standard deviation. limit: the line's value at 1/n = 0, which noise may
    put below zero. slope: per 1/n. measured: the distance with all videos. warning: why the limit
    should not be relied on, or None.
    """

    counts: tuple[int, ...]
    values: tuple[float, ...]
    spread: tuple[float, ...]
    repeats: int
    limit: float
    slope: float
    measured: float
    warning: str | None


def extrapolate(
    distance: SetDistance,
    real: Tensor,
    fake: Tensor,
    real_videos: Tensor,
    fake_videos: Tensor,
    *,
    repeats: int = 20,
    seed: int = 0,
) -> Extrapolation:
    """Fits `limit + slope / n` to distances of random subsets of n real and n generated videos.

    Subsets are drawn without repetition; a number that stands in both lists of videos is a pair
    and is drawn as one. From a quarter of the videos (at least 4) to all of them.

    Raises:
        ValueError: for fewer than 10 videos on either side.
    """
    own, other = real_videos.unique(), fake_videos.unique()
    paired = torch.equal(own, other)
    n = min(len(own), len(other))
    if n < FEWEST:
        raise ValueError(f"{n} videos show no limit: at least {FEWEST} are needed")
    rng = np.random.default_rng([seed, 0xE7])
    counts = np.unique(np.rint(1 / np.linspace(1 / max(4, n // 4), 1 / n, SIZES)).astype(int))

    def drawn(size: int) -> float:
        one = own[torch.from_numpy(rng.permutation(len(own))[:size])]
        two = one if paired else other[torch.from_numpy(rng.permutation(len(other))[:size])]
        return distance(real[torch.isin(real_videos, one)], fake[torch.isin(fake_videos, two)])

    found = [[drawn(int(size)) for _ in range(repeats)] for size in counts]
    values = np.array([np.mean(row) for row in found])
    slope, limit = np.polyfit(1 / counts, values, 1)
    later = counts >= np.median(counts)
    bent = np.polyfit(1 / counts[later], values[later], 1)[1]
    return Extrapolation(
        tuple(int(size) for size in counts),
        tuple(float(value) for value in values),
        tuple(float(np.std(row, ddof=1)) if repeats > 1 else 0.0 for row in found),
        repeats,
        float(limit),
        float(slope),
        float(values[-1]),
        _warning(n, float(values[-1]), float(limit), float(bent)),
    )


def _warning(n: int, measured: float, limit: float, bent: float) -> str | None:
    if abs(bent - limit) > BEND * measured:
        return (
            f"{n} videos: the larger half of the sizes alone ends at {bent:.4g}, all of them at "
            f"{limit:.4g}: the curve has not become a line in 1/n yet"
        )
    if limit < 0:
        return f"{n} videos: the limit {limit:.4g} is below zero, so not told from zero"
    return None
