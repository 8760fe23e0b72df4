"""Reference of `temporal`."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from attnzoo.testing.reference._plain import attend_all


def reference(module: Any, x: Tensor, flow: Tensor | None = None) -> Tensor:
    """Each token attends to all frames at its own place."""
    wq, wk, wv = module.to_qkv.weight.chunk(3)
    deltas = []
    for clip in x:
        if module.positions.name == "sinusoidal":
            clip = clip + _positions(clip)
        attended = attend_all(
            clip @ wq.T,
            clip @ wk.T,
            clip @ wv.T,
            module.heads,
            lambda query: query[1:],
            lambda query: [(i, query[1], query[2]) for i in range(x.shape[1])],
        )
        deltas.append(attended @ module.to_out.weight.T + module.to_out.bias)
    return torch.stack(deltas)


def _positions(clip: Tensor) -> Tensor:
    f, _, _, c = clip.shape
    table = torch.zeros(f, 1, 1, c, dtype=clip.dtype)
    for i in range(f):
        for channel in range(c):
            angle = i / 10000.0 ** ((channel - channel % 2) / c)
            table[i, 0, 0, channel] = math.cos(angle) if channel % 2 else math.sin(angle)
    return table
