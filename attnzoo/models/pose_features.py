"""Harmonics of surface coordinates: what makes near and far on a body easy to tell apart."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from attnzoo.data.clip import POSE_CHANNELS


class PoseFeatures(nn.Module):
    """Adds to a pose image `[..., 6, h, w]` ten channels of higher frequencies of U and V.

    Sines and cosines of 2*pi*U, 4*pi*U and 8*pi*U, cosines and sines of 2V and 4V; zero where the
    pose has no surface coordinates. Without parameters.
    """

    channels = POSE_CHANNELS + 10

    def forward(self, pose: Tensor) -> Tensor:
        """`[..., 6, h, w]` to `[..., 16, h, w]`."""
        u, c, s = (pose[..., i, :, :] for i in (3, 4, 5))
        known = (c + s) > 0
        c, s = 2 * c - 1, 2 * s - 1
        waves = []
        for k in (1, 2, 4):
            waves += [torch.sin(2 * math.pi * k * u), torch.cos(2 * math.pi * k * u)]
        for _ in range(2):
            c, s = c * c - s * s, 2 * c * s
            waves += [c, s]
        harmonics = torch.stack(waves, -3) * known.unsqueeze(-3)
        return torch.cat([pose, harmonics.to(pose.dtype)], -3)
