"""A tracked sign on the clothes: place, trembling, shape and colour."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from attnzoo.metrics.registry import Better, Context, Kind, Metric, NoValue, Profile, register

if TYPE_CHECKING:
    from torch import Tensor

MEASURES = {
    "position_error": ("logo_position", "Logo position", "pixels", "distance from its true place"),
    "jitter": ("logo_jitter", "Logo jitter", "pixels", "change of its shift from frame to frame"),
    "shape_error": ("logo_shape", "Logo shape", "1", "1 less its correlation with the real one"),
    "colour_error": ("logo_colour", "Logo colour", "intensity", "difference of its mean colour"),
}
"""By property of `attnzoo.metrics.logo.Track`: name, label, unit and what it is."""


def tracked(measure: str, real: Tensor, fake: Tensor, context: Context) -> Tensor:
    """`context.more["logo"]` is `[f, 1, H, W]`, 1 where the real frame shows the sign.

    Raises:
        NoValue: no sign is known, it is never seen, or (colour) never found.
    """
    import torch

    from attnzoo.metrics.logo import track

    if "logo" not in context.more:
        raise NoValue("no sign on the clothes is known")
    value = float(getattr(track(real, fake, context.more["logo"]), measure))
    if value != value:
        raise NoValue("the sign is never seen or found")
    return torch.tensor(value, dtype=torch.float64)


for _measure, (_name, _label, _unit, _what) in MEASURES.items():
    register(
        Metric(
            name=_name,
            label=_label,
            title=f"{_what}, tracked by correlation; a lost sign counts as far as was looked",
            profiles=(Profile.strict,),
            unit=_unit,
            better=Better.lower,
            kind=Kind.clip,
            input_range="RGB float [0, 1]",
            resize="none",
            crop="the sign and a pixel about it",
            clip_rule="frames that show at least half of the sign",
            source="this package",
            min_frames=2,
            compute=partial(tracked, _measure),
        )
    )
