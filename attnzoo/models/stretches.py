"""A long clip as windows that overlap: which frames are denoised together, and how they count.

A model that was trained on clips of so many frames sees no more at once. In every denoising step
each window gets a prediction of its own, from the same latents, and where windows overlap these
are averaged (MultiDiffusion, Bar-Tal et al. 2023, along time; DDIM's step is linear in the
prediction, so this is the average of the windows' steps). Each window counts its frames from 0, as
in training, and its references are frames of its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

from attnzoo.errors import UserError
from attnzoo.motion import Motion


@dataclass(frozen=True)
class Stretches:
    """The windows of a clip.

    frames: of the clip; windows: frames `start` to `stop` of each, in order; weights
    `[windows, frames]` float32: how much of a frame's prediction comes from each window, 0 outside
    it, together 1 for every frame.
    """

    frames: int
    windows: tuple[range, ...]
    weights: Tensor

    @property
    def longest(self) -> int:
        """Frames of the longest window."""
        return max(map(len, self.windows))

    @property
    def overlap(self) -> int:
        """Fewest frames that two neighbours have in common; 0 for one window."""
        return min((a.stop - b.start for a, b in pairwise(self.windows)), default=0)

    def passing(self) -> Tensor:
        """How much of the weight passes to other windows from frame k to k + 1, `[frames - 1]`.

        0 inside a window, 1 where one window takes over all at once; in between where one fades
        into the next. What is above 0 is a seam.
        """
        return (self.weights[:, 1:] - self.weights[:, :-1]).abs().sum(0) / 2


def stretches(frames: int, window: int, overlap: int, *, fading: bool = True) -> Stretches:
    """As few windows of `window` frames as cover the clip and overlap by at least `overlap`.

    They are spread evenly, so that every two neighbours overlap by nearly the same number of
    frames and the last one ends with the clip. A clip of at most `window` frames is one window.

    Args:
        frames: of the clip.
        window: of a window, those that the model was trained on.
        overlap: least number of frames that two neighbours have in common.
        fading: over the common frames each window's weight falls linearly to nothing; False: the
            weight passes at once in their middle, for models in which frames know nothing of each
            other and an overlap only shows them their surroundings.

    Raises:
        UserError: no frames, or an overlap that leaves no step from window to window.
    """
    if frames < 1:
        raise UserError(f"--frames {frames}: must be at least 1")
    if not 0 <= overlap < window:
        raise UserError(
            f"--overlap {overlap}: must be from 0 to {window - 1}, a window has {window}"
        )
    if frames <= window:
        return Stretches(frames, (range(frames),), torch.ones(1, frames))
    count = 1 + -(-(frames - window) // (window - overlap))
    starts = [i * (frames - window) // (count - 1) for i in range(count)]
    windows = tuple(range(start, start + window) for start in starts)
    return Stretches(frames, windows, _weights(frames, windows, fading))


def _weights(frames: int, windows: tuple[range, ...], fading: bool) -> Tensor:
    """Each window's share of each frame; the shares of a frame add up to 1."""
    weights = torch.zeros(len(windows), frames, dtype=torch.float64)
    for number, window in enumerate(windows):
        weights[number, window.start : window.stop] = 1
    for number, (before, after) in enumerate(pairwise(windows)):
        rise = _rise(frames, range(after.start, before.stop), fading)
        weights[number] *= 1 - rise
        weights[number + 1] *= rise
    # Where more than two windows meet, the shares so far are of each pair alone.
    return (weights / weights.sum(0)).float()


def _rise(frames: int, common: range, fading: bool) -> Tensor:
    """From 0 to 1 over the frames that two neighbours have in common, `[frames]`."""
    place = torch.arange(frames, dtype=torch.float64) - common.start
    if fading:
        return ((place + 1) / (len(common) + 1)).clamp(0, 1)
    return (place >= (len(common) + 1) // 2).double()


def motion_of(motion: Motion, window: range) -> Motion:
    """The motion of a window's frames, counted from 0; flows are kept by the whole motion."""
    start = window.start
    return Motion(
        lambda k, r: motion.pair(start + k, start + r), batch=motion.batch, frames=len(window)
    )
