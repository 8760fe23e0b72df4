"""Whether variants differ: tests on the same videos and seeds, corrected for their number.

The test is the sign-flip permutation test of the mean difference (Fisher's randomisation of
pairs). It tests the very mean that a table shows, is exact for few videos, and assumes only that
without an effect a difference might as well have had the other sign. Wilcoxon's signed ranks test
another thing, a median of pairs, and lose ties, which bounded scores have.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from attnzoo.metrics.statistics.detectable import small_sample_warning
from attnzoo.metrics.statistics.interval import Interval
from attnzoo.metrics.statistics.mean import mean_interval

EXACT = 14
"""Up to so many videos all 2^n signs are gone through, above `FLIPS` random ones."""
FLIPS = 9_999


@dataclass(frozen=True)
class Comparison:
    """First less second, over the same videos.

    difference: its mean and interval. p: two-sided, of this test alone; adjusted: after Holm's
    correction for all tests of the table. warning: where the number of videos cannot carry a
    difference of this size, or None.
    """

    first: str
    second: str
    difference: Interval
    p: float
    adjusted: float
    warning: str | None


def sign_flip_test(differences: Sequence[float], seed: int = 0) -> float:
    """Two-sided p of the mean of one difference per video; 1 if all are zero.

    With n videos p is at least `2 / 2^n`: five cannot show anything at 5 %.

    Raises:
        ValueError: for no differences or values that are not finite.
    """
    found = np.asarray(differences, np.float64)
    if found.ndim != 1 or not len(found) or not np.isfinite(found).all():
        raise ValueError("a test needs a list of finite differences, one for each video")
    seen = abs(found.sum()) * (1 - 1e-12)
    if len(found) <= EXACT:
        signs = 1.0 - 2.0 * (np.arange(2 ** len(found))[:, None] >> np.arange(len(found)) & 1)
        return float((np.abs(signs @ found) >= seen).mean())
    signs = _signs(len(found), seed)
    # The signs that were seen are one of the possible ones: p is never zero.
    return float(((np.abs(signs @ found) >= seen).sum() + 1) / (FLIPS + 1))


@lru_cache(maxsize=4)
def _signs(n: int, seed: int) -> NDArray[np.float64]:
    """`FLIPS` random signs of n videos, the same for all tests of a table, which differ in rows."""
    rng = np.random.default_rng([seed, 0x51])
    return 1.0 - 2.0 * rng.integers(0, 2, (FLIPS, n), np.int8)


def holm(p: Sequence[float]) -> list[float]:
    """Holm's (1979) adjusted p-values, in the order given: family-wise, without assumptions."""
    values = np.asarray(p, np.float64)
    order = np.argsort(values, kind="stable")
    scaled = np.minimum(np.maximum.accumulate(values[order] * np.arange(len(p), 0, -1)), 1.0)
    adjusted = np.empty_like(scaled)
    adjusted[order] = scaled
    return [float(value) for value in adjusted]


def compare(
    scores: Mapping[str, Sequence[float] | Sequence[Sequence[float]]],
    *,
    against: str | None = None,
    level: float = 0.95,
    seed: int = 0,
) -> list[Comparison]:
    """Compares variants by one score, each with each, or all with `against`.

    Args:
        scores: by variant `[videos]`, or `[seeds, videos]`, the same videos and seeds for all.
            Seeds are averaged first: what is tested holds for these seeds and videos like these.
        against: the variant that all others are compared with, then always the second.
        level: of the intervals (each for itself), and 1 - level of the warnings.
        seed: of flips and resampling.

    Raises:
        ValueError: for unequal shapes, values that are not finite, or an unknown `against`.
    """
    rows = {name: _per_video(name, values) for name, values in scores.items()}
    lengths = {len(row) for row in rows.values()}
    if len(lengths) > 1:
        raise ValueError(f"variants have {sorted(lengths)} videos; all need the same ones")
    if against is not None and against not in rows:
        raise ValueError(f"no variant {against!r} among {', '.join(rows)}")
    pairs = [
        (a, b) for a, b in itertools.combinations(rows, 2) if against is None or against in (a, b)
    ]
    pairs = [(b, a) if a == against else (a, b) for a, b in pairs]
    found = [_compared(a, b, rows[a] - rows[b], len(pairs), level, seed) for a, b in pairs]
    adjusted = holm([one.p for one in found])
    return [replace(one, adjusted=p) for one, p in zip(found, adjusted, strict=True)]


def _per_video(name: str, values: Sequence[float] | Sequence[Sequence[float]]) -> Row:
    row = np.asarray(values, np.float64)
    if row.ndim not in (1, 2) or not row.size or not np.isfinite(row).all():
        raise ValueError(f"scores of {name!r}: finite numbers [videos] or [seeds, videos] needed")
    return row if row.ndim == 1 else np.asarray(row.mean(axis=0), np.float64)


Row = NDArray[np.float64]


def _compared(
    first: str, second: str, differences: Row, tests: int, level: float, seed: int
) -> Comparison:
    p = sign_flip_test(differences.tolist(), seed)
    interval = mean_interval(differences.tolist(), level, seed)
    warning = small_sample_warning(differences.tolist(), comparisons=tests, level=level)
    return Comparison(first, second, interval, p, p, warning)
