"""Spatial-temporal subspace attention, aligned by motion flow."""

from __future__ import annotations

import torch
from torch import Tensor

from attnzoo.attention._align import Align, align_maps
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


@register(
    "stsa_flow",
    title="Spatial-temporal subspace attention guided by motion flow",
    source="Dance-Your-Latents, sections 4.3 and 4.4",
    kind=Kind.insert,
    needs_flow=True,
    last_linear="to_out",
    modules=({"shift": False}, {"shift": True}),
    cost="4*b*f*h*w*c*min(size[0],f)*min(size[1],h)*min(size[2],w)",
    expected_failures={
        "compile_fullgraph": "index maps are made outside the graph, whose inputs they are"
    },
)
class FlowSubspaceAttention(SubspaceMechanism):
    """`stsa` on a clip whose patches were moved along the flow to where they are in the middle.

    Equations 6 and 7: patch (k, p) goes to the cell nearest to p + F^{k->r}(p), r = floor((b+e)/2)
    the middle of the group b..e of frames that its subspaces hold (the actual, clipped one).
    Align once on the whole clip, attention on regular subspaces, Restore. See `Align` for what the
    paper leaves open. Without motion the result is that of `stsa`, bit for bit.
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
    ) -> None:
        """Options: as `stsa` has them, and what `align` does about collisions."""
        super().__init__(channels, heads, size=size, shift=shift, bias=bias)
        self.align = align

    def references(self, frames: int) -> list[int]:
        """The reference frame of each of so many frames."""
        return reference_frames(frames, self.size[0], self.shift)

    def forward(self, x: Tensor, *, flow: Motion | Tensor | None = None) -> Tensor:
        """`[b, f, h, w, c]` to the same shape.

        Raises:
            UserError: without flow.
            ValueError: the flow is not that of so many clips or frames.
        """
        self.check(x)
        return self.attend(x, self._plan(x, flow))

    @torch.compiler.disable  # type: ignore[untyped-decorator]
    def _plan(self, x: Tensor, flow: Motion | Tensor | None) -> Plan:
        """Kept out of compiled graphs: index maps are their inputs, not a part of them."""
        b, f, h, w, _ = x.shape
        if flow is None:
            raise UserError("stsa_flow needs the clip's motion: forward(x, flow=...)")
        if isinstance(flow, Motion):
            if flow.batch != b:
                raise ValueError(f"motion of {flow.batch} clips for a batch of {b}")
            motion = flow
            key = ("stsa_flow", self.align, f, h, w, self.size, self.shift, self.bias_table is None)
            return motion.cached(
                (*key, x.device),
                lambda: self._compose(self._shared_maps(motion, f, h, w), (f, h, w), x.device),
            )
        if flow.shape != (b, f, 2, h, w):
            raise ValueError(f"flow must be {[b, f, 2, h, w]}, not {list(flow.shape)}")
        return self._compose(align_maps(flow, self.align), (f, h, w), x.device)

    def _shared_maps(self, motion: Motion, f: int, h: int, w: int) -> tuple[Tensor, ...]:
        """Align maps `[b, f, h w]`, one pair for all layers that have these references."""
        references = self.references(f)
        align = self.align
        return motion.tiled(
            ("align", align, tuple(references), h, w),
            lambda source: align_maps(source.to(references, h, w), align),
        )

    @outside_inference
    def _compose(self, maps: tuple[Tensor, ...], shape: Shape, device: torch.device) -> Plan:
        source, target = (m.to(device) for m in maps)
        offsets = self.bias_table is not None
        return aligned_plan(source, target, shape, self.size, self.shift, offsets)

    def sees(self, query: Query, shape: Shape, *, flow: Motion | Tensor | None = None) -> Tensor:
        """With the `flow` of one clip exactly what the query depends on.

        Without, what it may depend on for some flow: all of the frames of its group.
        """
        f, h, w = shape
        mask = torch.zeros(shape, dtype=torch.bool)
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
