"""Noise of a clip: how much of it its frames have in common."""

from __future__ import annotations

import math
from enum import Enum

import torch
from torch import Tensor


class Noise(Enum):
    """What the frames of one clip have in common in their noise (paper, section 4.2.1).

    shared: every frame has the same; independent: every frame has its own; half: equal parts of
    both, correlation 0.5 between two frames. Each frame alone is standard normal in all three.
    """

    shared = "shared"
    half = "half"
    independent = "independent"


def clip_noise(
    shape: tuple[int, int, int, int, int], noise: Noise, generator: torch.Generator
) -> Tensor:
    """Standard normal noise `[b, f, c, h, w]`, float32, on the generator's device.

    The shared part is drawn first, so `shared` and `half` from equal seeds share it.
    """
    b, f, c, h, w = shape

    def draw(frames: int) -> Tensor:
        return torch.randn(
            (b, frames, c, h, w), generator=generator, device=generator.device, dtype=torch.float32
        )

    if noise is Noise.independent:
        return draw(f)
    shared = draw(1).expand(b, f, c, h, w)
    if noise is Noise.shared:
        return shared.contiguous()
    return math.sqrt(0.5) * shared + math.sqrt(0.5) * draw(f)
