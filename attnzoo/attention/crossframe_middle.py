"""Cross-frame attention to the middle frame."""

from __future__ import annotations

from enum import Enum

from attnzoo.attention._backend import Backend
from attnzoo.attention._crossframe import OneReference
from attnzoo.registry import Kind, register


class Reference(Enum):
    """Whose middle.

    clip: the clip's, (F-1)//2, as FateZero's code has it; preceding: that of the frames up to the
    query's own, i//2.
    """

    clip = "clip"
    preceding = "preceding"


@register(
    "crossframe_middle",
    title="Cross-frame attention, middle frame",
    source="FateZero [29], as in Dance-Your-Latents, table 2",
    kind=Kind.replace,
    last_linear="to_out.0",
    cost="4*b*f*(h*w)**2*c*(1+include_self)",
)
class CrossFrameMiddle(OneReference):
    """Every frame attends to the middle frame.

    FateZero's text has the frame itself among the keys, its released configurations have not: the
    default follows the configurations, `include_self` the text.
    """

    def __init__(
        self,
        channels: int,
        heads: int,
        *,
        reference: Reference = Reference.clip,
        include_self: bool = False,
        backend: Backend = Backend.auto,
    ) -> None:
        """Options: see `Reference`; `include_self` adds the query's own frame."""
        super().__init__(channels, heads, include_self=include_self, backend=backend)
        self.reference = reference

    def references(self, frames: int) -> list[int]:
        """Frame (F-1)//2 for each, or i//2 for frame i."""
        if self.reference is Reference.clip:
            return [(frames - 1) // 2] * frames
        return [i // 2 for i in range(frames)]
