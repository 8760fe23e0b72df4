"""Peak signal-to-noise ratio in floating point, mean over frames of each frame's value.

No 8-bit arithmetic: DisCo's early PSNR squared wrapped-around uint8 differences and never fell
below 27.9 dB.
"""

from __future__ import annotations

from torch import Tensor

LARGEST_DB = 100.0
"""The value of identical frames, as in DisCo; infinity could be neither averaged nor stored."""


def psnr(real: Tensor, fake: Tensor) -> Tensor:
    """dB per clip at a peak of 1, `[n]` float64, from clips `[n, f, 3, H, W]`.

    Raises:
        ValueError: for unequal shapes.
    """
    if real.shape != fake.shape:
        raise ValueError(f"shapes differ: {tuple(real.shape)} and {tuple(fake.shape)}")
    squares = (real.double() - fake.double()).square().mean(dim=(-3, -2, -1))
    frames: Tensor = -10 * squares.clamp(min=10 ** (-LARGEST_DB / 10)).log10()
    return frames.mean(dim=1)
