"""A choice of rows as a map that knows its own gradient."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor


@dataclass(frozen=True)
class Rows:
    """A choice of rows, `out = rows[index]`, whose backward needs no unordered addition.

    `reader[i]` is the first output row that reads input row i (any where none does: `read` is
    False there, None if all are read); `again` are the further pairs (input row, output row), None
    if there are none, as in a permutation. Then the gradient is a choice of rows as well.
    """

    index: Tensor
    reader: Tensor | None
    read: Tensor | None
    again: tuple[Tensor, Tensor] | None

    @classmethod
    def of(cls, index: Tensor, inputs: int) -> Rows:
        """The map for `index` `[m]` int64 into so many input rows.

        Traced, or on the meta device, it is the index alone: what else there is depends on its
        values.
        """
        if torch.compiler.is_compiling() or index.is_meta:
            return cls(index, None, None, None)
        outputs = index.shape[0]
        position = torch.arange(outputs, device=index.device)
        # The least of integers does not depend on the order in which they are met.
        reader = torch.full((inputs,), outputs, device=index.device)
        reader.scatter_reduce_(0, index, position, "amin")
        read = reader < outputs
        further = position[reader[index] != position]
        again = (index[further], further) if further.numel() else None
        if bool(read.all()):
            return cls(index, reader, None, again)
        return cls(index, reader.clamp(max=outputs - 1), read.unsqueeze(1), again)

    @classmethod
    def permutation(cls, index: Tensor) -> Rows:
        """The map for an `index` that names each row once."""
        position = torch.arange(index.shape[0], device=index.device)
        return cls(index, torch.empty_like(index).scatter_(0, index, position), None, None)

    @property
    def is_permutation(self) -> bool:
        """Whether each input row is read once."""
        return self.reader is not None and self.read is None and self.again is None

    def inverse(self) -> Rows:
        """What undoes a permutation."""
        assert self.reader is not None and self.is_permutation
        return Rows(self.reader, self.index, None, None)

    def take(self, rows: Tensor) -> Tensor:
        """`rows` `[n, c]` to `[m, c]`."""
        if torch.compiler.is_compiling() or self.reader is None:
            return rows.index_select(0, self.index)
        taken: Tensor = _Take.apply(rows, self)  # type: ignore[no-untyped-call]
        return taken

    def gradient(self, grad: Tensor) -> Tensor:
        """The gradient `[n, c]` of the rows, from that of what was taken, `[m, c]`."""
        assert self.reader is not None
        total = grad.index_select(0, self.reader)
        if self.read is not None:
            total = total.masked_fill(~self.read, 0)
        if self.again is not None:
            rows, readers = self.again
            # Accumulating index_put sorts its indices on CUDA: deterministic, unlike index_add.
            total = total.index_put((rows,), grad.index_select(0, readers), accumulate=True)
        return total


class _Take(torch.autograd.Function):
    """`rows.index_select(0, index)`; see `Rows` for the gradient."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor, choice: Rows) -> Tensor:
        ctx.choice = choice
        return rows.index_select(0, choice.index)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        return ctx.choice.gradient(grad), None
