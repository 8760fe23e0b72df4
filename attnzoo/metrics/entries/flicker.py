"""Flicker: what trembles from frame to frame beyond the real clip's own motion."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attnzoo.metrics.registry import Better, Context, Kind, Metric, Profile, register

if TYPE_CHECKING:
    from torch import Tensor


def excess_tremor(real: Tensor, fake: Tensor, context: Context | None = None) -> Tensor:
    """See `attnzoo.metrics.flicker`."""
    from attnzoo.metrics.flicker import flicker

    return flicker(real[None], fake[None])[0]


register(
    Metric(
        name="flicker",
        label="Flicker",
        title="mean absolute second difference in time, less the real clip's",
        profiles=(Profile.strict,),
        unit="intensity",
        better=Better.zero,
        kind=Kind.clip,
        input_range="RGB float [0, 1]",
        resize="none",
        crop="none",
        clip_rule="all triples of consecutive frames",
        source="this package",
        min_frames=3,
        compute=excess_tremor,
    )
)
