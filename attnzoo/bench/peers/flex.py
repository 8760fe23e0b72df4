"""Windowed attention by flex_attention: a mask function, compiled, with blocks that are windows."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import torch
from torch import Tensor
from torch.nn.attention.flex_attention import BlockMask, flex_attention

from attnzoo.bench.module_peers import ModulePeer
from attnzoo.bench.peers._windows import PaddedWindows, partition, region_numbers


class FlexWindows(PaddedWindows):
    """All windows of a clip in one sequence; a token sees its own window and region.

    The block mask is made once for a shape: it names one block, its own window, for each window.
    """

    def __init__(self, mechanism: Any) -> None:
        """`mechanism` is a `stsa` without bias; its layers are taken over, shared, not copied."""
        super().__init__(mechanism)
        if self.table is not None:
            raise ValueError("this peer has no bias")
        self._masks: dict[tuple[object, ...], BlockMask] = {}

    def attend(
        self, windows: Tensor, padded: Sequence[int], size: Sequence[int], shifts: Sequence[int]
    ) -> Tensor:
        """See the base."""
        key = (*padded, *size, *shifts, windows.device)
        if key not in self._masks:
            self._masks[key] = _own_window(padded, size, shifts, windows.device)
        length = padded[0] * padded[1] * padded[2]
        sequences = self.to_qkv(windows).view(
            -1, length, 3, self.heads, windows.shape[-1] // self.heads
        )
        q, k, v = sequences.permute(2, 0, 3, 1, 4).unbind(0)
        out = _compiled()(q, k, v, block_mask=self._masks[key])
        return out.transpose(1, 2).reshape(windows.shape)


@cache
def _compiled() -> Callable[..., Tensor]:
    made: Callable[..., Tensor] = torch.compile(flex_attention, dynamic=False)
    return made


def _own_window(
    padded: Sequence[int], size: Sequence[int], shifts: Sequence[int], device: torch.device
) -> BlockMask:
    tokens = size[0] * size[1] * size[2]
    numbers = partition(region_numbers(padded, size, shifts, device)[None, ..., None], size)
    count = numbers.shape[0]
    window = torch.arange(count, device=device).repeat_interleave(tokens)
    kind = window * 27 + numbers.flatten()

    def same(b: Tensor, head: Tensor, query: Tensor, key: Tensor) -> Tensor:
        return kind[query] == kind[key]

    own = torch.arange(count, device=device, dtype=torch.int32)
    indices = torch.zeros(1, 1, count, count, device=device, dtype=torch.int32)
    indices[..., 0] = own
    one = torch.ones(1, 1, count, device=device, dtype=torch.int32)
    return BlockMask.from_kv_blocks(one, indices, BLOCK_SIZE=tokens, mask_mod=same)


def _missing(device: torch.device) -> str | None:
    if device.type == "cpu" and not any(map(shutil.which, ("g++", "clang++", "c++"))):
        return "flex_attention is compiled, and there is no C++ compiler here"
    return None


def _no_backward(device: torch.device) -> str | None:
    return "flex_attention has no backward on a CPU" if device.type == "cpu" else None


PEER = ModulePeer(
    "flex",
    "pad, roll, partition, flex_attention with a block mask, compiled",
    ("stsa",),
    FlexWindows,
    _missing,
    _no_backward,
)
