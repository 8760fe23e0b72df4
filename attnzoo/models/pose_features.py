"""Harmonics of coordinates: what makes near and far, on a body and in a picture, easy to tell."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from attnzoo.data.clip import POSE_CHANNELS


class PoseFeatures(nn.Module):
    """Adds to a pose image `[..., 6, h, w]` waves of its coordinates. Without parameters.

    Ten channels of the body's surface: sines and cosines of 2*pi*U, 4*pi*U and 8*pi*U, cosines and
    sines of 2V and 4V; zero where the pose has no surface coordinates. Twelve of the place in the
    picture: sines and cosines of pi, 2*pi and 4*pi times x and y in [-1, 1]. A pose picture may
    be blank, and convolutions alone do not tell one place from another.
    """

    channels = POSE_CHANNELS + 10 + 12

    def forward(self, pose: Tensor) -> Tensor:
        """`[..., 6, h, w]` to `[..., 28, h, w]`."""
        return torch.cat([pose, _surface_waves(pose), _place_waves(pose)], -3)


def _surface_waves(pose: Tensor) -> Tensor:
    u, c, s = (pose[..., i, :, :] for i in (3, 4, 5))
    known = (c + s) > 0
    c, s = 2 * c - 1, 2 * s - 1
    waves = _waves(2 * u)
    for _ in range(2):
        c, s = c * c - s * s, 2 * c * s
        waves += [c, s]
    return (torch.stack(waves, -3) * known.unsqueeze(-3)).to(pose.dtype)


def _place_waves(pose: Tensor) -> Tensor:
    height, width = pose.shape[-2:]
    y = torch.linspace(-1, 1, height, device=pose.device, dtype=pose.dtype)
    x = torch.linspace(-1, 1, width, device=pose.device, dtype=pose.dtype)
    down, across = torch.meshgrid(y, x, indexing="ij")
    waves = torch.stack(_waves(across) + _waves(down))
    return waves.expand(*pose.shape[:-3], *waves.shape)


def _waves(x: Tensor) -> list[Tensor]:
    """Sines and cosines of pi, 2*pi and 4*pi times x."""
    return [wave(k * math.pi * x) for k in (1, 2, 4) for wave in (torch.sin, torch.cos)]
