"""One clip of three sources: whose motion it follows when person and place come from elsewhere."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from attnzoo.data.clip import Between, Clip, PairFlow
from attnzoo.data.flow_settings import Estimation, FlowSource
from attnzoo.data.flow_source import with_flow
from attnzoo.data.source import Source
from attnzoo.errors import UserError
from attnzoo.mixing.people import Person
from attnzoo.mixing.sources import Origin


def danced(
    where: Origin, source: Source, flow: FlowSource, how: Estimation, *, follows: bool
) -> Source:
    """The dance with the flow that the variant is to follow.

    What moves in the clip that is to be made is the dance, so flow is the dance's: its geometry,
    surface coordinates, joints or pictures, as `flow` and `how` say. A variant that `follows` none
    leaves it the data's own.

    Raises:
        UserError: the dance has not what that flow is taken from.
    """
    if not follows:
        return source
    try:
        return with_flow(source, flow, how)
    except UserError as error:
        raise where.wrong(error) from error


def mixed(name: str, person: Person, place: Tensor, dance: Clip, *, elsewhere: bool) -> Clip:
    """The clip to be made: `dance`, danced by `person` in `place`.

    Its video stays the dance's own, for comparison. With `elsewhere` the place is not the dance's,
    and one still picture: then nothing moves off the dancer, whatever the dance's camera did. Where
    nobody knows the dancer's outline the flow stays whole.
    """
    clip = replace(
        dance,
        name=name,
        foreground=person.foreground,
        mask=person.mask,
        reference_pose=person.pose,
        background=place,
        logo=None,
        scenario="",
    )
    if not elsewhere or not dance.body.any():
        return clip
    return replace(
        clip,
        flow=None if dance.flow is None else _flow_on(dance.body, dance.flow),
        followed=None if dance.followed is None else _followed_on(dance.body, dance.followed),
    )


def _flow_on(body: Tensor, flow: PairFlow) -> PairFlow:
    """The flow on the body; off it none, and seen in both frames where the body is in neither."""
    on = body[:, 0] > 0.5

    def pair(k: int, r: int) -> tuple[Tensor, Tensor]:
        moved, visible = flow(k, r)
        return moved * on[k], torch.where(on[k], visible, ~on[r])

    return pair


def _followed_on(body: Tensor, followed: Between) -> Between:
    on = body[:, 0] > 0.5
    return lambda k, r: followed(k, r) * on[k]
