"""Subspaces by their definition, for the references of `stsa` and `stsa_flow`."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from attnzoo.testing.reference._plain import Token, attend, tokens


def group(at: int, length: int, size: int, shift: bool) -> int:
    """The number of the group that holds index `at` of an axis."""
    if length <= size:
        return 0
    return (at - size // 2) // size if shift else at // size


def subspace(module: Any, token: Token, shape: Token) -> Token:
    """The subspace of a token, by its group on each axis."""
    numbers = [
        group(at, length, size, module.shift)
        for at, length, size in zip(token, shape, module.size, strict=True)
    ]
    return numbers[0], numbers[1], numbers[2]


def attend_subspaces(module: Any, clip: Tensor) -> Tensor:
    """`clip` `[f, h, w, c]`: each token attends to its subspace, with the module's bias."""
    f, h, w, _ = clip.shape
    q, k, v = (clip @ weight.T for weight in module.to_qkv.weight.chunk(3))
    result = torch.zeros_like(clip)
    for query in tokens(clip.shape):
        own = subspace(module, query, (f, h, w))
        keys = [key for key in tokens(clip.shape) if subspace(module, key, (f, h, w)) == own]
        result[query] = attend(
            q[query],
            torch.stack([k[key] for key in keys]),
            torch.stack([v[key] for key in keys]),
            module.heads,
            _bias(module, query, keys),
        )
    delta: Tensor = result @ module.to_out.weight.T + module.to_out.bias
    return delta


def _bias(module: Any, query: Token, keys: list[Token]) -> Tensor | None:
    if module.bias_table is None:
        return None
    table = module.bias_table.view(*(2 * s - 1 for s in module.size), module.heads)
    f, y, x = (at + s - 1 for at, s in zip(query, module.size, strict=True))
    return torch.stack([table[f - key[0], y - key[1], x - key[2]] for key in keys])
