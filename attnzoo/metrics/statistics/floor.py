"""The distance of real videos to other real ones: what a perfect generator would get.

A distance of sets is not zero for equals; it falls with the number of videos. So the floor belongs
into every table, and beside it the generated videos' distance at the same number, since the floor
has only half of the real videos on either side.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

SetDistance = Callable[[Tensor, Tensor], float]
"""Distance of features `[m, d]` and `[n, d]`."""


@dataclass(frozen=True)
class Floor:
    """Means over splits of the real videos into halves.

    real: distance of one half to the other, low and high its range over 95 % of the splits (how
    much the split decides, not an interval of the mean). fake: distance of generated videos to a
    half of the real ones, the same number of both; None if none were given. n: videos on each side.
    """

    real: float
    low: float
    high: float
    fake: float | None
    n: int


def floor_by_halves(
    distance: SetDistance,
    real: Tensor,
    real_videos: Tensor,
    fake: Tensor | None = None,
    fake_videos: Tensor | None = None,
    *,
    splits: int = 20,
    seed: int = 0,
) -> Floor:
    """Splits the real videos into random halves, whole videos only.

    Generated videos are drawn to stand against the half that they are not paired with (by equal
    numbers), as the other half of the real ones does.

    Args:
        distance: of two sets of features.
        real: `[m, d]`, a row for each clip or frame.
        real_videos: `[m]`, the video that each row is of.
        fake: `[n, d]`, or None for the floor alone.
        fake_videos: `[n]`.
        splits: how many.
        seed: of the splits.

    Raises:
        ValueError: for fewer than four real videos, or generated rows without their videos.
    """
    if (fake is None) != (fake_videos is None):
        raise ValueError("generated features and their videos come together")
    units = real_videos.unique()
    half = len(units) // 2
    if half < 2:
        raise ValueError(f"{len(units)} real videos make no two halves of at least 2")
    rng = np.random.default_rng([seed, 0xF1])
    real_values, fake_values = [], []
    for _ in range(splits):
        order = units[torch.from_numpy(rng.permutation(len(units)))]
        one, other = order[:half], order[half : 2 * half]
        first = real[torch.isin(real_videos, one)]
        real_values.append(distance(first, real[torch.isin(real_videos, other)]))
        if fake is not None and fake_videos is not None:
            apart = fake_videos.unique()
            apart = apart[~torch.isin(apart, one)]
            drawn = apart[torch.from_numpy(rng.permutation(len(apart))[:half])]
            fake_values.append(distance(first, fake[torch.isin(fake_videos, drawn)]))
    low, high = np.percentile(real_values, (2.5, 97.5))
    mean = float(np.mean(fake_values)) if fake_values else None
    return Floor(float(np.mean(real_values)), float(low), float(high), mean, half)
