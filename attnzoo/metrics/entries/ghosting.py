"""Ghosting: what is left of a person where the person was and is no more."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attnzoo.metrics.registry import Better, Context, Kind, Metric, NoValue, Profile, register

if TYPE_CHECKING:
    from torch import Tensor


def left_behind(real: Tensor, fake: Tensor, context: Context) -> Tensor:
    """See `attnzoo.metrics.ghosting`.

    Raises:
        NoValue: the body is unknown, or leaves no pixel.
    """
    import torch

    from attnzoo.metrics.ghosting import ghosting

    if context.body is None or not (context.body > 0.5).any():
        raise NoValue("where the person is is not known")
    value = torch.tensor(ghosting(real, fake, context.body), dtype=torch.float64)
    if value.isnan():
        raise NoValue("the person leaves no pixel")
    return value


register(
    Metric(
        name="ghosting",
        label="Ghosting",
        title="share of the body still seen where it was in the last 4 frames and is no more",
        profiles=(Profile.strict,),
        unit="1",
        better=Better.zero,
        kind=Kind.clip,
        input_range="RGB float [0, 1]",
        resize="none",
        crop="pixels that the body has left within 4 frames",
        clip_rule="the whole video",
        source="this package",
        min_frames=2,
        compute=left_behind,
    )
)
