"""The 2-D self-attention of diffusers' U-Nets, which cross-frame attention replaces."""

from __future__ import annotations

from typing import Any

from diffusers.models.attention_processor import Attention, AttnProcessor2_0
from torch import Tensor, nn

from attnzoo.bench.module_peers import ModulePeer


class SelfAttention2D(nn.Module):
    """diffusers' `Attention` (a block's `attn1`), each frame for itself."""

    def __init__(self, mechanism: Any) -> None:
        """`mechanism` is a `crossframe_*`; its weights are copied under the same names."""
        super().__init__()
        c, heads = mechanism.channels, mechanism.heads
        weight = mechanism.to_q.weight
        inner: Any = Attention(c, heads=heads, dim_head=c // heads)
        inner.set_processor(AttnProcessor2_0())
        self.inner = inner.to(weight.device, weight.dtype)
        self.inner.load_state_dict(mechanism.state_dict(), strict=True)

    def forward(self, x: Tensor, *, flow: object = None) -> Tensor:
        """`[b, f, h, w, c]` to the same shape."""
        delta: Tensor = self.inner(x.flatten(0, 1).flatten(1, 2))
        return delta.view(x.shape)


PEER = ModulePeer(
    "diffusers_2d",
    "diffusers' 2-D self-attention, which crossframe_* replace",
    ("crossframe_first", "crossframe_middle", "crossframe_previous", "crossframe_all"),
    SelfAttention2D,
    one_frame=True,
)
