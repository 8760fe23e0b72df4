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
    """Squared maximum mean discrepancy of the kernel `(x.y / d)^2`, times 100, float64.

    Means over whole kernel matrices, diagonals included, as in JEDi: never negative, and biased
    upwards by the number of samples.
    """
    return _mmd(*_kernels(real, fake))


def _kernels(real: Tensor, fake: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    x, y = real.double(), fake.double()
    d = x.shape[1]
    return (x @ x.T / d) ** 2, (y @ y.T / d) ** 2, (x @ y.T / d) ** 2


def _mmd(xx: Tensor, yy: Tensor, xy: Tensor) -> float:
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
    """Normal interval, its spread by leaving out one video after the other on either side."""
    from scipy import stats

    from attnzoo.metrics.statistics import Interval

    xx, yy, xy = _kernels(real, fake)
    value, variance, counts = _mmd(xx, yy, xy), 0.0, []
    for side, videos in ((0, real_videos), (1, fake_videos)):
        others = [
            _mmd(xx[k][:, k], yy, xy[k]) if side == 0 else _mmd(xx, yy[k][:, k], xy[:, k])
            for k in (videos != number for number in videos.unique())
            if k.any()
        ]
        n = len(others)
        counts.append(int(videos.unique().numel()))
        variance += (
            (n - 1) / n * float(np.square(np.array(others) - np.mean(others)).sum()) if n else 0
        )
    n = min(counts)
    if n < 2:
        return Interval(value, None, None, n, "no interval: one video")
    half = float(stats.norm.ppf((1 + level) / 2)) * variance**0.5
    said = f"jackknife over {n} videos, of the biased estimate at this number of videos"
    return Interval(value, value - half, value + half, n, said)


POLYNOMIAL_MMD = Distance("100 x MMD^2, kernel (x.y/d)^2", polynomial_mmd, _mmd_interval)
