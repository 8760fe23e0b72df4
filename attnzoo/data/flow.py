"""Motion of recorded frames by a classical method: no network, no weights.

Dense inverse search (Kroeger et al. 2016, OpenCV's DIS) or polynomial expansion (Farnebäck 2003)
between neighbours, forward and backward; longer spans are composed by `Motion.consecutive`. What is
seen in both of two frames is where going there and back returns to its start (Sundaram et al.
2010).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from threading import Lock
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from attnzoo.data.flow_settings import Method
from attnzoo.motion import Motion, downsample

FINE = 256
"""Side at which flow is computed: smaller pictures hold too little for patches of 8 pixels."""

_FARNEBACK = {
    "pyr_scale": 0.5, "levels": 5, "winsize": 15, "iterations": 5, "poly_n": 7, "poly_sigma": 1.5,
    "flags": 0,
}  # fmt: skip

Grey = NDArray[np.uint8]
"""`[H, W]`."""


def dense_flow(
    start: Grey,
    end: Grey,
    size: int,
    still: NDArray[np.bool_] | None = None,
    method: Method = Method.dis,
) -> Tensor:
    """Flow from one grey picture to another, read at the first one's positions.

    Args:
        start: `[H, W]`.
        end: `[H, W]`.
        size: side of the square grid that the flow is wanted on, in its pixels.
        still: `[H, W]`, where the first picture shows nothing that moves (a pose picture's empty
            background, which has no texture to follow): the flow there is 0.
        method: what finds it.

    Returns:
        `[2, size, size]` float32, channel 0 to the right and 1 down, downsampled by the rule of
        `attnzoo.motion.downsample`.
    """
    if method is Method.dis:
        # A solver of its own for each call: it keeps buffers, and clips come in several threads.
        search: Any = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
        motion = np.asarray(search.calc(start, end, None), np.float32)
    else:
        found: Any = cv2.calcOpticalFlowFarneback(start, end, None, **_FARNEBACK)  # type: ignore[call-overload]
        motion = np.asarray(found, np.float32)
    return on_grid(motion.transpose(2, 0, 1), size, still)


def on_grid(flow: NDArray[np.float32], size: int, still: NDArray[np.bool_] | None = None) -> Tensor:
    """Flow `[2, n, n]` on a grid of `size`, in its pixels, and 0 where the picture is `still`."""
    if still is not None:
        flow = np.where(still, np.float32(0), flow)
    return downsample(torch.from_numpy(flow)[None], size, size)[0].contiguous()


def visible(there: Tensor, back: Tensor) -> Tensor:
    """What is seen in both of two frames, at the first one's positions: `[H, W]` bool.

    Args:
        there: flow from the first frame to the second `[2, H, W]`.
        back: from the second to the first.

    A pixel counts if its target lies in the picture and `|F + B(p + F)|^2` is at most
    `0.01 (|F|^2 + |B|^2) + 0.5` square pixels.
    """
    height, width = there.shape[-2:]
    x = torch.arange(width, device=there.device) + there[0]
    y = torch.arange(height, device=there.device)[:, None] + there[1]
    inside = (x >= 0) & (x <= width - 1) & (y >= 0) & (y <= height - 1)
    grid = torch.stack([(2 * x + 1) / width - 1, (2 * y + 1) / height - 1], -1)[None]
    returned = F.grid_sample(back[None], grid, padding_mode="border", align_corners=False)[0]
    apart = (there + returned).square().sum(0)
    allowed = 0.01 * (there.square().sum(0) + returned.square().sum(0)) + 0.5
    return inside & (apart <= allowed)


class WindowFlow:
    """The `PairFlow` of a clip cut from a recording; computed when first asked, then kept."""

    def __init__(self, between: Callable[[int, int], Tensor], places: Sequence[int]) -> None:
        """`between(a, b)`: flow `[2, H, W]` from frame a of the recording to frame b.

        `places[k]` is the frame of the recording that stands at k in the clip.
        """
        self._between = between
        self._places = tuple(places)
        self._motion: Motion | None = None
        self._lock = Lock()

    def __call__(self, k: int, r: int) -> tuple[Tensor, Tensor]:
        """Flow `[2, H, W]` from frame k to frame r of the clip, and its visibility `[H, W]`."""
        motion = self._whole()
        there = motion.pair(k, r)[0]
        return there, visible(there, motion.pair(r, k)[0])

    def _whole(self) -> Motion:
        with self._lock:
            if self._motion is None:
                steps = list(zip(self._places[:-1], self._places[1:], strict=True))
                forward = torch.stack([self._between(a, b) for a, b in steps])
                backward = torch.stack([self._between(b, a) for a, b in steps])
                self._motion = Motion.consecutive(forward[None], backward[None])
            return self._motion
