"""The mean of a score over videos, with its interval.

From 10 videos on the interval is the bias-corrected and accelerated bootstrap (BCa; Efron, 1987),
which follows a skewed distribution. Below, resampling a handful of values cannot reach beyond
them and its intervals are far too narrow (of two values, at most their range: 50 %, not 95 %), so
Student's t is taken there. `attnzoo.metrics.statistics.coverage` says what both are worth.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from attnzoo.metrics.statistics.interval import Interval

FEWEST_TO_RESAMPLE = 10
"""Below so many videos the interval is Student's t."""

RESAMPLES = 4999


def mean_interval(values: Sequence[float], level: float = 0.95, seed: int = 0) -> Interval:
    """Mean of one score per video, and the interval of the mean over all such videos.

    One value (or none that differs from another) has no interval: low and high are None, and
    `method` says why.

    Args:
        values: one finite number per video; average a video's clips or frames before.
        level: share of such intervals that is to hold the true mean.
        seed: of the resampling; same values and seed, same interval.

    Raises:
        ValueError: for no values, values that are not finite, or a level outside (0, 1).
    """
    found = np.asarray(values, np.float64)
    if found.ndim != 1 or not len(found):
        raise ValueError(f"a mean needs a list of at least 1 value, not {found.shape}")
    if not np.isfinite(found).all():
        raise ValueError("a score holds values that are not finite")
    check_level(level)
    n, mean = len(found), float(found.mean())
    if n == 1:
        return Interval(mean, None, None, 1, "no interval: one video")
    # A spread of mere rounding is none: BCa's acceleration would divide noise by noise.
    if np.ptp(found) <= 1e-12 * np.abs(found).max():
        return Interval(mean, None, None, n, "no interval: all values are equal")
    if n < FEWEST_TO_RESAMPLE:
        low, high = student(found, level)
        return Interval(mean, low, high, n, f"mean, Student's t over {n} videos")
    low, high = bca(found, level, seed)
    return Interval(mean, low, high, n, f"mean, BCa bootstrap over {n} videos")


def student(values: NDArray[np.float64], level: float) -> tuple[float, float]:
    """Student's t interval of the mean of `[n]` values."""
    half = stats.t.ppf((1 + level) / 2, len(values) - 1) * stats.sem(values)
    return float(values.mean() - half), float(values.mean() + half)


def bca(values: NDArray[np.float64], level: float, seed: int) -> tuple[float, float]:
    """BCa bootstrap interval of the mean of `[n]` values that are not all equal."""
    found = stats.bootstrap(
        (values,),
        np.mean,
        n_resamples=RESAMPLES,
        confidence_level=level,
        method="BCa",
        rng=np.random.default_rng([seed, 0xBCA]),
    ).confidence_interval
    return float(found.low), float(found.high)


def check_level(level: float) -> None:
    """ValueError unless it is a share between 0 and 1."""
    if not 0 < level < 1:
        raise ValueError(f"level {level}: must lie between 0 and 1, such as 0.95")
