"""Temporal convolution: every place for itself, over three frames."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from attnzoo.attention._mechanism import Mechanism, Query, Shape
from attnzoo.registry import Kind, register

if TYPE_CHECKING:
    from attnzoo.motion import Motion


@register(
    "temporal_conv",
    title="Temporal convolution",
    source="the temporal convolution of Make-A-Video [38], named in Dance-Your-Latents, 4.2.1",
    kind=Kind.insert,
    last_linear="to_out",
    modules=({}, {}),
    cost="0",
)
class TemporalConvolution(Mechanism):
    """A convolution of kernel 3 along the frames, SiLU, and a linear layer.

    Frames before the first and after the last count as zeros. It has exactly the parameters of
    temporal attention, 3c^2 for the kernel and c^2 + c for `to_out`. Its cost is 0 because it has
    neither scores nor values: like all projections the convolution is counted apart.
    """

    def __init__(self, channels: int, heads: int) -> None:
        """The kernel lies as one linear layer `conv`, `[c, 3c]`, over frames i-1, i, i+1."""
        super().__init__(channels, heads)
        self.conv = nn.Linear(3 * channels, channels, bias=False)
        self.to_out = nn.Linear(channels, channels)

    def forward(self, x: Tensor, *, flow: Motion | Tensor | None = None) -> Tensor:
        """`[b, f, h, w, c]` to the same shape."""
        self.check(x)
        padded = F.pad(x, (0, 0, 0, 0, 0, 0, 1, 1))
        neighbours = torch.cat([padded[:, :-2], x, padded[:, 2:]], dim=-1)
        delta: Tensor = self.to_out(F.silu(self.conv(neighbours)))
        return delta

    def sees(self, query: Query, shape: Shape) -> Tensor:
        """The query's frame and its neighbours, at the query's place."""
        i, y, x = query
        mask = torch.zeros(shape, dtype=torch.bool)
        mask[max(i - 1, 0) : i + 2, y, x] = True
        return mask
