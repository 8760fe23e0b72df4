"""How cost grows: fitted exponents, what they predict, and what the declared formulas say."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import linregress, t

STEEPEST = 2.0
"""The exponent that is assumed where nothing was measured: all tokens with all tokens."""


@dataclass(frozen=True)
class Fit:
    """A power law through at least two points: cost = scale * size ** exponent.

    error: half the width of the exponent's 95 % interval, None of two points; r2: share of the
    logarithms' variance that the line explains.
    """

    exponent: float
    scale: float
    error: float | None
    r2: float
    points: int

    def __call__(self, size: float) -> float:
        """The cost at a size."""
        return float(self.scale * size**self.exponent)


def fit(sizes: Sequence[float], costs: Sequence[float]) -> Fit:
    """The power law by least squares of the logarithms; sizes differ, all numbers are positive."""
    x, y = np.log(sizes), np.log(costs)
    line = linregress(x, y)
    n = len(sizes)
    error = float(t.ppf(0.975, n - 2) * line.stderr) if n > 2 else None
    # A constant cost has no variance to be explained, but rounding's, and is explained whole.
    r2 = float(line.rvalue**2) if np.ptp(y) > 1e-12 else 1.0
    return Fit(float(line.slope), math.exp(float(line.intercept)), error, r2, n)


Sizes = Mapping[str, float]


def foreseeable(measured: Sequence[Sizes], sizes: Sizes) -> bool:
    """Whether there are points along every axis along which `sizes` lies elsewhere."""
    return bool(measured) and all(
        len({*(point[axis] for point in measured)}) > 1 or sizes[axis] == measured[0][axis]
        for axis in sizes
        if axis != "batch"
    )


def predict(measured: Sequence[tuple[Sizes, float]], sizes: Sizes) -> float:
    """The cost at `sizes` from measured ones of the same axes, at least one.

    From the measured point that is nearest below, along the exponents of a fit over all axes, each
    held between 1 and 2; an axis along which nothing was measured counts with exponent 2, but
    clips do not know of one another.
    """
    axes = sorted(sizes)
    points = np.log([[point[axis] for axis in axes] for point, _ in measured])
    costs = np.log([cost for _, cost in measured])
    varied = [i for i in range(len(axes)) if np.ptp(points[:, i]) > 0]
    exponents = np.array([1.0 if axis == "batch" else STEEPEST for axis in axes])
    if varied:
        design = np.c_[points[:, varied], np.ones(len(points))]
        found = np.linalg.lstsq(design, costs, rcond=None)[0][:-1]
        exponents[varied] = np.clip(found, 1.0, STEEPEST)
    target = np.log([sizes[axis] for axis in axes])
    nearest = int(np.argmin(np.abs(target - points) @ exponents))
    return float(np.exp(costs[nearest] + (target - points[nearest]) @ exponents))
