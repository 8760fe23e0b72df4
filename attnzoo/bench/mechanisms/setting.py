"""Shapes, precision and effort of the suite."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from attnzoo.bench.cell import DTYPES
from attnzoo.bench.settings import SuiteOptions
from attnzoo.errors import UserError

ROUNDS = 20
QUICK_ROUNDS = 3


@dataclass(frozen=True)
class Setting:
    """One shape at which the suite is run.

    frames, side: of the clip, square; size: of subspaces; rounds: timed, interleaved; quick: the
    sizes along which growth is followed are small, too.
    """

    frames: int
    side: int
    channels: int
    heads: int
    size: tuple[int, int, int]
    dtype: str
    device: torch.device
    rounds: int
    quick: bool

    @property
    def shape(self) -> tuple[int, int, int, int, int]:
        """`[b, f, h, w, c]` with one clip."""
        return 1, self.frames, self.side, self.side, self.channels

    @property
    def tokens(self) -> int:
        """Of the clip."""
        return self.frames * self.side**2

    @property
    def torch_dtype(self) -> torch.dtype:
        """Of weights and input."""
        return DTYPES[self.dtype]

    def __str__(self) -> str:
        f, n, c = self.frames, self.side, self.channels
        small = "; quick: too small to be held against what must be reached" if self.quick else ""
        return f"1x{f}x{n}x{n} tokens of {c} channels, {self.heads} heads, {self.dtype}{small}"


def settings(options: SuiteOptions) -> Sequence[Setting]:
    """The shapes of a run: on a CPU one, fp32; on CUDA the finest level at 256 and 512 px, bf16.

    Raises:
        UserError: a device that is not there.
    """
    device = _device(options.device)
    rounds = options.rounds or (QUICK_ROUNDS if options.quick else ROUNDS)
    dtype = "bf16" if device.type == "cuda" else "fp32"
    size = (4, 4, 4)
    if options.quick:
        return [Setting(8, 8, 64, 4, size, dtype, device, rounds, True)]
    sides = (32, 64) if device.type == "cuda" else (32,)
    return [Setting(16, side, 320, 8, size, dtype, device, rounds, False) for side in sides]


def _device(name: str) -> torch.device:
    if name not in ("cpu", "cuda"):
        raise UserError(f"device={name}: choose one of cpu, cuda")
    if name == "cuda" and not torch.cuda.is_available():
        raise UserError("device=cuda: no CUDA device is available here; device=cpu")
    return torch.device(name)
