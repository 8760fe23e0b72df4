"""Mean absolute error: DisCo's, which depends on the resolution, and in units of intensity."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attnzoo.metrics.registry import Better, Context, Kind, Metric, Profile, register

if TYPE_CHECKING:
    from torch import Tensor


def l1_by_area(real: Tensor, fake: Tensor, context: Context | None = None) -> Tensor:
    """Mean absolute difference in 8-bit steps, divided by H * W once more, `[f]` float64."""
    a, b = ((255 * x).round().double() for x in (real, fake))
    errors: Tensor = (a - b).abs().mean(dim=(-3, -2, -1)) / (real.shape[-2] * real.shape[-1])
    return errors


def mean_absolute_error(real: Tensor, fake: Tensor, context: Context | None = None) -> Tensor:
    """Mean absolute difference of intensities in [0, 1], `[f]` float64."""
    from attnzoo.metrics.l1 import l1

    return l1(real.unsqueeze(1), fake.unsqueeze(1))


_EVERY_FRAME = "every frame; mean over frames"

register(
    Metric(
        name="l1",
        label="L1",
        title="mean absolute error / (H W): comparable at one resolution only",
        profiles=(Profile.disco,),
        unit="8-bit steps per pixel",
        better=Better.lower,
        kind=Kind.frame,
        input_range="RGB 0..255",
        resize="none",
        crop="none",
        clip_rule=_EVERY_FRAME,
        source="DisCo tool/metrics",
        compute=l1_by_area,
    )
)

register(
    Metric(
        name="l1",
        label="L1",
        title="mean absolute error",
        profiles=(Profile.strict,),
        unit="intensity",
        better=Better.lower,
        kind=Kind.frame,
        input_range="RGB float [0, 1]",
        resize="none",
        crop="none",
        clip_rule=_EVERY_FRAME,
        source="definition",
        compute=mean_absolute_error,
    )
)
