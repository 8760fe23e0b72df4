"""Distances of two sets of features, as entries name them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from attnzoo.metrics.registry import Distance

if TYPE_CHECKING:
    from torch import Tensor

    from attnzoo.metrics.statistics import Interval


def frechet(real: Tensor, fake: Tensor) -> float:
    """Squared Fréchet distance of Gaussians with the features' means and covariances, float64.

    Raises:
        ValueError: for fewer than two samples.
    """
    from attnzoo.metrics.frechet import factored, frechet_distance

    return frechet_distance(factored(real), factored(fake))


def _frechet_interval(
    real: Tensor,
    fake: Tensor,
    real_videos: Tensor,
    fake_videos: Tensor,
    *,
    level: float = 0.95,
    seed: int = 0,
) -> Interval:
    from attnzoo.metrics.statistics import frechet_interval

    return frechet_interval(real, fake, real_videos, fake_videos, level=level, seed=seed)


FRECHET = Distance("Fréchet", frechet, _frechet_interval)


def polynomial_mmd(real: Tensor, fake: Tensor) -> float:
    """JEDi's: 100 times the squared discrepancy of the kernel `(x.y / d)^2`, biased upwards."""
    from attnzoo.metrics.polynomial_mmd import jedi

    return jedi(real, fake)


def _kernels(real: Tensor, fake: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    x, y = real.double(), fake.double()
    d = x.shape[1]
    return (x @ x.T / d) ** 2, (y @ y.T / d) ** 2, (x @ y.T / d) ** 2


def _mmd(xx: Tensor, yy: Tensor, xy: Tensor) -> float:
    """The same of kernels that are there, of which samples are left out."""
    return 100 * float(xx.mean() + yy.mean() - 2 * xy.mean())


def _mmd_interval(
    real: Tensor,
    fake: Tensor,
    real_videos: Tensor,
    fake_videos: Tensor,
    *,
    level: float = 0.95,
    seed: int = 0,
) -> Interval:
    """Student's t interval, its spread by leaving out one video after the other.

    A number in both lists of videos is a pair and left out on both sides, as in
    `attnzoo.metrics.statistics.frechet_interval`.
    """
    from scipy import stats

    from attnzoo.metrics.statistics import Interval

    value, kernels = polynomial_mmd(real, fake), _kernels(real, fake)
    reals, fakes = set(real_videos.tolist()), set(fake_videos.tolist())
    n = min(len(reals), len(fakes))
    if n < 2:
        return Interval(value, None, None, n, "no interval: one video")
    variance = 0.0
    # Pairs, real videos alone and generated ones alone are three independent samples.
    for units in (reals & fakes, reals - fakes, fakes - reals):
        if len(units) > 1:
            left = [_without(kernels, real_videos != u, fake_videos != u) for u in sorted(units)]
            variance += (len(units) - 1) * float(np.var(left))
    half = float(stats.t.ppf((1 + level) / 2, n - 1)) * variance**0.5
    said = f"biased MMD^2 at {n} videos, jackknife over videos, Student's t"
    return Interval(value, max(value - half, 0.0), value + half, n, said)


def _without(kernels: tuple[Tensor, Tensor, Tensor], real: Tensor, fake: Tensor) -> float:
    """The discrepancy of the rows that are kept."""
    xx, yy, xy = kernels
    return _mmd(xx[real][:, real], yy[fake][:, fake], xy[real][:, fake])


POLYNOMIAL_MMD = Distance("100 x MMD^2, kernel (x.y/d)^2", polynomial_mmd, _mmd_interval)
