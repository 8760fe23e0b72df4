"""What difference a number of videos can carry at all."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from scipy import stats

POWER = 0.8


def detectable(
    differences: Sequence[float],
    *,
    comparisons: int = 1,
    level: float = 0.95,
    power: float = POWER,
) -> float | None:
    """The smallest true mean difference that a paired test would find with probability `power`.

    From the standard deviation of the differences per video, by Student's t; of several
    `comparisons` each has its share of `1 - level` (Holm's first step). None for a single video.

    Raises:
        ValueError: for no differences or less than one comparison.
    """
    n = len(differences)
    if n < 1 or comparisons < 1:
        raise ValueError(f"{n} differences and {comparisons} comparisons: at least one of each")
    if n == 1:
        return None
    tail = (1 - level) / comparisons / 2
    factor = stats.t.ppf(1 - tail, n - 1) + stats.t.ppf(power, n - 1)
    return float(factor * np.std(differences, ddof=1) / math.sqrt(n))


def small_sample_warning(
    differences: Sequence[float], *, comparisons: int = 1, level: float = 0.95
) -> str | None:
    """Why this number of videos cannot carry a difference like the one seen; None if it can."""
    n, alpha = len(differences), 1 - level
    least = 2 / 2**n
    if least > alpha / comparisons:
        enough = math.ceil(1 + math.log2(comparisons / alpha))
        return (
            f"{n} video{'s' * (n > 1)} can show nothing at {alpha:.0%} in {comparisons} "
            f"comparison{'s' * (comparisons > 1)}: the least p there is is {least:.2g}; {enough} "
            "videos are the least"
        )
    smallest = detectable(differences, comparisons=comparisons, level=level)
    seen = abs(float(np.mean(differences)))
    if smallest is None or seen >= smallest:
        return None
    return (
        f"{n} videos carry differences from {smallest:.3g} on ({POWER:.0%} power, "
        f"{comparisons} comparison{'s' * (comparisons > 1)}); the one seen is {seen:.3g}"
    )
