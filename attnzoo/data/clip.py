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


Related = Callable[[Sequence[int], int, int], Tensor]
"""(reference, h, w) -> flow of one clip from each frame to its reference frame `[f, 2, h, w]` in
cells of that grid, as `Motion.to` has it."""


@dataclass(frozen=True)
class Ready:
    """What a model's frozen parts make of one clip, or with a first axis b of several.

    latents `[f, c, h, w]`: of the frames; tokens `[n, d]`: of the person; null `[1 or n, d]`:
    those that stand for no person; foreground `[c, h, w]`: latents of the foreground, None where
    the method has no use for them; related: the flow that is followed, None without.
    """

    latents: Tensor
    tokens: Tensor
    null: Tensor
    foreground: Tensor | None = None
    related: Related | None = None


@dataclass(frozen=True)
class Clip:
    """One clip. Images are float32 in [0, 1], channels first.

    video `[f, 3, H, W]`; pose `[f, 6, H, W]`; foreground `[3, H, W]` (zero outside mask);
    mask `[1, H, W]`; reference_pose `[6, H, W]` (the pose of the foreground picture);
    background `[3, H, W]`; body `[f, 1, H, W]` (1 where the person is; zeros where unknown);
    flow: see `PairFlow`, the data set's own, which metrics go by; None where it knows no motion;
    logo `[f, 1, H, W]`, 1 where a sign on the clothes is seen, None where the data set knows of
    none; looks: what other flow is estimated from; followed: such flow, for mechanisms alone.
    ready: what was computed beforehand. Such a clip is for training: of its pictures the pose is
    there, and the background or, where a model takes those, its latents; the others are empty.
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
    ready: Ready | None = None

    @property
    def motion(self) -> Between | None:
        """The flow that mechanisms follow: `followed`, or the data set's own."""
        own = self.flow
        if self.followed is not None or own is None:
            return self.followed
        return lambda k, r: own(k, r)[0]


@dataclass(frozen=True)
class Batch:
    """Clips stacked along a first axis b; `motion` for the mechanisms, None without flow.

    ready: of clips that have it; video, foreground, mask and reference_pose are empty then.
    """

    names: tuple[str, ...]
    video: Tensor
    pose: Tensor
    foreground: Tensor
    mask: Tensor
    reference_pose: Tensor
    background: Tensor
    motion: Motion | None
    ready: Ready | None = None

    def to(self, device: torch.device) -> Batch:
        """The same batch on `device`."""
        moved = _moved(self, device)
        if self.ready is not None:
            moved["ready"] = replace(self.ready, **_moved(self.ready, device))
        if self.motion is not None:
            moved["motion"] = self.motion.device_to(device)
        return replace(self, **moved)


def _moved(values: Batch | Ready, device: torch.device) -> dict[str, Any]:
    return {k: v.to(device) for k, v in vars(values).items() if isinstance(v, Tensor)}


def collate(clips: Sequence[Clip]) -> Batch:
    """Stacks clips of equal size into a `Batch`."""

    def stack(field: str) -> Tensor:
        return torch.stack([getattr(c, field) for c in clips])

    ready = [c.ready for c in clips if c.ready is not None]
    together = _ready(ready) if len(ready) == len(clips) else None
    motion = _motion(clips) if together is None else _stored(ready)
    return Batch(
        tuple(c.name for c in clips),
        stack("video"),
        stack("pose"),
        stack("foreground"),
        stack("mask"),
        stack("reference_pose"),
        stack("background"),
        motion,
        together,
    )


def _motion(clips: Sequence[Clip]) -> Motion | None:
    flows = [c.motion for c in clips if c.motion is not None]
    if len(flows) < len(clips):
        return None

    def pair(k: int, r: int) -> Tensor:
        return torch.stack([flow(k, r) for flow in flows])

    return Motion(pair, batch=len(clips), frames=clips[0].video.shape[0])


def _stored(ready: Sequence[Ready]) -> Motion | None:
    found = [one.related for one in ready if one.related is not None]
    if len(found) < len(ready):
        return None

    def related(reference: Sequence[int], h: int, w: int) -> Tensor:
        return torch.stack([one(reference, h, w) for one in found])

    return Motion.known(related, batch=len(found), frames=ready[0].latents.shape[0])


def _ready(clips: Sequence[Ready]) -> Ready:
    """Stacked; a person of fewer tokens is filled up with null ones, as the encoder does."""
    longest = max(len(one.tokens) for one in clips)
    tokens = [
        torch.cat([one.tokens, one.null[:1].expand(longest - len(one.tokens), -1)]) for one in clips
    ]
    foregrounds = [one.foreground for one in clips if one.foreground is not None]
    return Ready(
        latents=torch.stack([one.latents for one in clips]),
        tokens=torch.stack(tokens),
        null=torch.stack([one.null for one in clips]),
        foreground=torch.stack(foregrounds) if len(foregrounds) == len(clips) else None,
    )
