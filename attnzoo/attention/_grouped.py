"""Attention in groups of gathered tokens, by whatever computes it."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor, nn

from attnzoo.attention._backend import Backend, attention
from attnzoo.attention._streamed import can_stream, streamed
from attnzoo.attention._subspace import Group, Plan


class Projecting(Protocol):
    """A mechanism with a fused projection of `[c]` to queries, keys and values."""

    channels: int
    heads: int
    backend: Backend
    to_qkv: nn.Linear
    to_out: nn.Linear


def grouped(module: Projecting, x: Tensor, plan: Plan, table: Tensor | None = None) -> Tensor:
    """The delta for `x` `[b, f, h, w, c]`: each token attends to the tokens of its window.

    `table` holds biases `[entries, heads]` of relative positions.
    """
    tokens = x.reshape(-1, module.channels)
    if module.backend is Backend.auto and can_stream(x, module.to_qkv, module.to_out):
        delta = streamed(tokens, plan, module.to_qkv, module.to_out, module.heads, table)
        return delta.view(x.shape)
    projected = module.to_qkv(plan.gather.take(tokens))
    parts = projected.split([g.windows * g.tokens for g in plan.groups])
    attended = [_within(module, qkv, g, table) for qkv, g in zip(parts, plan.groups, strict=True)]
    joined = attended[0] if len(attended) == 1 else torch.cat(attended)
    return plan.restore.take(module.to_out(joined)).view(x.shape)


def _within(module: Projecting, qkv: Tensor, group: Group, table: Tensor | None) -> Tensor:
    """`[windows tokens, 3c]` to `[windows tokens, c]`."""
    bias = None
    if table is not None and group.offsets is not None:
        bias = table[group.offsets].permute(2, 0, 1)
    split = qkv.view(group.windows, group.tokens, 3, module.heads, -1)
    q, k, v = split.unbind(2)
    out = attention(q, k, v, bias, backend=module.backend)
    return out.reshape(-1, module.channels)
