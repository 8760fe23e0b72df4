"""Frame positions: tells the 2-D U-Net which frame of its clip an image is."""

from __future__ import annotations

from typing import Any

import torch
from diffusers.models.embeddings import get_timestep_embedding
from torch import Tensor, nn

from attnzoo.models.slots import ClipContext


class FramePositions(nn.Module):
    """Sinusoids of the frame's index through a zero-initialised linear, added to a time embedding.

    Runs as forward hook of the U-Net's `time_embedding`, whose output it adds to; at the start it
    adds exactly zero. `width` is the number of sinusoids, `channels` that of the time embedding.
    """

    def __init__(self, width: int, channels: int, context: ClipContext) -> None:
        """Adds exactly zero until trained."""
        super().__init__()
        self.width = width
        self.context = context
        self.linear = nn.Linear(width, channels)
        nn.init.zeros_(self.linear.weight)
        nn.init.zeros_(self.linear.bias)

    def forward(self, frames: int) -> Tensor:
        """The embedding of the frames 0 to `frames` - 1: `[frames, channels]`."""
        weight = self.linear.weight
        index = torch.arange(frames, device=weight.device)
        embedding: Tensor = self.linear(get_timestep_embedding(index, self.width).to(weight.dtype))
        return embedding

    def after_time_embedding(self, host: nn.Module, args: Any, embedding: Tensor) -> Tensor:
        """Forward hook: `[(b f), channels]` to the same plus each frame's own position."""
        clips = self.context.clips(embedding.shape[0])
        frames: Tensor = self(self.context.frames)
        return embedding + frames.to(embedding.dtype).repeat(clips, 1)
