"""Fréchet distance between two Gaussians (Dowson and Landau, 1982), the FID's formula.

`|m1 - m2|^2 + tr C1 + tr C2 - 2 tr (C1 C2)^(1/2)`, squared as usual. With `C = FᵀF` the last trace
is the sum of the singular values of `F1 F2ᵀ`: real and not negative whatever the ranks, without an
epsilon on the diagonal. Of fewer samples than dimensions the centred samples are such an F, and
the matrix has as many rows as there are samples; so few are no special case of the arithmetic
(they do bias the value upwards).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from scipy.linalg import lapack
from torch import Tensor

SMALL = 1024
"""Up to so many rows singular values are computed as such; above, the eigenvalues of the product
with the transpose cost a fifth of the time."""


@dataclass(frozen=True)
class Gaussian:
    """mean `[d]` and covariance `[d, d]`, float64."""

    mean: Tensor
    covariance: Tensor


@dataclass(frozen=True)
class Factored:
    """mean `[d]` and F `[r, d]` with covariance `FᵀF`, float64; r is at most d."""

    mean: Tensor
    factor: Tensor


def gaussian(features: Tensor) -> Gaussian:
    """The Gaussian with mean and covariance (n - 1) of features `[n, d]`.

    Raises:
        ValueError: for fewer than two samples, or values that are not finite.
    """
    mean, scaled = centred(features)
    return Gaussian(mean, scaled.T @ scaled)


def factored(features: Tensor) -> Factored:
    """The same Gaussian, its covariance as a factor of at most `min(n, d)` rows.

    Raises:
        ValueError: for fewer than two samples, or values that are not finite.
    """
    mean, scaled = centred(features)
    samples, dimensions = scaled.shape
    return Factored(mean, scaled if samples <= dimensions else _factor(scaled.T @ scaled))


def frechet_distance(first: Gaussian | Factored, second: Gaussian | Factored) -> float:
    """Squared Fréchet distance, at least 0; float64 throughout.

    Of `factored` features it is right to rounding; a covariance has lost the directions that vary
    by less than 1e-8 of the strongest.
    """
    a, b = _with_factor(first), _with_factor(second)
    shift = (a.mean - b.mean).square().sum()
    traces = a.factor.square().sum() + b.factor.square().sum()
    return max(float(shift + traces - 2 * nuclear_norm(a.factor @ b.factor.T)), 0.0)


def nuclear_norm(matrix: Tensor) -> Tensor:
    """Sum of the singular values of a float64 matrix, a scalar."""
    if min(matrix.shape) <= SMALL:
        singular: Tensor = torch.linalg.svdvals(matrix)
        return singular.sum()
    wide = matrix if matrix.shape[0] <= matrix.shape[1] else matrix.T
    # Strong rows first: of a matrix so graded, small eigenvalues keep their relative precision.
    wide = wide[wide.square().sum(dim=1).argsort(descending=True)]
    squares: Tensor = torch.linalg.eigvalsh(wide @ wide.T)
    return squares.clamp(min=0).sqrt().sum()


def centred(features: Tensor) -> tuple[Tensor, Tensor]:
    """Mean `[d]` of features `[n, d]`, and samples less mean over the root of n - 1, float64.

    Raises:
        ValueError: for fewer than two samples, or values that are not finite.
    """
    if features.ndim != 2:
        raise ValueError(f"features are [samples, dimensions], not {tuple(features.shape)}")
    if features.shape[0] < 2:
        raise ValueError(f"a covariance needs at least 2 samples, not {features.shape[0]}")
    values = features.detach().cpu().double()
    if not values.isfinite().all():
        raise ValueError("features hold values that are not finite")
    mean = values.mean(dim=0)
    return mean, (values - mean) / (len(values) - 1) ** 0.5


def _with_factor(one: Gaussian | Factored) -> Factored:
    return one if isinstance(one, Factored) else Factored(one.mean, _factor(one.covariance))


def _factor(covariance: Tensor) -> Tensor:
    """F `[rank, d]` with `FᵀF` the covariance: Cholesky with pivots, which ends at its rank.

    What is left then is rounding, and its root would be the distance's largest error: 1e-16
    becomes 1e-8.
    """
    symmetric = ((covariance + covariance.T) / 2).cpu().double()
    lower, pivots, rank, _ = lapack.dpstrf(symmetric.numpy(), lower=1)
    factor = torch.zeros((rank, len(symmetric)), dtype=torch.float64)
    factor[:, torch.from_numpy(pivots).long() - 1] = torch.from_numpy(lower).tril()[:, :rank].T
    return factor
