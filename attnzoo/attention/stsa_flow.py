"""Spatial-temporal subspace attention, aligned by motion flow."""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple

import torch
from torch import Tensor

from attnzoo.attention._align import Align, align_maps
from attnzoo.attention._backend import Backend
from attnzoo.attention._mechanism import Query, Shape
from attnzoo.attention._subspace import (
    Plan,
    aligned_plan,
    outside_inference,
    reference_frames,
    segments,
    window_of,
)
from attnzoo.attention._subspace_attention import Bias, SubspaceMechanism
from attnzoo.errors import UserError
from attnzoo.motion import Motion
from attnzoo.registry import Kind, register


class Aligned(Enum):
    """Which modules of a slot follow the motion: all, the shifted or the unshifted ones.

    One that does not follow it is a module of `stsa`, bit for bit. With `stack=flat` a slot has
    no shifted module.
    """

    all = "all"
    shifted = "shifted"
    unshifted = "unshifted"


class Maps(NamedTuple):
    """Index maps `[b, f, h w]` int64 of aligned clips, within their frames.

    source: the patch that lies in each cell once aligned; target: the cell at which each patch's
    result is to be read.
    """

    source: Tensor
    target: Tensor


@register(
    "stsa_flow",
    title="Spatial-temporal subspace attention guided by motion flow",
    source="Dance-Your-Latents, sections 4.3 and 4.4",
    kind=Kind.insert,
    needs_flow=True,
    last_linear="to_out",
    modules=({"shift": False}, {"shift": True}),
    cost="4*b*f*h*w*c*min(size[0],f)*min(size[1],h)*min(size[2],w)",
)
class FlowSubspaceAttention(SubspaceMechanism):
    """`stsa` on a clip whose patches were moved along the flow to where they are in the middle.

    Equations 6 and 7: patch (k, p) goes to the cell nearest to p + F^{k->r}(p), r = floor((b+e)/2)
    the middle of the group b..e of frames that its subspaces hold (the actual, clipped one).
    Align once on the whole clip, attention on regular subspaces, Restore. See `Align` for what the
    paper leaves open, and `Aligned` for modules that do not follow it. Without motion the result is
    that of `stsa`, bit for bit.
    """

    def __init__(
        self,
        channels: int,
        heads: int,
        *,
        size: tuple[int, int, int] = (4, 4, 4),
        shift: bool = False,
        bias: Bias = Bias.none,
        align: Align = Align.scatter,
        aligned: Aligned = Aligned.all,
        backend: Backend = Backend.auto,
    ) -> None:
        """Options: as `stsa` has them, what `align` does about collisions, what is `aligned`."""
        super().__init__(channels, heads, size=size, shift=shift, bias=bias, backend=backend)
        self.align = align
        self.aligned = aligned

    @property
    def follows(self) -> bool:
        """Whether this module is aligned, by its place in the slot."""
        return self.aligned is Aligned.all or (self.aligned is Aligned.shifted) == self.shift

    def references(self, frames: int) -> list[int]:
        """The reference frame of each of so many frames."""
        return reference_frames(frames, self.size[0], self.shift)

    def maps(self, flow: Motion | Tensor, shape: Shape) -> Maps:
        """The index maps of `flow` for clips of `shape` (frames, rows, columns) of tokens.

        They can stand for it as `forward`'s `flow`: tensors of fixed shape, for an exported or
        compiled graph, which then need not be made again for each layer or step.

        Raises:
            ValueError: the flow tensor has another shape.
        """
        f, h, w = shape
        if isinstance(flow, Motion):
            return self._shared_maps(flow, f, h, w)
        if flow.shape != (flow.shape[0], f, 2, h, w):
            raise ValueError(f"flow must be {[flow.shape[0], f, 2, h, w]}, not {list(flow.shape)}")
        return Maps(*align_maps(flow, self.align))

    def forward(self, x: Tensor, *, flow: Motion | Tensor | Maps | None = None) -> Tensor:
        """`[b, f, h, w, c]` to the same shape.

        Raises:
            UserError: without flow.
            ValueError: the flow is not that of so many clips or frames.
        """
        self.check(x)
        if flow is None:
            raise UserError("stsa_flow needs the clip's motion: forward(x, flow=...)")
        b, f, h, w, _ = x.shape
        clips = _clips(flow)
        if clips != b:
            raise ValueError(f"motion of {clips} clips for a batch of {b}")
        if not self.follows:
            return self.attend_regularly(x)
        if isinstance(flow, Motion):
            return self.attend(x, self._kept_plan(x, flow))
        maps = flow if isinstance(flow, Maps) else self.maps(flow, (f, h, w))
        return self.attend(x, self._compose(maps, (f, h, w), x.device))

    @torch.compiler.disable  # type: ignore[untyped-decorator]
    def _kept_plan(self, x: Tensor, motion: Motion) -> Plan:
        """Out of compiled graphs: what is kept with the motion cannot be a part of them."""
        _, f, h, w, _ = x.shape
        key = ("stsa_flow", self.align, f, h, w, self.size, self.shift, self.bias_table is None)
        compose = outside_inference(self._compose)
        plan: Plan = motion.cached(
            (*key, x.device),
            lambda: compose(self._shared_maps(motion, f, h, w), (f, h, w), x.device),
        )
        return plan

    def _shared_maps(self, motion: Motion, f: int, h: int, w: int) -> Maps:
        """Align maps `[b, f, h w]`, one pair for all layers that have these references."""
        references = self.references(f)
        align = self.align
        maps: tuple[Tensor, ...] = motion.tiled(
            ("align", align, tuple(references), h, w),
            lambda source: align_maps(source.to(references, h, w), align),
        )
        return Maps(*maps)

    def _compose(self, maps: Maps, shape: Shape, device: torch.device) -> Plan:
        source, target = (m.to(device) for m in maps)
        offsets = self.bias_table is not None
        return aligned_plan(source, target, shape, self.size, self.shift, offsets)

    def sees(self, query: Query, shape: Shape, *, flow: Motion | Tensor | None = None) -> Tensor:
        """With the `flow` of one clip exactly what the query depends on.

        Without, what it may depend on for some flow: all of the frames of its group.
        """
        f, h, w = shape
        mask = torch.zeros(shape, dtype=torch.bool)
        if not self.follows:
            mask[window_of(query, shape, self.size, self.shift)] = True
            return mask
        if flow is None:
            for begin, end in segments(f, self.size[0], self.shift):
                if begin <= query[0] < end:
                    mask[begin:end] = True
            return mask
        if isinstance(flow, Motion):
            flow = flow.to(self.references(f), h, w)
        source, target = align_maps(flow[:1].cpu(), self.align)
        k, y, x = query
        cell = int(target[0, k, y * w + x])
        window = window_of((k, cell // w, cell % w), shape, self.size, self.shift)
        for frame in range(f)[window[0]]:
            mask[frame].view(-1)[source[0, frame].view(h, w)[window[1:]].flatten()] = True
        return mask


def _clips(flow: Motion | Tensor | Maps) -> int:
    if isinstance(flow, Motion):
        return flow.batch
    return len(flow.source) if isinstance(flow, Maps) else len(flow)
