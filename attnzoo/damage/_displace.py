"""Reading a picture at other places than its own."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


def displaced(images: Tensor, field: Tensor) -> Tensor:
    """Images `[m, 3, H, W]` read at their own places plus `field` `[m, 2, H, W]` in pixels.

    Bilinear; outside the picture its edge goes on. Channel 0 is to the right.
    """
    height, width = images.shape[-2:]
    x = field[:, 0] + torch.arange(width)
    y = field[:, 1] + torch.arange(height)[:, None]
    grid = torch.stack([(2 * x + 1) / width - 1, (2 * y + 1) / height - 1], dim=-1)
    return F.grid_sample(images, grid, padding_mode="border", align_corners=False)
