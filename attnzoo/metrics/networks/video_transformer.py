"""Video transformers of two families, in their published layouts: V-JEPA and VideoMAE-v2.

Width, depth, patches and the number of tokens are read off the weights; the number of heads is 16
in both published models (ViT-H/16 and ViT-g/14) and cannot be read off.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F

HEADS = 16


def _attend(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Attention of `[b, m, c]` queries to `[b, n, c]` keys and values in 16 heads."""
    parts = (t.unflatten(-1, (HEADS, -1)).transpose(1, 2) for t in (q, k, v))
    return F.scaled_dot_product_attention(*parts).transpose(1, 2).flatten(2)


class Mlp(nn.Module):
    """Two layers with GELU between."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(width, hidden), nn.Linear(hidden, width)

    def forward(self, x: Tensor) -> Tensor:
        """Token by token."""
        out: Tensor = self.fc2(F.gelu(self.fc1(x)))
        return out


class SelfAttention(nn.Module):
    """Queries, keys and values in one layer.

    V-JEPA has one bias for all three; VideoMAE has one for queries and one for values.
    """

    def __init__(self, width: int, split_bias: bool) -> None:
        super().__init__()
        self.qkv = nn.Linear(width, 3 * width, bias=not split_bias)
        self.split_bias = split_bias
        if split_bias:
            self.q_bias = nn.Parameter(torch.zeros(width))
            self.v_bias = nn.Parameter(torch.zeros(width))
        self.proj = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        """`[b, n, c]` to the same."""
        bias: Tensor = self.qkv.bias
        if self.split_bias:
            bias = torch.cat([self.q_bias, torch.zeros_like(self.v_bias), self.v_bias])
        q, k, v = F.linear(x, self.qkv.weight, bias).chunk(3, dim=-1)
        out: Tensor = self.proj(_attend(q, k, v))
        return out


class Block(nn.Module):
    """Attention and MLP, each behind a norm and with a residual."""

    def __init__(self, width: int, hidden: int, split_bias: bool) -> None:
        super().__init__()
        self.norm1, self.norm2 = (nn.LayerNorm(width, eps=1e-6) for _ in range(2))
        self.attn = SelfAttention(width, split_bias)
        self.mlp = Mlp(width, hidden)

    def forward(self, x: Tensor) -> Tensor:
        """`[b, n, c]` to the same."""
        x = x + self.attn(self.norm1(x))
        out: Tensor = x + self.mlp(self.norm2(x))
        return out


class Patches(nn.Module):
    """Blocks of pixels to tokens."""

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        time, height, width = weight.shape[2:]
        kernel = (time, height, width)
        self.proj = nn.Conv3d(3, weight.shape[0], kernel, kernel)

    def forward(self, clips: Tensor) -> Tensor:
        """`[b, 3, t, h, w]` to `[b, n, c]`, time slowest."""
        tokens: Tensor = self.proj(clips).flatten(2).transpose(1, 2)
        return tokens


class VJepa(nn.Module):
    """Clips to tokens `[b, n, c]`; positions are among the weights."""

    def __init__(self, state: Mapping[str, Tensor]) -> None:
        super().__init__()
        width, hidden = (
            state["patch_embed.proj.weight"].shape[0],
            len(state["blocks.0.mlp.fc1.bias"]),
        )
        self.pos_embed = nn.Parameter(torch.zeros_like(state["pos_embed"]))
        self.patch_embed = Patches(state["patch_embed.proj.weight"])
        self.blocks = nn.ModuleList(Block(width, hidden, False) for _ in range(_depth(state)))
        self.norm = nn.LayerNorm(width, eps=1e-6)

    def forward(self, clips: Tensor) -> Tensor:
        """The last layer's tokens, normalised."""
        x = self.patch_embed(clips) + self.pos_embed
        for block in self.blocks:
            x = block(x)
        out: Tensor = self.norm(x)
        return out


class AttentivePooler(nn.Module):
    """One learned query that reads tokens, as in V-JEPA's probes."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.query_tokens = nn.Parameter(torch.zeros(1, 1, width))
        self.cross_attention_block = _CrossBlock(width, hidden)

    def forward(self, tokens: Tensor) -> Tensor:
        """`[b, n, c]` to `[b, c]`."""
        query = self.query_tokens.expand(len(tokens), -1, -1)
        out: Tensor = self.cross_attention_block(query, tokens)[:, 0]
        return out


class _CrossBlock(nn.Module):
    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.xattn = _CrossAttention(width)
        self.mlp = Mlp(width, hidden)

    def forward(self, query: Tensor, tokens: Tensor) -> Tensor:
        # The query has no norm of its own before the attention.
        query = query + self.xattn(query, self.norm1(tokens))
        out: Tensor = query + self.mlp(self.norm2(query))
        return out


class _CrossAttention(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.q, self.kv = nn.Linear(width, width), nn.Linear(width, 2 * width)
        self.proj = nn.Linear(width, width)

    def forward(self, query: Tensor, tokens: Tensor) -> Tensor:
        # The package vjepa 0.1.2, on which videojedi stands, applies `proj`. V-JEPA's own code has
        # it among the weights and left it out when the probe was trained (facebookresearch/jepa
        # a0517b4); JEDi's published tool is what is followed here.
        k, v = self.kv(tokens).chunk(2, dim=-1)
        out: Tensor = self.proj(_attend(self.q(query), k, v))
        return out


class VideoMae(nn.Module):
    """Fine-tuned VideoMAE-v2: clips of 16 frames to pooled features `[b, c]`.

    Positions are sines of the token's number, not among the weights.
    """

    def __init__(self, state: Mapping[str, Tensor]) -> None:
        super().__init__()
        width, hidden = (
            state["patch_embed.proj.weight"].shape[0],
            len(state["blocks.0.mlp.fc1.bias"]),
        )
        self.patch_embed = Patches(state["patch_embed.proj.weight"])
        self.blocks = nn.ModuleList(Block(width, hidden, True) for _ in range(_depth(state)))
        self.fc_norm = nn.LayerNorm(width, eps=1e-6)
        self.head = nn.Linear(width, len(state["head.bias"]))

    def forward(self, clips: Tensor) -> Tensor:
        """Mean of the tokens, normalised; the classifier is not applied."""
        x = self.patch_embed(clips)
        x = x + _sines(x.shape[1], x.shape[2]).to(x)
        for block in self.blocks:
            x = block(x)
        out: Tensor = self.fc_norm(x.mean(dim=1))
        return out


def _sines(length: int, width: int) -> Tensor:
    """Sinusoidal positions `[1, length, width]`: sines in even channels, cosines in odd ones."""
    channel = torch.arange(width, dtype=torch.float64)
    rate = 10000 ** (-2 * (channel // 2) / width)
    angle = torch.arange(length, dtype=torch.float64)[:, None] * rate
    table = torch.where(channel % 2 == 0, angle.sin(), angle.cos())
    return table.float().unsqueeze(0)


def _depth(state: Mapping[str, Tensor]) -> int:
    return len({name.split(".")[1] for name in state if name.startswith("blocks.")})
