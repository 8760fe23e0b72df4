"""What video networks are given for frames in bytes."""

from __future__ import annotations

import torch
from torch import Tensor

from attnzoo.metrics.clips import bicubic

KINETICS_MEAN = (114.7748, 107.7354, 99.4750)
"""RGB, of 8-bit values."""


def resnet_input(video: Tensor) -> Tensor:
    """`[f, 3, H, W]` uint8 to `[f, 3, 112, 112]`, Kinetics' mean subtracted."""
    mean = torch.tensor(KINETICS_MEAN, device=video.device).view(3, 1, 1)
    return bicubic(video, 112) - mean


def i3d_input(video: Tensor) -> Tensor:
    """`[f, 3, H, W]` uint8 to `[f, 3, 224, 224]`, 0..255 mapped to -1..1."""
    return bicubic(video, 224) / 127.5 - 1
