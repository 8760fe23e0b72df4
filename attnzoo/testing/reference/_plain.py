"""Softmax attention of one query token, written out."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor

Token = tuple[int, int, int]
"""Frame, row, column."""


def tokens(shape: Sequence[int]) -> Iterator[Token]:
    """All tokens of a clip of (frames, rows, columns)."""
    return itertools.product(range(shape[0]), range(shape[1]), range(shape[2]))


def attend(q: Tensor, k: Tensor, v: Tensor, heads: int, bias: Tensor | None = None) -> Tensor:
    """q `[c]`, k and v `[l, c]`, bias `[l, heads]`, to `[c]` (equation 4)."""
    d = q.shape[0] // heads
    results = []
    for head in range(heads):
        part = slice(head * d, (head + 1) * d)
        scores = (k[:, part] * q[part]).sum(1) / math.sqrt(d)
        if bias is not None:
            scores = scores + bias[:, head]
        weights = scores.exp() / scores.exp().sum()
        results.append((weights[:, None] * v[:, part]).sum(0))
    return torch.cat(results)


def attend_all(
    q: Tensor, k: Tensor, v: Tensor, heads: int, keys_of: Callable[[Token], Sequence[Token]]
) -> Tensor:
    """q, k, v `[f, h, w, c]`: each token attends to the tokens that `keys_of` names."""
    result = torch.zeros_like(q)
    for query in tokens(q.shape):
        keys = list(keys_of(query))
        result[query] = attend(
            q[query],
            torch.stack([k[key] for key in keys]),
            torch.stack([v[key] for key in keys]),
            heads,
        )
    return result
