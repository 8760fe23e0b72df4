"""What few seeds vary by, told with the help of comparisons alike (Smyth, 2004, section 6).

Three or four values say little about their variance, and tests that take it from them alone find
hardly anything. The variances of alike comparisons are taken as drawn from one distribution, a
scaled inverse chi-square, fitted to the mean and variance of their logarithms. A comparison's
moderated variance is the mean of its own and of the fitted scale, weighted by degrees of freedom,
and a test by it has the sum of both.

Two things keep a test from being trusted too far. Comparisons share references, so that the fitted
scale never counts for more than a comparison's own degrees of freedom. And a variance that is too
large for the distribution, as of a training that collapses with one seed, stands by itself.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import brentq
from scipy.special import chdtri, digamma, fdtri, polygamma, zeta

FEWEST = 3
"""Variances that a distribution is fitted to."""
TOO_LARGE = 0.05
"""A variance that so few of the distribution exceed stands by itself."""

Spread = tuple[float, int]
"""A variance and its degrees of freedom."""


@dataclass(frozen=True)
class Prior:
    """What a variance is before it is looked at: `freedom * variance / chi2(freedom)`.

    freedom: inf where the variances differ by no more than chance. count: of how many it was made.
    """

    variance: float
    freedom: float
    count: int

    def moderated(self, variance: float, freedom: int) -> tuple[float, float]:
        """A variance with its degrees of freedom, and those that a test by it has."""
        if variance > self._limit(freedom) * self.variance:
            return variance, float(freedom)
        weight = min(self.freedom, float(freedom))
        total = weight + freedom
        return (weight * self.variance + freedom * variance) / total, total

    def _limit(self, freedom: int) -> float:
        """How many times `variance` only `TOO_LARGE` of all variances exceed."""
        # Quantiles of chi-square and of F; scipy.stats takes a hundred times as long for one.
        if math.isinf(self.freedom):
            return float(chdtri(freedom, TOO_LARGE)) / freedom
        return float(fdtri(freedom, self.freedom, 1 - TOO_LARGE))

    def drawn(self, rng: np.random.Generator, count: int) -> np.ndarray:
        """So many true variances."""
        if math.isinf(self.freedom):
            return np.full(count, self.variance)
        return np.asarray(self.freedom * self.variance / rng.chisquare(self.freedom, count))


def fitted(spreads: Sequence[Spread]) -> Prior | None:
    """The distribution of some variances; None of fewer than `FEWEST` that are not zero."""
    known = [(v, df) for v, df in spreads if df > 0 and v > 0 and math.isfinite(v)]
    if len(known) < FEWEST:
        return None
    variances, freedoms = (np.array(part, np.float64) for part in zip(*known, strict=True))
    logs = np.log(variances) - digamma(freedoms / 2) + np.log(freedoms / 2)
    beyond_chance = float(logs.var(ddof=1) - polygamma(1, freedoms / 2).mean())
    mean = float(logs.mean())
    if beyond_chance <= 0:
        return Prior(math.exp(mean), math.inf, len(known))
    freedom = 2 * _trigamma_inverse(beyond_chance)
    scale = math.exp(mean + float(digamma(freedom / 2)) - math.log(freedom / 2))
    return Prior(scale, freedom, len(known))


def _trigamma(x: float) -> float:
    return float(zeta(2.0, x))


def _trigamma_inverse(value: float) -> float:
    """The x whose trigamma is `value`, between 1e-6 and 1e12."""
    low, high = -6.0, 12.0
    ends = [_trigamma(10.0**end) - value for end in (low, high)]
    if ends[0] <= 0 or ends[1] >= 0:
        return float(10.0 ** (low if ends[0] <= 0 else high))
    root = brentq(lambda exponent: _trigamma(10.0**exponent) - value, low, high)
    return float(10.0**root)
