"""Windowed attention as Video Swin's public code computes it: products, softmax, a mask of -100."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from attnzoo.bench.module_peers import ModulePeer
from attnzoo.bench.peers._windows import PaddedWindows


class NaiveWindows(PaddedWindows):
    """Scores of all windows are written out, masked and normalised, one operation after another."""

    def attend(
        self, windows: Tensor, padded: Sequence[int], size: Sequence[int], shifts: Sequence[int]
    ) -> Tensor:
        """See the base."""
        q, k, v = self.split(windows)
        scores = (q * q.shape[-1] ** -0.5) @ k.transpose(-2, -1)
        bias = self.bias(size)
        if bias is not None:
            scores = scores + bias
        if any(shifts):
            mask = self.mask(padded, size, shifts, scores)
            n = mask.shape[0]
            scores = (scores.unflatten(0, (-1, n)) + mask[None, :, None]).flatten(0, 1)
        out: Tensor = (scores.softmax(-1) @ v).transpose(1, 2).reshape(windows.shape)
        return out


PEER = ModulePeer(
    "naive",
    "pad, roll, partition, matmul, mask of -100, softmax, as Video Swin",
    ("stsa",),
    NaiveWindows,
)
