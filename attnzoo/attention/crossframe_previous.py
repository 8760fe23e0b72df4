"""Cross-frame attention to the frame before."""

from __future__ import annotations

from attnzoo.attention._backend import Backend
from attnzoo.attention._crossframe import OneReference
from attnzoo.registry import Kind, register


@register(
    "crossframe_previous",
    title="Cross-frame attention, previous frame",
    source="Tune-A-Video [48] without its first frame, as in Dance-Your-Latents, table 2",
    kind=Kind.replace,
    last_linear="to_out.0",
    cost="4*b*f*(h*w)**2*c*(1+include_self)",
)
class CrossFramePrevious(OneReference):
    """Every frame attends to the frame before it, the first to itself.

    Frames but the first do not see themselves unless `include_self` is set.
    """

    def __init__(
        self,
        channels: int,
        heads: int,
        *,
        include_self: bool = False,
        backend: Backend = Backend.auto,
    ) -> None:
        """Options: `include_self` adds the query's own frame to keys and values."""
        super().__init__(channels, heads, include_self=include_self, backend=backend)

    def references(self, frames: int) -> list[int]:
        """Frame max(i-1, 0) for frame i."""
        return [max(i - 1, 0) for i in range(frames)]
