"""How far equal things differ: the same cells against themselves, A against A."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from attnzoo.bench.measure import LEAST_ROUNDS, Spread


def halves(seconds: Sequence[float]) -> float | None:
    """Median of the even rounds over that of the odd ones, minus 1, without sign.

    An A/A comparison of half as many rounds, interleaved as all are; None of too few rounds, or of
    what takes no time.
    """
    if len(seconds) < LEAST_ROUNDS:
        return None
    even, odd = (Spread.of(half).median for half in (seconds[::2], seconds[1::2]))
    return abs(even / odd - 1) if odd > 0 else None


def noise(cells: Sequence[Sequence[float]]) -> float | None:
    """What 95 % of A/A comparisons stay below, as a share; None where there are none."""
    found = [one for one in map(halves, cells) if one is not None]
    return float(np.quantile(found, 0.95)) if found else None
