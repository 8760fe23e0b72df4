"""Cross-frame attention to the first frame."""

from __future__ import annotations

from attnzoo.attention._backend import Backend
from attnzoo.attention._crossframe import OneReference
from attnzoo.registry import Kind, register


@register(
    "crossframe_first",
    title="Cross-frame attention, first frame",
    source="Text2Video-Zero [19], as in Dance-Your-Latents, table 2",
    kind=Kind.replace,
    last_linear="to_out.0",
    cost="4*b*f*(h*w)**2*c*(1+include_self)",
)
class CrossFrameFirst(OneReference):
    """Every frame attends to frame 0, as Text2Video-Zero's processor does.

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
        """Frame 0 for each."""
        return [0] * frames
