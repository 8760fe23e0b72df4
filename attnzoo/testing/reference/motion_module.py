"""Reference of `motion_module`."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from attnzoo.testing.reference._plain import attend_all


def reference(module: Any, x: Tensor, flow: Tensor | None = None) -> Tensor:
    """Each clip for itself: group norm, projection, blocks token by token, projection."""
    deltas = []
    for clip in x:
        alone = module.statistics.name == "frame"
        parts = [clip[i : i + 1] for i in range(clip.shape[0])] if alone else [clip]
        hidden = torch.cat([_group_norm(module.norm, part) for part in parts])
        hidden = _linear(module.proj_in, hidden)
        for block in module.transformer_blocks:
            hidden = _block(block, hidden)
        deltas.append(_linear(module.proj_out, hidden))
    return torch.stack(deltas)


def _block(block: Any, x: Tensor) -> Tensor:
    for norm, attend in ((block.norm1, block.attn1), (block.norm2, block.attn2)):
        x = x + _attention(attend, _each(x, lambda token, n=norm: _layer_norm(n, token)))
    first, last = block.ff.net[0].proj, block.ff.net[2]

    def feed_forward(token: Tensor) -> Tensor:
        wide = _linear(first, _layer_norm(block.norm3, token))
        value, gate = wide[: len(wide) // 2], wide[len(wide) // 2 :]
        return _linear(last, value * gate * (1 + torch.erf(gate / math.sqrt(2))) / 2)

    return x + _each(x, feed_forward)


def _attention(module: Any, x: Tensor) -> Tensor:
    """Along the frames, each at its own place; frame i has angles i / 10000^(2j/c) added."""
    frames, channels = x.shape[0], x.shape[-1]
    table = torch.tensor(
        [
            [
                (math.cos if c % 2 else math.sin)(i / 10000.0 ** ((c - c % 2) / channels))
                for c in range(channels)
            ]
            for i in range(frames)
        ],
        dtype=x.dtype,
    )
    x = x + table[:, None, None]
    q, k, v = (x @ layer.weight.T for layer in (module.to_q, module.to_k, module.to_v))
    attended = attend_all(
        q,
        k,
        v,
        module.heads,
        lambda query: query[1:],
        lambda query: [(i, query[1], query[2]) for i in range(frames)],
    )
    return _linear(module.to_out[0], attended)


def _group_norm(norm: Any, x: Tensor) -> Tensor:
    width = x.shape[-1] // norm.num_groups
    groups = []
    for first in range(0, x.shape[-1], width):
        part = x[..., first : first + width]
        mean = part.mean()
        groups.append((part - mean) / torch.sqrt(((part - mean) ** 2).mean() + norm.eps))
    result: Tensor = torch.cat(groups, -1) * norm.weight + norm.bias
    return result


def _layer_norm(norm: Any, token: Tensor) -> Tensor:
    centred = token - token.mean()
    scaled = centred / torch.sqrt((centred**2).mean() + norm.eps)
    result: Tensor = scaled * norm.weight + norm.bias
    return result


def _linear(layer: Any, x: Tensor) -> Tensor:
    result: Tensor = x @ layer.weight.T + layer.bias
    return result


def _each(x: Tensor, function: Any) -> Tensor:
    flat = torch.stack([function(token) for token in x.flatten(0, 2)])
    return flat.reshape(x.shape)
