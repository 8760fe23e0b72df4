"""Warp error along the flow, one frame and four frames on."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from attnzoo.metrics.registry import Better, Context, Kind, Metric, NoValue, Profile, register

if TYPE_CHECKING:
    from torch import Tensor

SPANS = (1, 4)


def along_flow(span: int, real: Tensor, fake: Tensor, context: Context) -> Tensor:
    """Of the whole picture, where it is seen in both frames.

    Raises:
        NoValue: no flow is known or estimated, or no pixel stays visible.
    """
    import torch

    from attnzoo.metrics.warp_error import correspondence, warp_error

    if context.flow is None:
        raise NoValue("no flow is known or was estimated")
    value = torch.tensor(warp_error(fake, correspondence(context.flow, len(fake), span)))
    if value.isnan():
        raise NoValue(f"no pixel is seen in two frames that are {span} apart")
    return value.double()


for _span in SPANS:
    register(
        Metric(
            name=f"warp_error_{_span}",
            label=f"Warp error {_span}",
            title="colour difference along the real clip's flow, "
            f"{_span} frame{'s' * (_span > 1)} on, outside occlusions",
            profiles=(Profile.strict,),
            unit="intensity",
            better=Better.lower,
            kind=Kind.clip,
            input_range="RGB float [0, 1]",
            resize="none",
            crop="pixels seen in both frames",
            clip_rule=f"all pairs of frames {_span} apart",
            source="Lai et al. 2018, with the real clip's flow",
            min_frames=_span + 1,
            compute=partial(along_flow, _span),
        )
    )
