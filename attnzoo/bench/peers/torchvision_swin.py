"""torchvision's own module of Video Swin's windowed attention."""

from __future__ import annotations

import importlib.util
from typing import Any

import torch
from torch import Tensor, nn

from attnzoo.bench.module_peers import ModulePeer


class TorchvisionWindows(nn.Module):
    """`ShiftedWindowAttention3d` with our weights; its bias table is ours, or zero."""

    def __init__(self, mechanism: Any) -> None:
        """`mechanism` is a `stsa`; its layers are taken over, shared and not copied."""
        super().__init__()
        from torchvision.models.video.swin_transformer import ShiftedWindowAttention3d

        size, shift = list(mechanism.size), [s // 2 * mechanism.shift for s in mechanism.size]
        weight = mechanism.to_qkv.weight
        inner = ShiftedWindowAttention3d(
            mechanism.channels, size, shift, mechanism.heads, qkv_bias=False
        ).to(weight.device, weight.dtype)
        inner.qkv, inner.proj = mechanism.to_qkv, mechanism.to_out
        if mechanism.bias_table is None:
            inner.relative_position_bias_table.detach().zero_().requires_grad_(False)
        else:
            inner.relative_position_bias_table = mechanism.bias_table
        self.inner = inner

    def forward(self, x: Tensor, *, flow: object = None) -> Tensor:
        """`[b, f, h, w, c]` to the same shape."""
        found: Tensor = self.inner(x)
        return found


def _missing(device: torch.device) -> str | None:
    if importlib.util.find_spec("torchvision") is None:
        return "the package torchvision is not installed; pip install 'attnzoo[flow]'"
    return None


PEER = ModulePeer(
    "torchvision",
    "torchvision's ShiftedWindowAttention3d",
    ("stsa",),
    TorchvisionWindows,
    _missing,
)
