"""Fréchet distance between two Gaussians (Dowson and Landau, 1982), the FID's formula.

`|m1 - m2|^2 + tr C1 + tr C2 - 2 tr (C1 C2)^(1/2)`, squared as usual. The last trace is the sum of
the square roots of the eigenvalues of `C1^(1/2) C2 C1^(1/2)`, which is symmetric and positive
semidefinite whatever the ranks: no complex part, no epsilon on the diagonal, and fewer samples
than dimensions are no special case of the arithmetic (they do bias the value upwards).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Gaussian:
    """mean `[d]` and covariance `[d, d]`, float64."""

    mean: Tensor
    covariance: Tensor


def gaussian(features: Tensor) -> Gaussian:
    """The Gaussian with mean and covariance (n - 1) of features `[n, d]`.

    Raises:
        ValueError: for fewer than two samples, or values that are not finite.
    """
    if features.shape[0] < 2:
        raise ValueError(f"a covariance needs at least 2 samples, not {features.shape[0]}")
    values = features.double()
    if not values.isfinite().all():
        raise ValueError("features hold values that are not finite")
    mean = values.mean(dim=0)
    centred = values - mean
    return Gaussian(mean, centred.T @ centred / (len(values) - 1))


def frechet_distance(first: Gaussian, second: Gaussian) -> float:
    """Squared Fréchet distance, at least 0; float64 throughout."""
    root = _root(first.covariance)
    mixed = root @ second.covariance @ root
    overlap = _positive(torch.linalg.eigvalsh((mixed + mixed.T) / 2)).sqrt().sum()
    shift = (first.mean - second.mean).square().sum()
    distance = shift + first.covariance.trace() + second.covariance.trace() - 2 * overlap
    return max(float(distance), 0.0)


def _root(covariance: Tensor) -> Tensor:
    """The symmetric square root."""
    values, vectors = torch.linalg.eigh((covariance + covariance.T) / 2)
    root: Tensor = (vectors * _positive(values).sqrt()) @ vectors.T
    return root


def _positive(eigenvalues: Tensor) -> Tensor:
    """Eigenvalues with those that are rounding errors of zero, of either sign, set to zero.

    Their roots would be the largest error of the distance: 1e-16 becomes 1e-8.
    """
    limit = eigenvalues.abs().max() * len(eigenvalues) * torch.finfo(eigenvalues.dtype).eps
    return torch.where(eigenvalues > limit, eigenvalues, 0.0)
