"""Blur of every frame."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from attnzoo.damage._damage import Damage, Kind, Scene, register, scale


def blurred(images: Tensor, sigma: float) -> Tensor:
    """Images `[m, c, H, W]` under a Gaussian of `sigma` pixels, edges repeated."""
    radius = max(1, round(3 * sigma))
    offsets = torch.arange(-radius, radius + 1, dtype=images.dtype, device=images.device)
    kernel = torch.exp(-(offsets**2) / (2 * sigma**2))
    kernel = kernel / kernel.sum()
    x = F.pad(images, (radius,) * 4, mode="replicate").flatten(0, 1).unsqueeze(1)
    x = F.conv2d(F.conv2d(x, kernel.view(1, 1, 1, -1)), kernel.view(1, 1, -1, 1))
    return x.reshape(images.shape)


def _apply(clip: Tensor, grade: float, scene: Scene) -> Tensor:
    return blurred(clip, grade * scale(clip))


register(
    Damage(
        name="blur",
        title="Gaussian blur, the same in all frames",
        kind=Kind.spatial,
        unit="pixels of 64",
        grades=(0.4, 0.6, 0.9, 1.3, 2.0),
        apply=_apply,
    )
)
