"""NATTEN's neighbourhood attention with a stride of its window, which is windowed attention."""

from __future__ import annotations

import importlib
import importlib.util
from typing import Any

import torch
from torch import Tensor, nn

from attnzoo.bench.module_peers import ModulePeer


class NattenWindows(nn.Module):
    """`natten.na3d` with stride = kernel: each window attends to itself; no shift, no bias."""

    def __init__(self, mechanism: Any) -> None:
        """`mechanism` is an unshifted `stsa` without bias; its layers are shared."""
        super().__init__()
        if mechanism.shift or mechanism.bias_table is not None:
            raise ValueError("this peer has neither shift nor bias")
        self.size: tuple[int, int, int] = mechanism.size
        self.heads: int = mechanism.heads
        self.to_qkv: nn.Linear = mechanism.to_qkv
        self.to_out: nn.Linear = mechanism.to_out

    def forward(self, x: Tensor, *, flow: object = None) -> Tensor:
        """`[b, f, h, w, c]` to the same shape."""
        na3d = importlib.import_module("natten").na3d
        q, k, v = self.to_qkv(x).unflatten(-1, (3, self.heads, -1)).unbind(-3)
        size = tuple(min(s, n) for s, n in zip(self.size, x.shape[1:4], strict=True))
        delta: Tensor = self.to_out(na3d(q, k, v, kernel_size=size, stride=size).flatten(-2))
        return delta


def _missing(device: torch.device) -> str | None:
    if importlib.util.find_spec("natten") is None:
        return "the package natten is not installed"
    if device.type == "cpu":
        return "natten's kernels need a CUDA device"
    return None


PEER = ModulePeer(
    "natten",
    "NATTEN's na3d with a stride of its window, unshifted",
    ("stsa",),
    NattenWindows,
    _missing,
)
