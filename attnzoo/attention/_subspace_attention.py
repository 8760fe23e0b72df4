"""Attention inside subspaces: what `stsa` and `stsa_flow` compute once they have a plan."""

from __future__ import annotations

from enum import Enum

import torch
from torch import Tensor, nn

from attnzoo.attention._backend import Backend
from attnzoo.attention._grouped import grouped
from attnzoo.attention._mechanism import Mechanism
from attnzoo.attention._subspace import (
    Plan,
    Size,
    checked_size,
    new_regular_plan,
    regular_plan,
)


class Bias(Enum):
    """What is added to the scores of two patches of a subspace, by head.

    none: nothing, as in equation 4; relative: a learned table by their displacement in frames,
    rows and columns, as in Video Swin; local: the same table, started at -2*(dy^2 + dx^2), so that
    a patch begins by looking at its own place in the other frames.
    """

    none = "none"
    relative = "relative"
    local = "local"


class SubspaceMechanism(Mechanism):
    """One attention module over the subspaces of a plan.

    Tokens are gathered in the order of their subspaces, projected, attend in one call for each
    size of subspace, are projected out and go back to their places.
    """

    def __init__(
        self,
        channels: int,
        heads: int,
        *,
        size: Size,
        shift: bool,
        bias: Bias,
        backend: Backend,
    ) -> None:
        """A fused projection `to_qkv`, `[3c, c]`, and `to_out`, `[c, c]` with bias."""
        super().__init__(channels, heads, backend=backend)
        self.size = checked_size(size)
        self.shift = shift
        self.bias = bias
        self.to_qkv = nn.Linear(channels, 3 * channels, bias=False)
        self.to_out = nn.Linear(channels, channels)
        self.bias_table: nn.Parameter | None = None
        if bias is not Bias.none:
            self.bias_table = nn.Parameter(_bias_table(self.size, heads, bias))

    def attend_regularly(self, x: Tensor) -> Tensor:
        """The delta for `x` `[b, f, h, w, c]` in subspaces as they lie, along no motion."""
        b, f, h, w, _ = x.shape
        offsets = self.bias_table is not None
        # A graph has the few operations that make a plan in it, and needs no input for them.
        make = new_regular_plan if torch.compiler.is_compiling() else regular_plan
        return self.attend(x, make(b, (f, h, w), self.size, self.shift, offsets, x.device))

    def attend(self, x: Tensor, plan: Plan) -> Tensor:
        """The delta for `x` `[b, f, h, w, c]`, whose subspaces `plan` describes."""
        return grouped(self, x, plan, self.bias_table)


def _bias_table(size: Size, heads: int, bias: Bias) -> Tensor:
    """`[(2*frames - 1)(2*rows - 1)(2*columns - 1), heads]`, as it starts."""
    table = torch.empty(*(2 * s - 1 for s in size), heads)
    if bias is Bias.relative:
        return nn.init.trunc_normal_(table, std=0.02).flatten(0, 2)
    dy = torch.arange(1 - size[1], size[1])
    dx = torch.arange(1 - size[2], size[2])
    square = dy[:, None] ** 2 + dx**2
    return (-2.0 * square)[None, :, :, None].expand(table.shape).flatten(0, 2).clone()
