"""Cross-frame attention as Text2Video-Zero's and FateZero's processors run it."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention

from attnzoo.bench.module_peers import ModulePeer


class PerFrameKeys(nn.Module):
    """Keys and values of every frame are computed, and those of the reference frame repeated."""

    def __init__(self, mechanism: Any) -> None:
        """`mechanism` is a `crossframe_*` with one reference; its layers are shared."""
        super().__init__()
        if mechanism.include_self:
            raise ValueError("this peer has the reference frame alone among its keys")
        self.heads: int = mechanism.heads
        self.to_q: nn.Linear = mechanism.to_q
        self.to_k: nn.Linear = mechanism.to_k
        self.to_v: nn.Linear = mechanism.to_v
        self.to_out: nn.ModuleList = mechanism.to_out
        self._references = mechanism.references

    def forward(self, x: Tensor, *, flow: object = None) -> Tensor:
        """`[b, f, h, w, c]` to the same shape."""
        b, f = x.shape[:2]
        tokens = x.flatten(0, 1).flatten(1, 2)
        chosen = torch.tensor(self._references(f), device=x.device)
        keys, values = (
            projected(tokens).unflatten(0, (b, f))[:, chosen].flatten(0, 1)
            for projected in (self.to_k, self.to_v)
        )
        q, k, v = (
            t.unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for t in (self.to_q(tokens), keys, values)
        )
        delta = scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)
        for layer in self.to_out:
            delta = layer(delta)
        return delta.view(x.shape)


PEER = ModulePeer(
    "per_frame_keys",
    "keys and values of every frame, then the reference's repeated, as Text2Video-Zero",
    ("crossframe_first", "crossframe_middle", "crossframe_previous"),
    PerFrameKeys,
)
