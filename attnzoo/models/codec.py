"""Pictures to latents and back."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn


class PixelShuffleCodec(nn.Module):
    """Lossless latents: each square of `factor` pixels becomes one cell of 3 * factor^2 channels.

    The embedded model needs no auto-encoder at 64 pixels; this has the interface of one.
    """

    def __init__(self, factor: int = 2) -> None:
        super().__init__()
        self.factor = factor
        self.channels = 3 * factor**2

    def encode(self, images: Tensor) -> Tensor:
        """Images `[..., 3, H, W]` in [0, 1] -> latents `[..., c, H/factor, W/factor]`."""
        return F.pixel_unshuffle(images * 2 - 1, self.factor)

    def decode(self, latents: Tensor) -> Tensor:
        """The inverse of `encode`, clipped to [0, 1]."""
        return (F.pixel_shuffle(latents, self.factor) / 2 + 0.5).clamp(0, 1)
