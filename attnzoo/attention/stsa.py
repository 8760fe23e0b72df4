"""Spatial-temporal subspace attention, without alignment."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from attnzoo.attention._backend import Backend
from attnzoo.attention._mechanism import Query, Shape
from attnzoo.attention._subspace import window_of
from attnzoo.attention._subspace_attention import Bias, SubspaceMechanism
from attnzoo.registry import Kind, register

if TYPE_CHECKING:
    from attnzoo.motion import Motion


@register(
    "stsa",
    title="Spatial-temporal subspace attention",
    source="Dance-Your-Latents, section 4.3",
    kind=Kind.insert,
    last_linear="to_out",
    modules=({"shift": False}, {"shift": True}),
    cost="4*b*f*h*w*c*min(size[0],f)*min(size[1],h)*min(size[2],w)",
)
class SubspaceAttention(SubspaceMechanism):
    """A token attends to the tokens of its subspace, a window of `size` (frames, rows, columns).

    Window boundaries lie at k*s, shifted ones at floor(s/2) + k*s on each axis; windows at the
    border are cut off, never padded and never wrapped round. An axis not longer than its window
    is one group and is not shifted. Of a slot's two modules the second is shifted.
    """

    def __init__(
        self,
        channels: int,
        heads: int,
        *,
        size: tuple[int, int, int] = (4, 4, 4),
        shift: bool = False,
        bias: Bias = Bias.none,
        backend: Backend = Backend.auto,
    ) -> None:
        """Options: the window's `size`, `shift` by half, `bias` by displacement, `backend`."""
        super().__init__(channels, heads, size=size, shift=shift, bias=bias, backend=backend)

    def forward(self, x: Tensor, *, flow: Motion | Tensor | None = None) -> Tensor:
        """`[b, f, h, w, c]` to the same shape."""
        self.check(x)
        return self.attend_regularly(x)

    def sees(self, query: Query, shape: Shape) -> Tensor:
        """The query's subspace."""
        mask = torch.zeros(shape, dtype=torch.bool)
        mask[window_of(query, shape, self.size, self.shift)] = True
        return mask
