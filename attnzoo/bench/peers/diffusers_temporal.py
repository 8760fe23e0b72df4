"""Temporal attention as diffusers' motion modules (AnimateDiff) run it."""

from __future__ import annotations

from typing import Any

from diffusers.models.attention_processor import Attention, AttnProcessor2_0
from einops import rearrange
from torch import Tensor, nn

from attnzoo.bench.module_peers import ModulePeer


class DiffusersTemporal(nn.Module):
    """diffusers' `Attention` on sequences of frames, one for each place, without positions.

    A motion module's tokens come from frames folded into the batch, `[(b f), h w, c]`.
    """

    def __init__(self, mechanism: Any) -> None:
        """`mechanism` is a `temporal` without positions; its weights are copied."""
        super().__init__()
        if mechanism.positions.name != "none":
            raise ValueError("this peer adds no positions")
        c, heads = mechanism.channels, mechanism.heads
        weight = mechanism.to_qkv.weight
        inner: Any = Attention(c, heads=heads, dim_head=c // heads)
        inner.set_processor(AttnProcessor2_0())
        inner.to(weight.device, weight.dtype)
        parts = dict(zip(("to_q", "to_k", "to_v"), weight.detach().chunk(3), strict=True))
        state = {f"{name}.weight": part for name, part in parts.items()}
        state |= {f"to_out.0.{key}": v for key, v in mechanism.to_out.state_dict().items()}
        inner.load_state_dict(state, strict=True)
        self.inner = inner

    def forward(self, x: Tensor, *, flow: object = None) -> Tensor:
        """`[b, f, h, w, c]` to the same shape."""
        b, _, h, w, _ = x.shape
        delta = self.inner(rearrange(x, "b f h w c -> (b h w) f c"))
        out: Tensor = rearrange(delta, "(b h w) f c -> b f h w c", b=b, h=h, w=w).contiguous()
        return out


PEER = ModulePeer(
    "diffusers_temporal",
    "diffusers' Attention on '(b h w) f c', as in AnimateDiff",
    ("temporal",),
    DiffusersTemporal,
)
