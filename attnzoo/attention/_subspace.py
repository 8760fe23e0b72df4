"""Subspaces as index maps: where windows begin and end, and in which order their tokens lie.

Nothing is padded, rolled or masked. Each axis is cut into segments; a window is a product of
segments, and windows at the border or of a shifted partition are simply smaller. All tokens of a
clip are sorted by window, windows of equal size side by side, so that each size is one batch.
"""

from __future__ import annotations

import functools
import itertools
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ParamSpec, TypeVar

import torch
from torch import Tensor

from attnzoo.attention._mechanism import Query, Shape
from attnzoo.errors import UserError

Size = tuple[int, int, int]
"""Frames, rows and columns of a subspace."""

_P = ParamSpec("_P")
_T = TypeVar("_T")


def checked_size(size: object) -> Size:
    """`size` as a tuple.

    Raises:
        UserError: it is not three positive integers.
    """
    right = "must be three positive integers [frames, rows, columns], such as [4,4,4]"
    if isinstance(size, str) or not isinstance(size, Sequence):
        raise UserError(f"size={size!r} {right}")
    values = tuple(size)
    if len(values) != 3 or any(type(value) is not int or value < 1 for value in values):
        raise UserError(f"size=[{','.join(map(str, values))}] {right}")
    return values[0], values[1], values[2]


def segments(length: int, size: int, shift: bool) -> list[tuple[int, int]]:
    """The half-open segments of one axis.

    Boundaries lie at k*size, shifted ones at floor(size/2) + k*size; an axis not longer than its
    window is one segment and is not shifted.
    """
    if length <= size:
        return [(0, length)]
    first = size // 2 if shift else 0
    cuts = [0, *(cut for cut in range(first, length, size) if cut), length]
    return list(itertools.pairwise(cuts))


def reference_frames(frames: int, size: int, shift: bool) -> list[int]:
    """The reference frame floor((b+e)/2) of each frame's group b..e, e inclusive (4.4.2)."""
    return [
        (begin + end - 1) // 2
        for begin, end in segments(frames, size, shift)
        for _ in range(begin, end)
    ]


def window_of(query: Query, shape: Shape, size: Size, shift: bool) -> tuple[slice, slice, slice]:
    """The window that holds the token `query` (frame, row, column), as slices."""
    found = [
        slice(begin, end)
        for at, length, s in zip(query, shape, size, strict=True)
        for begin, end in segments(length, s, shift)
        if begin <= at < end
    ]
    return found[0], found[1], found[2]


@dataclass(frozen=True)
class Rows:
    """A choice of rows, `out = rows[index]`, whose backward needs no unordered addition.

    `reader[i]` is the first output row that reads input row i (any where none does: `read` is
    False there, None if all are read); `again` are the further pairs (input row, output row), None
    if there are none, as in a permutation. Then the gradient is a choice of rows as well.
    """

    index: Tensor
    reader: Tensor
    read: Tensor | None
    again: tuple[Tensor, Tensor] | None

    @classmethod
    def of(cls, index: Tensor, inputs: int) -> Rows:
        """The map for `index` `[m]` int64 into so many input rows."""
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

    def take(self, rows: Tensor) -> Tensor:
        """`rows` `[n, c]` to `[m, c]`."""
        again_rows, again_readers = self.again or (None, None)
        taken: Tensor = _Take.apply(
            rows, self.index, self.reader, self.read, again_rows, again_readers
        )
        return taken


class _Take(torch.autograd.Function):
    """`rows.index_select(0, index)`; see `Rows` for the gradient."""

    @staticmethod
    def forward(
        ctx: Any,
        rows: Tensor,
        index: Tensor,
        reader: Tensor,
        read: Tensor | None,
        again_rows: Tensor | None,
        again_readers: Tensor | None,
    ) -> Tensor:
        ctx.save_for_backward(reader, read, again_rows, again_readers)
        return rows.index_select(0, index)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        reader, read, again_rows, again_readers = ctx.saved_tensors
        total = grad.index_select(0, reader)
        if read is not None:
            total = total.masked_fill(~read, 0)
        if again_rows is not None:
            # Accumulating index_put sorts its indices on CUDA: deterministic, unlike index_add.
            total = total.index_put(
                (again_rows,), grad.index_select(0, again_readers), accumulate=True
            )
        return total, None, None, None, None, None


@dataclass(frozen=True)
class Group:
    """`windows` subspaces of `tokens` tokens each, over the whole batch.

    `offsets` `[tokens, tokens]` points, for each query and key, to their entry in a table of
    relative positions; None where no bias is asked for.
    """

    windows: int
    tokens: int
    offsets: Tensor | None


@dataclass(frozen=True)
class Plan:
    """How b clips of tokens become subspaces and clips again.

    `gather` takes the rows of `[b f h w, c]` into the order of the groups, `restore` takes each
    token's result from there.
    """

    gather: Rows
    groups: tuple[Group, ...]
    restore: Rows


def outside_inference(build: Callable[_P, _T]) -> Callable[_P, _T]:
    """What `build` makes may be kept: inference tensors could not be used in training later."""

    @functools.wraps(build)
    def built(*args: _P.args, **kwargs: _P.kwargs) -> _T:
        with torch.inference_mode(False), torch.no_grad():
            return build(*args, **kwargs)

    return built


@functools.lru_cache(maxsize=64)
@outside_inference
def partition(
    batch: int, shape: Shape, size: Size, shift: bool, offsets: bool, device: torch.device
) -> tuple[Tensor, tuple[Group, ...]]:
    """All tokens of a batch in the order of the groups, `[b f h w]`, and the groups.

    Windows of equal number of tokens make one group; with `offsets` those of equal form.
    """
    f, h, w = shape
    tokens = torch.arange(f * h * w).view(shape)
    by_kind: dict[Shape, list[Tensor]] = defaultdict(list)
    forms: dict[Shape, Shape] = {}
    axes = (segments(length, s, shift) for length, s in zip(shape, size, strict=True))
    for (f0, f1), (h0, h1), (w0, w1) in itertools.product(*axes):
        form = (f1 - f0, h1 - h0, w1 - w0)
        kind = form if offsets else (form[0] * form[1] * form[2], 0, 0)
        forms[kind] = form
        by_kind[kind].append(tokens[f0:f1, h0:h1, w0:w1].reshape(-1))
    clip = (torch.arange(batch) * tokens.numel()).view(-1, 1, 1)
    order, groups = [], []
    for kind, windows in by_kind.items():
        members = torch.stack(windows) + clip
        table = _offsets(forms[kind], size).to(device) if offsets else None
        groups.append(Group(batch * len(windows), members.shape[-1], table))
        order.append(members.flatten())
    return torch.cat(order).to(device), tuple(groups)


@functools.lru_cache(maxsize=64)
@outside_inference
def regular_plan(
    batch: int, shape: Shape, size: Size, shift: bool, offsets: bool, device: torch.device
) -> Plan:
    """The plan of plain subspaces: a permutation and its inverse."""
    order, groups = partition(batch, shape, size, shift, offsets, device)
    gather = Rows.of(order, order.numel())
    return Plan(gather, groups, Rows.of(gather.reader, order.numel()))


def aligned_plan(
    source: Tensor, target: Tensor, shape: Shape, size: Size, shift: bool, offsets: bool
) -> Plan:
    """The plan of subspaces of an aligned clip.

    `source` `[b, f, h w]` is the place, in the same frame, whose token lies in a cell once
    aligned; `target` `[b, f, h w]` the cell to which a token was sent, and where its result lies.
    """
    batch = source.shape[0]
    order, groups = partition(batch, shape, size, shift, offsets, source.device)
    position = Rows.of(order, order.numel()).reader
    frame = torch.arange(batch * shape[0], device=source.device) * (shape[1] * shape[2])
    base = frame.view(batch, shape[0], 1)
    gather = (base + source).flatten()[order]
    restore = position[(base + target).flatten()]
    return Plan(Rows.of(gather, order.numel()), groups, Rows.of(restore, order.numel()))


def _offsets(form: Shape, size: Size) -> Tensor:
    """Index of (query - key) per axis into a table of (2*size - 1) entries per axis, flattened.

    Made from coordinates with the offsets of the full size, so that a smaller window reads the
    entries of the same displacements.
    """
    axes = torch.meshgrid(*(torch.arange(length) for length in form), indexing="ij")
    place = torch.stack([axis.flatten() for axis in axes])
    apart = place[:, :, None] - place[:, None, :]
    index = torch.zeros_like(apart[0])
    for displacement, s in zip(apart, size, strict=True):
        index = index * (2 * s - 1) + displacement + s - 1
    return index
