"""The one form in which every data set hands out its clips."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import torch
from torch import Tensor

from attnzoo.data.look import Estimator, Look
from attnzoo.motion import Motion

POSE_CHANNELS = 6
"""A pose image: an RGB picture (part colours or a drawn skeleton), then U, and V as cosine and
sine (DensePose's surface coordinates); the last three are zero where a data set has none."""

PairFlow = Callable[[int, int], tuple[Tensor, Tensor]]
"""(k, r) -> flow from frame k to frame r `[2, H, W]` in pixels, read at frame k's positions
(channel 0 is x to the right), and its visibility `[H, W]` bool: what is seen in both frames."""


Between = Callable[[int, int], Tensor]
"""(k, r) -> flow from frame k to frame r alone, as `PairFlow` has it."""


class Looks(Protocol):
    """What the frames of one clip show of their motion, and flow estimated from that."""

    def __getitem__(self, frame: int) -> Look:
        """What is known of one frame."""

    def between(self, estimate: Estimator, k: int, r: int) -> Tensor:
        """Flow from frame k to frame r `[2, H, W]`, in pixels of the clip; may be remembered."""


@dataclass(frozen=True)
class Clip:
    """One clip. Images are float32 in [0, 1], channels first.

    video `[f, 3, H, W]`; pose `[f, 6, H, W]`; foreground `[3, H, W]` (zero outside mask);
    mask `[1, H, W]`; reference_pose `[6, H, W]` (the pose of the foreground picture);
    background `[3, H, W]`; body `[f, 1, H, W]` (1 where the person is; zeros where unknown);
    flow: see `PairFlow`, the data set's own, which metrics go by; None where it knows no motion;
    logo `[f, 1, H, W]`, 1 where a sign on the clothes is seen, None where the data set knows of
    none; looks: what other flow is estimated from; followed: such flow, for mechanisms alone.
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
    looks: Looks | None = None
    followed: Between | None = None

    @property
    def motion(self) -> Between | None:
        """The flow that mechanisms follow: `followed`, or the data set's own."""
        own = self.flow
        if self.followed is not None or own is None:
            return self.followed
        return lambda k, r: own(k, r)[0]


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

    flows = [c.motion for c in clips if c.motion is not None]
    motion = None
    if len(flows) == len(clips):
        frames = clips[0].video.shape[0]

        def pair(k: int, r: int) -> Tensor:
            return torch.stack([flow(k, r) for flow in flows])

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
