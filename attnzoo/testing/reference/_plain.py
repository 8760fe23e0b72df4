"""Softmax attention of one query token, written out."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Hashable, Iterator, Sequence
from functools import partial

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
        scores = k[:, part] @ q[part] / math.sqrt(d)
        if bias is not None:
            scores = scores + bias[:, head]
        weights = (scores - scores.max().detach()).exp()
        results.append(weights @ v[:, part] / weights.sum())
    return torch.cat(results)


class Keys:
    """Keys and values `[f, h, w, c]` of a clip, stacked once for all queries that see the same."""

    def __init__(self, k: Tensor, v: Tensor) -> None:
        self.k, self.v = k, v
        self._stacked: dict[Hashable, tuple[Tensor, Tensor]] = {}

    def of(self, name: Hashable, seen: Callable[[], Sequence[Token]]) -> tuple[Tensor, Tensor]:
        """k and v `[l, c]` of the tokens `seen`; the same name always means the same tokens."""
        if name not in self._stacked:
            where = tuple(torch.tensor(axis) for axis in zip(*seen(), strict=True))
            self._stacked[name] = self.k[where], self.v[where]
        return self._stacked[name]


def attend_all(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    heads: int,
    group_of: Callable[[Token], Hashable],
    seen_by: Callable[[Token], Sequence[Token]],
) -> Tensor:
    """q, k, v `[f, h, w, c]`: each token attends to the tokens that `seen_by` names.

    Tokens of one group, as `group_of` names it, see the same ones.
    """
    keys = Keys(k, v)
    results = [
        attend(row, *keys.of(group_of(query), partial(seen_by, query)), heads)
        for query, row in zip(tokens(q.shape), q.flatten(0, 2), strict=True)
    ]
    return torch.stack(results).view(q.shape)
