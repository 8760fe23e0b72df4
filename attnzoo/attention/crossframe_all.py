"""Cross-frame attention to all frames."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from attnzoo.attention._backend import Backend
from attnzoo.attention._crossframe import CrossFrame
from attnzoo.attention._mechanism import Query, Shape
from attnzoo.registry import Kind, register

if TYPE_CHECKING:
    from attnzoo.motion import Motion


@register(
    "crossframe_all",
    title="Cross-frame attention, all frames",
    source="ControlVideo [52], as in Dance-Your-Latents, table 2",
    kind=Kind.replace,
    last_linear="to_out.0",
    cost="4*b*(f*h*w)**2*c",
)
class CrossFrameAll(CrossFrame):
    """All tokens of all frames attend to each other.

    `include_self` changes nothing, since every frame is among the keys anyway; it is here so that
    a sweep over `crossframe_*` may set it.
    """

    def __init__(
        self,
        channels: int,
        heads: int,
        *,
        include_self: bool = False,
        backend: Backend = Backend.auto,
    ) -> None:
        """Options: `include_self`, without effect here."""
        super().__init__(channels, heads, include_self=include_self, backend=backend)

    def forward(self, x: Tensor, *, flow: Motion | Tensor | None = None) -> Tensor:
        """`[b, f, h, w, c]` to the same shape."""
        self.check(x)
        tokens = x.flatten(1, 3)
        delta = self.attend(self.to_q(tokens), self.to_k(tokens), self.to_v(tokens))
        return delta.reshape(x.shape)

    def sees(self, query: Query, shape: Shape) -> Tensor:
        """Everything."""
        return torch.ones(shape, dtype=torch.bool)
