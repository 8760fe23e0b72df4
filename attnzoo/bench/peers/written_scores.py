"""Attention over all frames with its scores written out, as processors without fused attention."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from attnzoo.bench.module_peers import ModulePeer


class WrittenScores(nn.Module):
    """The (F N) x (F N) scores of each head stand in memory."""

    def __init__(self, mechanism: Any) -> None:
        """`mechanism` is a `crossframe_all`; its layers are shared."""
        super().__init__()
        self.heads: int = mechanism.heads
        self.to_q: nn.Linear = mechanism.to_q
        self.to_k: nn.Linear = mechanism.to_k
        self.to_v: nn.Linear = mechanism.to_v
        self.to_out: nn.ModuleList = mechanism.to_out

    def forward(self, x: Tensor, *, flow: object = None) -> Tensor:
        """`[b, f, h, w, c]` to the same shape."""
        tokens = x.flatten(1, 3)
        q, k, v = (
            layer(tokens).unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for layer in (self.to_q, self.to_k, self.to_v)
        )
        scores = (q @ k.transpose(-2, -1)) * q.shape[-1] ** -0.5
        delta = (scores.softmax(-1) @ v).transpose(1, 2).flatten(2)
        for layer in self.to_out:
            delta = layer(delta)
        out: Tensor = delta.view(x.shape)
        return out


PEER = ModulePeer(
    "written_scores",
    "matmul and softmax over all tokens of all frames, as ControlVideo without xformers",
    ("crossframe_all",),
    WrittenScores,
)
