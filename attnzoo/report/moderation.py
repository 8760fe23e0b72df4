"""What few seeds vary by, told with the help of all comparisons (Smyth, 2004, section 6).

Three or four values say little about their variance, and tests that take it from them alone find
hardly anything. The variances of alike comparisons are taken as drawn from one distribution, a
scaled inverse chi-square, fitted to the mean and variance of their logarithms. A comparison's
moderated variance is the mean of its own and of the fitted scale, weighted by degrees of freedom;
a test by it has those of both. Variances that are alike count for much, such that are not for
little.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import brentq
from scipy.special import digamma, polygamma

FEWEST = 3
"""Variances that a distribution is fitted to."""


@dataclass(frozen=True)
class Prior:
    """What a variance is before it is looked at: `freedom * variance / chi2(freedom)`.

    freedom: inf where the variances differ by no more than chance. count: of how many it was made,
    and own: with how many degrees of freedom each.
    """

    variance: float
    freedom: float
    count: int
    own: int

    def moderated(self, variance: float, freedom: int) -> tuple[float, float]:
        """A variance with its degrees of freedom, and those that a test by it has.

        They are at most those of all that the distribution was fitted to.
        """
        if math.isinf(self.freedom):
            return self.variance, float(self.count * self.own)
        total = self.freedom + freedom
        weighed = (self.freedom * self.variance + freedom * variance) / total
        return weighed, min(total, float(self.count * self.own))


def fitted(variances: Sequence[float], freedom: int) -> Prior | None:
    """The distribution of some variances of so many degrees of freedom each.

    None of fewer than `FEWEST` that are not zero.
    """
    known = np.array([v for v in variances if v > 0 and math.isfinite(v)])
    if len(known) < FEWEST or freedom < 1:
        return None
    logs = np.log(known) - digamma(freedom / 2) + math.log(freedom / 2)
    spread = float(logs.var(ddof=1) - polygamma(1, freedom / 2))
    mean = float(logs.mean())
    if spread <= 0:
        return Prior(math.exp(mean), math.inf, len(known), freedom)
    own = 2 * _trigamma_inverse(spread)
    scale = math.exp(mean + float(digamma(own / 2)) - math.log(own / 2))
    return Prior(scale, own, len(known), freedom)


def _trigamma_inverse(value: float) -> float:
    """The x whose trigamma is `value`, between 1e-6 and 1e12."""
    low, high = -6.0, 12.0
    ends = [float(polygamma(1, 10.0**end)) - value for end in (low, high)]
    if ends[0] <= 0 or ends[1] >= 0:
        return float(10.0 ** (low if ends[0] <= 0 else high))
    root = brentq(lambda exponent: float(polygamma(1, 10.0**exponent)) - value, low, high)
    return float(10.0**root)
