"""Subspaces as index maps: where windows begin and end, and in which order their tokens lie.

Nothing is padded, rolled or masked. Each axis is cut into segments; a window is a product of
segments, and windows at the border or of a shifted partition are simply smaller. All tokens of a
clip are sorted by window, windows of equal size side by side, so that each size is one batch.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ParamSpec, TypeVar

import torch
from torch import Tensor

from attnzoo.attention._mechanism import Query, Shape
from attnzoo.attention._rows import Rows
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
class Group:
    """`windows` subspaces of `tokens` tokens each, over the whole batch.

    `offsets` `[tokens, tokens]` points, for each query and key, to their entry in a table of
    relative positions; None where no bias is asked for.
    """

    windows: int
    tokens: int
    offsets: Tensor | None


@dataclass(frozen=True, eq=False)
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


def partition(
    batch: int, shape: Shape, size: Size, shift: bool, offsets: bool, device: torch.device
) -> tuple[Tensor, tuple[Group, ...]]:
    """All tokens of b clips by window, and the groups of windows in that order.

    Windows with equally many tokens share a group whatever their form, so long as no `offsets`
    are asked for, which depend on it. Made of tensor operations on few numbers, so that a traced
    forward may have it in its graph.
    """
    axes = [segments(length, s, shift) for length, s in zip(shape, size, strict=True)]
    forms = [
        (f1 - f0, h1 - h0, w1 - w0)
        for f0, f1 in axes[0]
        for h0, h1 in axes[1]
        for w0, w1 in axes[2]
    ]
    kinds = forms if offsets else [(f * h * w, 1, 1) for f, h, w in forms]
    order = list(dict.fromkeys(kinds))
    # A token's key: first its group, then its clip, then its window. Within a window the sort,
    # being stable, keeps the order of frames, rows and columns.
    window = _window(axes, device)
    rank = torch.tensor([order.index(kind) for kind in kinds], device=device)[window]
    clip = torch.arange(batch, device=device)[:, None]
    keys = (rank * batch + clip) * len(forms) + window
    groups = []
    for kind in order:
        tokens = kind[0] * kind[1] * kind[2]
        table = _offsets(kind, size, device) if offsets else None
        groups.append(Group(batch * kinds.count(kind), tokens, table))
    return keys.flatten().argsort(stable=True), tuple(groups)


def _window(axes: Sequence[Sequence[tuple[int, int]]], device: torch.device) -> Tensor:
    """Which window each token of a clip lies in, `[f h w]`; windows are counted row by row."""
    place = torch.zeros(1, dtype=torch.int64, device=device)
    for axis in axes:
        segment = [i for i, (begin, end) in enumerate(axis) for _ in range(begin, end)]
        place = (place[:, None] * len(axis) + torch.tensor(segment, device=device)).flatten()
    return place


@functools.lru_cache(maxsize=64)
@outside_inference
def regular_plan(
    batch: int, shape: Shape, size: Size, shift: bool, offsets: bool, device: torch.device
) -> Plan:
    """The plan of plain subspaces, a permutation and its inverse; made once and kept."""
    return new_regular_plan(batch, shape, size, shift, offsets, device)


def new_regular_plan(
    batch: int, shape: Shape, size: Size, shift: bool, offsets: bool, device: torch.device
) -> Plan:
    """The same, made anew."""
    order, groups = partition(batch, shape, size, shift, offsets, device)
    gather = Rows.permutation(order)
    return Plan(gather, groups, gather.inverse())


def aligned_plan(
    source: Tensor, target: Tensor, shape: Shape, size: Size, shift: bool, offsets: bool
) -> Plan:
    """The plan of subspaces of an aligned clip.

    `source` `[b, f, h w]` is the place, in the same frame, whose token lies in a cell once
    aligned; `target` `[b, f, h w]` the cell to which a token was sent, and where its result lies.
    """
    batch = source.shape[0]
    make = new_regular_plan if torch.compiler.is_compiling() else regular_plan
    regular = make(batch, shape, size, shift, offsets, source.device)
    order, position = regular.gather.index, regular.restore.index
    frame = torch.arange(batch * shape[0], device=source.device) * (shape[1] * shape[2])
    base = frame.view(batch, shape[0], 1)
    gather = (base + source).flatten()[order]
    restore = position[(base + target).flatten()]
    rows = order.numel()
    return Plan(Rows.of(gather, rows), regular.groups, Rows.of(restore, rows))


def _offsets(form: Shape, size: Size, device: torch.device) -> Tensor:
    """Index of (query - key) per axis into a table of (2*size - 1) entries per axis, flattened.

    Made from coordinates with the offsets of the full size, so that a smaller window reads the
    entries of the same displacements.
    """
    axes = torch.meshgrid(*(torch.arange(length, device=device) for length in form), indexing="ij")
    place = torch.stack([axis.flatten() for axis in axes])
    apart = place[:, :, None] - place[:, None, :]
    index = torch.zeros_like(apart[0])
    for displacement, s in zip(apart, size, strict=True):
        index = index * (2 * s - 1) + displacement + s - 1
    return index
