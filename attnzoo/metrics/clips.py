"""Samples of a video: which frames make one, and how published tools make them small."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from PIL import Image
from torch import Tensor

FRAMES = 16
"""Of a sample, in all published video distances."""


def separate(video: Tensor) -> Iterator[Tensor]:
    """Samples of 16 frames that share none, from the first frame on; a shorter rest is left out."""
    return (video[start : start + FRAMES] for start in range(0, len(video) - FRAMES + 1, FRAMES))


def sliding(video: Tensor) -> Iterator[Tensor]:
    """Every 16 consecutive frames, one sample a frame; neighbours share 15 of them."""
    return (video[start : start + FRAMES] for start in range(len(video) - FRAMES + 1))


def bicubic(video: Tensor, side: int) -> Tensor:
    """Frames `[f, 3, H, W]` uint8 to `[f, 3, side, side]` float32 in 0..255 and a little beyond.

    Each channel by Pillow in floating point (which smooths when it shrinks), not rounded and not
    cut off, as clean-fid's and DisCo's resizer does. Frames of that size stay as they are, as
    there.
    """
    frames = [
        [Image.fromarray(channel.astype(np.float32)).resize((side, side), Image.Resampling.BICUBIC)
         for channel in frame]
        for frame in video.cpu().numpy()
    ]  # fmt: skip
    return torch.from_numpy(np.asarray([[np.asarray(c) for c in f] for f in frames])).to(
        video.device
    )


@torch.no_grad()
def in_batches(network: torch.nn.Module, samples: Iterator[Tensor], size: int = 4) -> Tensor:
    """`network` applied to samples `[16, 3, h, w]`, which it gets as `[b, 3, 16, h, w]`."""
    rows: list[Tensor] = []
    batch: list[Tensor] = []
    for sample in samples:
        batch.append(sample.transpose(0, 1))
        if len(batch) == size:
            rows.append(_applied(network, batch))
            batch = []
    if batch:
        rows.append(_applied(network, batch))
    return torch.cat(rows) if rows else torch.empty(0, 0)


def _applied(network: torch.nn.Module, batch: list[Tensor]) -> Tensor:
    found = network(torch.stack(batch))
    found = found[0] if isinstance(found, tuple) else found
    return torch.as_tensor(found).float().cpu()
