"""Peak signal-to-noise ratio: DisCo's, with its overflow, and the true one.

Until 10 April 2024 DisCo's tool squared the difference of two `uint8` arrays in `uint8`: both the
difference and the square wrap around at 256, the mean square of unrelated pictures comes out near
105, and no PSNR falls below 27.9 dB. Papers that used it print 28 to 30 dB whatever they made.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from attnzoo.metrics.registry import Better, Context, Kind, Metric, Profile, register

if TYPE_CHECKING:
    from torch import Tensor


def wrapped_psnr(real: Tensor, fake: Tensor, context: Context | None = None) -> Tensor:
    """dB per frame as `numpy.mean((a - b) ** 2)` of uint8 arrays has it, `[f]` float64."""
    import torch

    a, b = ((255 * x).round().to(torch.uint8) for x in (real, fake))
    difference = a - b  # wraps around, as numpy's does
    squares = (difference * difference).double().mean(dim=(-3, -2, -1))
    decibels = 20 * torch.log10(255 / squares.sqrt())
    return torch.where(squares == 0, 100.0, decibels)


def true_psnr(real: Tensor, fake: Tensor, context: Context | None = None) -> Tensor:
    """dB per frame in floating point at a peak of 1, `[f]` float64."""
    from attnzoo.metrics.psnr import psnr

    return psnr(real.unsqueeze(1), fake.unsqueeze(1))


_EVERY_FRAME = "every frame; mean over frames"

register(
    Metric(
        name="psnr",
        label="PSNR",
        title="20 log10(255 / sqrt(mean square)), squares wrapped around in uint8; equal: 100",
        profiles=(Profile.disco,),
        unit="dB",
        better=Better.higher,
        kind=Kind.frame,
        input_range="RGB uint8 0..255",
        resize="none",
        crop="none",
        clip_rule=_EVERY_FRAME,
        source="DisCo tool/metrics before commit 6190108",
        compute=wrapped_psnr,
    )
)

register(
    Metric(
        name="psnr",
        label="PSNR",
        title="-10 log10 of the mean square error; equal frames: 100",
        profiles=(Profile.strict,),
        unit="dB",
        better=Better.higher,
        kind=Kind.frame,
        input_range="RGB float [0, 1]",
        resize="none",
        crop="none",
        clip_rule=_EVERY_FRAME,
        source="definition",
        compute=true_psnr,
    )
)
