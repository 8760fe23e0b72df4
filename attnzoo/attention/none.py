"""No mechanism: what all others are compared with."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from attnzoo.attention._mechanism import Mechanism, Query, Shape
from attnzoo.registry import Kind, register

if TYPE_CHECKING:
    from attnzoo.motion import Motion


@register(
    "none",
    title="No temporal module",
    source="attnzoo's baseline: the 2-D model, frame by frame",
    kind=Kind.insert,
    modules=(),
    cost="0",
)
class NoAttention(Mechanism):
    """A delta of zero: frames know nothing of each other. A slot carries no module of it."""

    def __init__(self, channels: int, heads: int) -> None:
        """Has no parameters and no options."""
        super().__init__(channels, heads)

    def forward(self, x: Tensor, *, flow: Motion | Tensor | None = None) -> Tensor:
        """Zeros like `x` `[b, f, h, w, c]`."""
        self.check(x)
        return torch.zeros_like(x)

    def sees(self, query: Query, shape: Shape) -> Tensor:
        """Nothing."""
        return torch.zeros(shape, dtype=torch.bool)
