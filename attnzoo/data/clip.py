"""The one form in which every data set hands out its clips."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from attnzoo.motion import Motion

POSE_CHANNELS = 6
"""A pose image: an RGB picture (part colours or a drawn skeleton), then U, and V as cosine and
sine (DensePose's surface coordinates); the last three are zero where a data set has none."""

PairFlow = Callable[[int, int], tuple[Tensor, Tensor]]
"""(k, r) -> flow from frame k to frame r `[2, H, W]` in pixels, read at frame k's positions
(channel 0 is x to the right), and its visibility `[H, W]` bool: what is seen in both frames."""


@dataclass(frozen=True)
class Clip:
    """One clip. Images are float32 in [0, 1], channels first.

    video `[f, 3, H, W]`; pose `[f, 6, H, W]`; foreground `[3, H, W]` (zero outside mask);
    mask `[1, H, W]`; reference_pose `[6, H, W]` (the pose of the foreground picture);
    background `[3, H, W]`; body `[f, 1, H, W]` (1 where the person is; zeros where unknown);
    flow: see `PairFlow`, None where the data set knows no motion; logo `[f, 1, H, W]`, 1 where a
    sign on the clothes is seen, None where the data set knows of none.
    """

    name: str
    video: Tensor
    pose: Tensor
    foreground: Tensor
    mask: Tensor
    reference_pose: Tensor
    background: Tensor
    body: Tensor
    flow: PairFlow | None
    scenario: str = ""
    logo: Tensor | None = None


@dataclass(frozen=True)
class Batch:
    """Clips stacked along a first axis b; `motion` for the mechanisms, None without flow."""

    names: tuple[str, ...]
    video: Tensor
    pose: Tensor
    foreground: Tensor
    mask: Tensor
    reference_pose: Tensor
    background: Tensor
    motion: Motion | None

    def to(self, device: torch.device) -> Batch:
        """The same batch on `device`."""
        moved: dict[str, Any] = {
            k: v.to(device) for k, v in vars(self).items() if isinstance(v, Tensor)
        }
        if self.motion is not None:
            moved["motion"] = self.motion.device_to(device)
        return replace(self, **moved)


def collate(clips: Sequence[Clip]) -> Batch:
    """Stacks clips of equal size into a `Batch`."""

    def stack(field: str) -> Tensor:
        return torch.stack([getattr(c, field) for c in clips])

    flows = [c.flow for c in clips if c.flow is not None]
    motion = None
    if len(flows) == len(clips):
        frames = clips[0].video.shape[0]

        def pair(k: int, r: int) -> Tensor:
            return torch.stack([flow(k, r)[0] for flow in flows])

        motion = Motion(pair, batch=len(clips), frames=frames)
    return Batch(
        tuple(c.name for c in clips),
        stack("video"),
        stack("pose"),
        stack("foreground"),
        stack("mask"),
        stack("reference_pose"),
        stack("background"),
        motion,
    )
