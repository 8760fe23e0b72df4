"""Subspaces by their definition, for the references of `stsa` and `stsa_flow`."""

from __future__ import annotations

from collections import defaultdict
from functools import partial
from typing import Any

import torch
from torch import Tensor

from attnzoo.testing.reference._plain import Keys, Token, attend, tokens


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
    members: dict[Token, list[Token]] = defaultdict(list)
    for token in tokens(clip.shape):
        members[subspace(module, token, (f, h, w))].append(token)
    keys = Keys(k, v)
    results = []
    for query, row in zip(tokens(clip.shape), q.flatten(0, 2), strict=True):
        own = subspace(module, query, (f, h, w))
        mine, values = keys.of(own, partial(members.__getitem__, own))
        bias = _bias(module, query, members[own])
        results.append(attend(row, mine, values, module.heads, bias))
    result = torch.stack(results).view(clip.shape)
    delta: Tensor = result @ module.to_out.weight.T + module.to_out.bias
    return delta


def _bias(module: Any, query: Token, keys: list[Token]) -> Tensor | None:
    """The table's entry for query - key on each axis, `[keys, heads]`."""
    if module.bias_table is None:
        return None
    table = module.bias_table.view(*(2 * s - 1 for s in module.size), module.heads)
    apart = [
        [at - key[axis] + s - 1 for key in keys]
        for axis, (at, s) in enumerate(zip(query, module.size, strict=True))
    ]
    entries: Tensor = table[tuple(torch.tensor(axis) for axis in apart)]
    return entries
