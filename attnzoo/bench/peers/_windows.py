"""Windows as Swin transformers make them: pad, roll, partition, and a mask between regions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

MASKED = -100.0
"""What Swin transformers add to the scores of pairs that must not attend to each other."""


class PaddedWindows(nn.Module):
    """A clip cut into windows of equal size, with what our `stsa` module weighs.

    Padded at each axis' end to a multiple of the window, rolled by half a window where the axis is
    longer than one, and cut up. Padding is attended to: only at dividing sizes is this `stsa`.
    """

    def __init__(self, mechanism: Any) -> None:
        """`mechanism` is a `stsa`, whose layers are taken over, shared and not copied."""
        super().__init__()
        self.size: tuple[int, int, int] = mechanism.size
        self.shift: bool = mechanism.shift
        self.heads: int = mechanism.heads
        self.to_qkv: nn.Linear = mechanism.to_qkv
        self.to_out: nn.Linear = mechanism.to_out
        self.table: nn.Parameter | None = mechanism.bias_table

    def forward(self, x: Tensor, *, flow: object = None) -> Tensor:
        """`[b, f, h, w, c]` to the same shape."""
        shape = x.shape[1:4]
        size, shifts = self._fitting(shape)
        rest = [-n % s for n, s in zip(shape, size, strict=True)]
        padded = F.pad(x, (0, 0, 0, rest[2], 0, rest[1], 0, rest[0]))
        if any(shifts):
            padded = padded.roll([-s for s in shifts], dims=(1, 2, 3))
        windows = partition(padded, size)
        attended = self.attend(windows, padded.shape[1:4], size, shifts)
        back = departition(self.to_out(attended), padded.shape, size)
        if any(shifts):
            back = back.roll(shifts, dims=(1, 2, 3))
        f, h, w = shape
        return back[:, :f, :h, :w].contiguous()

    def attend(
        self, windows: Tensor, padded: Sequence[int], size: Sequence[int], shifts: Sequence[int]
    ) -> Tensor:
        """Attention within windows `[b n, tokens, c]`, before the projection out."""
        raise NotImplementedError

    def split(self, windows: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Queries, keys and values, each `[b n, heads, tokens, d]`."""
        qkv = self.to_qkv(windows).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        q, k, v = qkv.unbind(0)
        return q, k, v

    def mask(
        self, padded: Sequence[int], size: Sequence[int], shifts: Sequence[int], like: Tensor
    ) -> Tensor:
        """`[n, tokens, tokens]`, 0 or `MASKED`, made anew at each call as the originals do."""
        numbers = partition(
            region_numbers(padded, size, shifts, like.device)[None, ..., None], size
        )
        apart = numbers != numbers.transpose(1, 2)
        return torch.zeros(apart.shape, dtype=like.dtype, device=like.device).masked_fill(
            apart, MASKED
        )

    def bias(self, size: Sequence[int]) -> Tensor | None:
        """The table's entries `[heads, tokens, tokens]` at the displacements inside a window."""
        if self.table is None:
            return None
        axes = torch.meshgrid(
            *(torch.arange(n, device=self.table.device) for n in size), indexing="ij"
        )
        place = torch.stack([axis.flatten() for axis in axes], dim=-1)
        apart = place[:, None] - place[None]
        full = torch.tensor(self.size, device=apart.device)
        df, dy, dx = (apart + full - 1).unbind(-1)
        wide = [2 * s - 1 for s in self.size]
        return self.table[(df * wide[1] + dy) * wide[2] + dx].permute(2, 0, 1)

    def _fitting(self, shape: Sequence[int]) -> tuple[list[int], list[int]]:
        """Window and roll on each axis; an axis not longer than its window is not rolled."""
        size = [min(s, n) for s, n in zip(self.size, shape, strict=True)]
        shifts = [
            s // 2 if self.shift and n > s else 0 for s, n in zip(self.size, shape, strict=True)
        ]
        return size, shifts


def partition(x: Tensor, size: Sequence[int]) -> Tensor:
    """`[b, f, h, w, c]` to `[b n, tokens, c]`."""
    b, f, h, w, c = x.shape
    cut = x.view(b, f // size[0], size[0], h // size[1], size[1], w // size[2], size[2], c)
    return cut.permute(0, 1, 3, 5, 2, 4, 6, 7).reshape(-1, size[0] * size[1] * size[2], c)


def departition(windows: Tensor, shape: Sequence[int], size: Sequence[int]) -> Tensor:
    """`[b n, tokens, c]` back to `shape` `[b, f, h, w, c]`."""
    b, f, h, w, c = shape
    cut = windows.view(b, f // size[0], h // size[1], w // size[2], *size, c)
    return cut.permute(0, 1, 4, 2, 5, 3, 6, 7).reshape(b, f, h, w, c)


def region_numbers(
    padded: Sequence[int], size: Sequence[int], shifts: Sequence[int], device: torch.device
) -> Tensor:
    """`[f, h, w]`: tokens of one window with unequal numbers came together by the roll alone."""
    number = torch.zeros(1, dtype=torch.int64, device=device)
    for n, s, shift in zip(padded, size, shifts, strict=True):
        at = torch.arange(n, device=device)
        # After the roll the last window holds what was last and, from -shift on, what was first.
        axis = (at >= n - s).long() + (at >= n - shift).long() if shift else torch.zeros_like(at)
        number = number[..., None] * 3 + axis
    return number[0]
