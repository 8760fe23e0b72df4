"""What every mechanism is: a module from `[b, f, h, w, c]` to its delta of the same shape."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from attnzoo.attention._backend import Backend, refuse_missing
from attnzoo.errors import UserError

if TYPE_CHECKING:
    from attnzoo.motion import Motion

Query = tuple[int, int, int]
"""A token by frame, row and column."""

Shape = tuple[int, int, int]
"""Frames, rows and columns of a clip of tokens."""


class Mechanism(nn.Module, ABC):
    """Base of all mechanisms: `channels` c in `heads` heads, attention by `backend`.

    A mechanism returns its delta only; norm, residual and the identity at the start belong to the
    slot that carries it.
    """

    def __init__(self, channels: int, heads: int, *, backend: Backend = Backend.auto) -> None:
        """UserError unless both are positive, `heads` divides `channels`, and `backend` is here."""
        super().__init__()
        for name, value in (("channels", channels), ("heads", heads)):
            if not isinstance(value, int) or isinstance(value, bool) or value < 1:
                raise UserError(f"{name}={value!r} must be a positive integer")
        if channels % heads:
            raise UserError(f"channels={channels} must be a multiple of heads={heads}")
        refuse_missing(backend)
        self.channels = channels
        self.heads = heads
        self.backend = backend

    @abstractmethod
    def forward(self, x: Tensor, *, flow: Motion | Tensor | None = None) -> Tensor:
        """The delta for `x` `[b, f, h, w, c]`, in the same shape and dtype.

        `flow` is the clip's `Motion`, or the flow of each frame to its reference frame
        `[b, f, 2, h, w]` in cells of this grid; mechanisms that need none do not look at it.
        """

    @abstractmethod
    def sees(self, query: Query, shape: Shape) -> Tensor:
        """Which tokens `[f, h, w]` bool the delta at `query` may depend on."""

    @property
    def follows(self) -> bool:
        """Whether motion makes a difference to this module, where its entry needs flow."""
        return True

    def check(self, x: Tensor) -> None:
        """ValueError unless `x` is `[b, f, h, w, c]` with this mechanism's c."""
        if x.dim() != 5 or x.shape[-1] != self.channels:
            raise ValueError(f"x must be [b, f, h, w, {self.channels}], not {list(x.shape)}")


def sinusoid(length: int, channels: int, like: Tensor) -> Tensor:
    """Sinusoidal positions 0..length-1, `[length, channels]`: sines in even channels (Vaswani)."""
    dtype = torch.promote_types(like.dtype, torch.float32)
    pair = torch.arange(0, channels, 2, device=like.device, dtype=dtype)
    frequency = torch.exp(pair * (-math.log(10000.0) / channels))
    angle = torch.arange(length, device=like.device, dtype=dtype)[:, None] * frequency
    table = torch.stack([angle.sin(), angle.cos()], dim=-1).flatten(1)
    return table[:, :channels].to(like.dtype)
