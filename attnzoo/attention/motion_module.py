"""AnimateDiff's motion module, whole: a small transformer along the frames."""

from __future__ import annotations

import math
from enum import Enum
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from attnzoo.attention._backend import Backend, attention
from attnzoo.attention._mechanism import Mechanism, Query, Shape, sinusoid
from attnzoo.attention._streamed import can_split, in_parts
from attnzoo.errors import UserError
from attnzoo.registry import Kind, register

if TYPE_CHECKING:
    from attnzoo.motion import Motion


class Statistics(Enum):
    """What the first norm takes mean and variance of, for each group of channels.

    clip: all frames of a clip together, as diffusers' `UNetMotionModel`; frame: each frame alone,
    as AnimateDiff's own code, with which the published weights were trained.
    """

    clip = "clip"
    frame = "frame"


@register(
    "motion_module",
    title="AnimateDiff's motion module",
    source="AnimateDiff (Guo et al., 2023), motion_module.py; diffusers' UNetMotionModel",
    kind=Kind.insert,
    last_linear="proj_out",
    norm=False,
    every_layer=True,
    cost="8*b*f**2*h*w*c*blocks",
)
class MotionModule(Mechanism):
    """GroupNorm, projection, `blocks` times two temporal attentions and a feed-forward, projection.

    Each attention has a LayerNorm and sinusoidal positions before it and a residual round it, the
    feed-forward is GEGLU of width 4c. Parameters are named as in diffusers. Heads are always
    `motion_heads`, whatever the U-Net's, as in AnimateDiff; where the number of channels is no
    multiple of `groups`, their greatest common divisor counts. Positions are computed, so clips
    may be longer than the 24 or 32 frames of the published modules. Through the first norm every
    token depends on all tokens of the clip.
    """

    def __init__(
        self,
        channels: int,
        heads: int,
        *,
        motion_heads: int = 8,
        groups: int = 32,
        blocks: int = 1,
        statistics: Statistics = Statistics.clip,
        backend: Backend = Backend.auto,
    ) -> None:
        """UserError unless the numbers are positive and `motion_heads` divides `channels`."""
        super().__init__(channels, heads, backend=backend)
        for name, value in (("motion_heads", motion_heads), ("groups", groups), ("blocks", blocks)):
            if value < 1:
                raise UserError(f"motion_module: {name}={value} must be a positive integer")
        if channels % motion_heads:
            raise UserError(
                f"motion_module: channels={channels} must be a multiple of "
                f"motion_heads={motion_heads}"
            )
        self.motion_heads = motion_heads
        self.groups = groups
        self.statistics = statistics
        self.norm = _GroupNorm(math.gcd(groups, channels), channels, eps=1e-6)
        self.proj_in = nn.Linear(channels, channels)
        self.transformer_blocks = nn.ModuleList(
            [_Block(channels, motion_heads, backend) for _ in range(blocks)]
        )
        self.proj_out = nn.Linear(channels, channels)

    def forward(self, x: Tensor, *, flow: Motion | Tensor | None = None) -> Tensor:
        """`[b, f, h, w, c]` to the same shape."""
        self.check(x)
        b, f, h, w, c = x.shape
        split = can_split(x, self)
        normed = self._normed(x, copied=not split).reshape(b, f, h * w, c)
        tokens = normed.transpose(1, 2).reshape(b * h * w, f, c)
        # In parts the feed-forward's 8c channels stay in the cache.
        parts = in_parts(tokens) if split else (tokens,)
        delta = torch.cat([self._along_frames(part) for part in parts])
        return delta.reshape(b, h * w, f, c).transpose(1, 2).reshape(b, f, h, w, c)

    def _along_frames(self, tokens: Tensor) -> Tensor:
        """`[places, f, c]` to the same shape."""
        tokens = self.proj_in(tokens)
        for block in self.transformer_blocks:
            tokens = block(tokens)
        delta: Tensor = self.proj_out(tokens)
        return delta

    def _normed(self, x: Tensor, *, copied: bool = True) -> Tensor:
        merged = x if self.statistics is Statistics.clip else x.flatten(0, 1)
        if not copied and x.dtype in (torch.float32, torch.float64):
            return self.norm.of_rows(merged.flatten(1, -2)).view(x.shape)
        normed: Tensor = self.norm(merged.movedim(-1, 1).contiguous())
        return normed.movedim(1, -1).reshape(x.shape)

    def sees(self, query: Query, shape: Shape) -> Tensor:
        """Everything, through the norm's statistics."""
        return torch.ones(shape, dtype=torch.bool)


class _GroupNorm(nn.GroupNorm):
    """Also of a clip of one token in groups of one channel, which `F.group_norm` refuses."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.group_norm(x, self.num_groups, self.weight, self.bias, self.eps)

    def of_rows(self, x: Tensor) -> Tensor:
        """The norm of `[b, n, c]` over n, without gradients and a copy to channels first."""
        normed = torch.empty_like(x)
        for rows, result in zip(x, normed, strict=True):
            # Batch norm's statistics: the one fast way to mean and variance of columns.
            _, mean, inverse = torch.native_batch_norm(
                rows, None, None, None, None, True, 0.0, self.eps
            )
            of_group = mean.view(self.num_groups, -1)
            within = (inverse**-2 - self.eps).clamp(min=0).view_as(of_group)
            variance = within.mean(1) + of_group.var(1, correction=0)
            scale = self._each(variance.add(self.eps).rsqrt()) * self.weight
            shift = self.bias - self._each(of_group.mean(1)) * scale
            torch.addcmul(shift, rows, scale, out=result)
        return normed

    def _each(self, of_group: Tensor) -> Tensor:
        """Values of groups for each of their channels."""
        return of_group.repeat_interleave(self.num_channels // self.num_groups)


class _Block(nn.Module):
    """Two attentions along the frames and a feed-forward, on `[n, f, c]`."""

    def __init__(self, channels: int, heads: int, backend: Backend) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(channels)
        self.attn1 = _Attention(channels, heads, backend)
        self.norm2 = nn.LayerNorm(channels)
        self.attn2 = _Attention(channels, heads, backend)
        self.norm3 = nn.LayerNorm(channels)
        self.ff = _FeedForward(channels)

    def forward(self, x: Tensor) -> Tensor:
        positions = sinusoid(x.shape[1], x.shape[2], x)
        x = x + self.attn1(self.norm1(x) + positions)
        x = x + self.attn2(self.norm2(x) + positions)
        result: Tensor = x + self.ff(self.norm3(x))
        return result


class _Attention(nn.Module):
    """Self-attention along the frames, with the names of diffusers' `Attention`."""

    def __init__(self, channels: int, heads: int, backend: Backend) -> None:
        super().__init__()
        self.heads = heads
        self.backend = backend
        self.to_q = nn.Linear(channels, channels, bias=False)
        self.to_k = nn.Linear(channels, channels, bias=False)
        self.to_v = nn.Linear(channels, channels, bias=False)
        self.to_out = nn.ModuleList([nn.Linear(channels, channels), nn.Dropout(0.0)])

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = (
            layer(x).unflatten(-1, (self.heads, -1)) for layer in (self.to_q, self.to_k, self.to_v)
        )
        out = attention(q, k, v, backend=self.backend).flatten(2)
        for layer in self.to_out:
            out = layer(out)
        return out


class _FeedForward(nn.Module):
    """GEGLU and a linear layer, with the names of diffusers' `FeedForward`."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        inner = 4 * channels
        self.net = nn.ModuleList(
            [_GEGLU(channels, inner), nn.Dropout(0.0), nn.Linear(inner, channels)]
        )

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.net:
            x = layer(x)
        return x


class _GEGLU(nn.Module):
    def __init__(self, channels: int, inner: int) -> None:
        super().__init__()
        self.proj = nn.Linear(channels, 2 * inner)

    def forward(self, x: Tensor) -> Tensor:
        value, gate = self.proj(x).chunk(2, dim=-1)
        result: Tensor = value * F.gelu(gate)
        return result
