"""The motion that mechanisms follow, taken from where the settings say.

A data set's own flow stays with its clips for the metrics; what is estimated here is `followed`.
Every estimator looks at what a clip's `Looks` show, so none sees more than the data set lets it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from functools import lru_cache
from typing import TypeVar, overload

import torch
from torch import Tensor

from attnzoo.data.clip import Between, Clip, Looks
from attnzoo.data.flow import WindowFlow, dense_flow, on_grid, visible
from attnzoo.data.flow_settings import Estimation, FlowSource, Method, Span
from attnzoo.data.limbs import limb_flow
from attnzoo.data.look import Estimator, Look
from attnzoo.data.raft import Raft
from attnzoo.data.source import Source
from attnzoo.data.surface import surface_flow
from attnzoo.errors import UserError

_T = TypeVar("_T")

_USES: dict[FlowSource, tuple[str, ...]] = {
    FlowSource.exact: (),
    FlowSource.iuv: ("span", "checked"),
    FlowSource.skeleton: ("span", "checked"),
    FlowSource.classical: ("span", "checked", "masked", "method"),
    FlowSource.raft: ("span", "checked", "masked", "weights"),
}
"""The settings that a source has a use for."""

_DIRECT = (FlowSource.iuv, FlowSource.skeleton)
"""Sources that relate any two frames as well as neighbours."""


def with_flow(
    source: Source,
    flow: FlowSource = FlowSource.auto,
    how: Estimation | None = None,
    *,
    tried: bool = False,
) -> Source:
    """The same data, whose mechanisms follow the flow that is asked for.

    Args:
        source: the opened data.
        flow: where the motion comes from.
        how: how it is estimated.
        tried: the data are known to have what the source needs, and no clip is read to see it.

    Raises:
        UserError: the data have not what the source needs, a setting that it has no use for, or
            weights that are missing or of another network.
    """
    how = how or Estimation()
    chosen = source.flow if flow is FlowSource.auto else flow
    if chosen is None or chosen is FlowSource.auto:
        if how != Estimation():
            raise UserError(f"data={source.name} has no flow to which motion.* could apply")
        return source
    _refuse_unused(chosen, flow, how)
    own = chosen is source.flow and how == Estimation()
    if chosen is FlowSource.exact and not own:
        raise UserError(
            f"flow=exact: only data=embedded knows its motion exactly; data={source.name} was "
            "recorded"
        )
    if own:
        return source
    if not tried:
        _refuse_missing(source, chosen)
    follow = Follow(chosen, how, estimator(chosen, how))
    train, test = (Following(clips, follow) for clips in (source.train, source.test))
    return replace(source, train=train, test=test, flow=chosen)


def estimator(flow: FlowSource, how: Estimation) -> Estimator:
    """What estimates flow between two frames.

    Raises:
        UserError: as `attnzoo.data.raft.Raft`.
        ValueError: `flow` estimates nothing (auto, exact).
    """
    if flow is FlowSource.iuv:
        return _by_surface
    if flow is FlowSource.skeleton:
        return _by_limbs
    if flow is FlowSource.classical:
        return Classical(how.method, how.masked)
    if flow is FlowSource.raft:
        return ByRaft(_network(how.weights), how.masked)
    raise ValueError(f"flow={flow.name} is not estimated")


@dataclass(frozen=True)
class Classical:
    """Flow between grey pictures; `masked`: 0 where a pose picture shows nobody."""

    method: Method
    masked: bool

    def __call__(self, start: Look, end: Look, size: int) -> Tensor:
        """`[2, size, size]`."""
        still = start.still if self.masked else None
        return dense_flow(start.grey, end.grey, size, still, self.method)


@dataclass(frozen=True)
class ByRaft:
    """Flow by a network; `masked` as `Classical` has it."""

    network: Raft
    masked: bool

    def __call__(self, start: Look, end: Look, size: int) -> Tensor:
        """`[2, size, size]`."""
        flow = self.network(start.picture, end.picture)
        return on_grid(flow, size, start.still if self.masked else None)


def _by_surface(start: Look, end: Look, size: int) -> Tensor:
    a, b = (_there(look.surface, FlowSource.iuv) for look in (start, end))
    return on_grid(surface_flow(a, b), size)


def _by_limbs(start: Look, end: Look, size: int) -> Tensor:
    a, b = (_there(look.limbs, FlowSource.skeleton) for look in (start, end))
    return on_grid(limb_flow(a, b), size)


def _there(found: _T | str, flow: FlowSource) -> _T:
    """What a flow is taken from; UserError that says why it is not there."""
    if isinstance(found, str):
        raise UserError(f"flow={flow.name}: {found}")
    return found


@lru_cache(maxsize=1)
def _network(weights: str | None) -> Raft:
    return Raft(weights)


@dataclass(frozen=True)
class Follow:
    """How each clip gets the flow that is followed."""

    flow: FlowSource
    how: Estimation
    estimate: Estimator

    def __call__(self, clip: Clip) -> Clip:
        """The clip with `followed`."""
        assert clip.looks is not None
        frames = len(clip.video)
        return replace(clip, followed=flow_between(clip.looks, frames, self))


def flow_between(looks: Looks, frames: int, follow: Follow) -> Between:
    """The flow between any two of so many frames: direct or composed, checked or not."""

    def direct(k: int, r: int) -> Tensor:
        return looks.between(follow.estimate, k, r)

    composed = WindowFlow(direct, range(frames))
    at_once = follow.how.span is Span.direct
    if follow.how.span is Span.auto:
        at_once = follow.flow in _DIRECT

    def between(k: int, r: int) -> Tensor:
        return direct(k, r) if at_once else composed(k, r)[0]

    def checked(k: int, r: int) -> Tensor:
        there = between(k, r)
        return torch.where(visible(there, between(r, k)), there, 0.0)

    return checked if follow.how.checked else between


class Following(Sequence[Clip]):
    """Clips with the flow that mechanisms follow; made when indexed, as theirs are."""

    def __init__(self, clips: Sequence[Clip], follow: Follow) -> None:
        self.clips, self.follow = clips, follow

    def __len__(self) -> int:
        return len(self.clips)

    @overload
    def __getitem__(self, index: int) -> Clip: ...
    @overload
    def __getitem__(self, index: slice) -> Following: ...
    def __getitem__(self, index: int | slice) -> Clip | Following:
        """The clip with this number, or the sequence of several."""
        if isinstance(index, slice):
            return Following(self.clips[index], self.follow)
        return self.follow(self.clips[index])


def _refuse_unused(chosen: FlowSource, asked: FlowSource, how: Estimation) -> None:
    for field in fields(Estimation):
        value = getattr(how, field.name)
        if value != field.default and field.name not in _USES[chosen]:
            shown = getattr(value, "name", value)
            of = f"flow={chosen.name}" + (" (auto)" if asked is FlowSource.auto else "")
            users = ", ".join(s.name for s, used in _USES.items() if field.name in used)
            raise UserError(
                f"motion.{field.name}={str(shown).lower() if isinstance(value, bool) else shown}: "
                f"{of} has no use for it; flow={users} has"
            )


def _refuse_missing(source: Source, flow: FlowSource) -> None:
    """UserError unless the first clips of both parts have what the flow is taken from."""
    for clips in (source.train, source.test):
        clip = clips[0]
        if clip.looks is None:
            raise UserError(f"flow={flow.name}: data={source.name} shows nothing to take it from")
        for frame in range(len(clip.video)):
            look = clip.looks[frame]
            needed = {FlowSource.iuv: look.surface, FlowSource.skeleton: look.limbs}
            _there(needed.get(flow), flow)
