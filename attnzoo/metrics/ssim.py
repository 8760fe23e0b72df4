"""Structural similarity (Wang, Bovik, Sheikh and Simoncelli, 2004), on RGB in floating point.

The window is the original's: a Gaussian of 11x11 pixels and sigma 1.5, covariances without the
n - 1 correction, constants 0.01 and 0.03 at a data range of 1. That is
`skimage.metrics.structural_similarity(..., channel_axis=0, data_range=1, gaussian_weights=True,
sigma=1.5, use_sample_covariance=False)`, which leaves out a border of 5 pixels, as is done here.
DisCo's SSIM differs: 8-bit grey pictures and a uniform 7x7 window.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

RADIUS = 5
SIGMA = 1.5
C1, C2 = 0.01**2, 0.03**2


def ssim(real: Tensor, fake: Tensor) -> Tensor:
    """Mean structural similarity per clip, `[n]` float64, from clips `[n, f, 3, H, W]`.

    Computed in float64: variances are differences of squares and small against C2.

    Raises:
        ValueError: for unequal shapes, or pictures smaller than the window of 11 pixels.
    """
    if real.shape != fake.shape:
        raise ValueError(f"shapes differ: {tuple(real.shape)} and {tuple(fake.shape)}")
    if min(real.shape[-2:]) <= 2 * RADIUS:
        raise ValueError(
            f"SSIM needs at least {2 * RADIUS + 1} pixels a side, not {tuple(real.shape[-2:])}"
        )
    # Clip by clip: five filtered float64 copies of all of them would be the largest thing alive.
    return torch.stack([_map(a, b).mean() for a, b in zip(real, fake, strict=True)])


def _map(real: Tensor, fake: Tensor) -> Tensor:
    """Similarity at each pixel whose window lies inside the picture, `[f * 3, 1, H-10, W-10]`."""
    x = real.double().flatten(0, 1).unsqueeze(1)
    y = fake.double().flatten(0, 1).unsqueeze(1)
    mean_x, mean_y = _blur(x), _blur(y)
    variance_x = _blur(x * x) - mean_x * mean_x
    variance_y = _blur(y * y) - mean_y * mean_y
    covariance = _blur(x * y) - mean_x * mean_y
    numerator = (2 * mean_x * mean_y + C1) * (2 * covariance + C2)
    return numerator / ((mean_x**2 + mean_y**2 + C1) * (variance_x + variance_y + C2))


def _blur(images: Tensor) -> Tensor:
    """Gaussian average, one axis after the other, no padding."""
    offsets = torch.arange(-RADIUS, RADIUS + 1, dtype=images.dtype, device=images.device)
    kernel = torch.exp(-(offsets**2) / (2 * SIGMA**2))
    kernel = kernel / kernel.sum()
    rows = F.conv2d(images, kernel.view(1, 1, 1, -1))
    return F.conv2d(rows, kernel.view(1, 1, -1, 1))
