"""Temporal attention: every place for itself, along the frames."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from attnzoo.attention._backend import Backend, attention
from attnzoo.attention._mechanism import Mechanism, Query, Shape, sinusoid
from attnzoo.attention._streamed import can_stream, streamed
from attnzoo.attention._subspace import regular_plan
from attnzoo.registry import Kind, register

if TYPE_CHECKING:
    from attnzoo.motion import Motion


class Positions(Enum):
    """What tells the module the order of the frames.

    none: nothing here (Tune-A-Video; the U-Net's frame positions remain); sinusoidal: added to
    the tokens before queries, keys and values (AnimateDiff), for any number of frames.
    """

    none = "none"
    sinusoidal = "sinusoidal"


@register(
    "temporal",
    title="Temporal attention",
    source="VDM [15] and Make-A-Video [38], as in Dance-Your-Latents, section 4.3.1 and table 2",
    kind=Kind.insert,
    last_linear="to_out",
    modules=({}, {}),
    cost="4*b*f**2*h*w*c",
)
class TemporalAttention(Mechanism):
    """A token attends to the tokens of all frames at its own place.

    Two modules make a slot, as in AnimateDiff's motion module. Queries, keys and values have no
    bias, as in diffusers.
    """

    def __init__(
        self,
        channels: int,
        heads: int,
        *,
        positions: Positions = Positions.none,
        backend: Backend = Backend.auto,
    ) -> None:
        """A fused projection `to_qkv`, `[3c, c]`, and `to_out`, `[c, c]` with bias."""
        super().__init__(channels, heads, backend=backend)
        self.positions = positions
        self.to_qkv = nn.Linear(channels, 3 * channels, bias=False)
        self.to_out = nn.Linear(channels, channels)

    def forward(self, x: Tensor, *, flow: Motion | Tensor | None = None) -> Tensor:
        """`[b, f, h, w, c]` to the same shape."""
        self.check(x)
        b, f, h, w, c = x.shape
        if self.positions is Positions.sinusoidal:
            x = x + sinusoid(f, c, x)[:, None, None]
        if self.backend is Backend.auto and can_stream(x, self.to_qkv, self.to_out):
            # Places are windows of one row and one column over all frames.
            plan = regular_plan(b, (f, h, w), (f, 1, 1), False, False, x.device)
            rows = x.reshape(-1, c)
            return streamed(rows, plan, self.to_qkv, self.to_out, self.heads, None).view(x.shape)
        tokens = x.reshape(b, f, h * w, c).transpose(1, 2).reshape(b * h * w, f, c)
        q, k, v = self.to_qkv(tokens).unflatten(-1, (3, self.heads, -1)).unbind(2)
        delta: Tensor = self.to_out(attention(q, k, v, backend=self.backend).flatten(2))
        return delta.reshape(b, h * w, f, c).transpose(1, 2).reshape(b, f, h, w, c)

    def sees(self, query: Query, shape: Shape) -> Tensor:
        """All frames at the query's place."""
        mask = torch.zeros(shape, dtype=torch.bool)
        mask[:, query[1], query[2]] = True
        return mask
