"""Clips cut from recordings: which frames a clip takes, and how frames become a `Clip`."""

from __future__ import annotations

import sys
from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import overload

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from attnzoo.data.catalogue import Page, Stamp
from attnzoo.data.clip import POSE_CHANNELS, Clip
from attnzoo.data.flow import WindowFlow, dense_flow
from attnzoo.data.frames import Picture
from attnzoo.data.kept import Kept
from attnzoo.data.look import Estimator, Look
from attnzoo.errors import UserError

TEST_WINDOWS = 4
"""Test windows of a recording at most."""

MOST_PIXELS, MOST_FRAMES = 4096, 4096
"""Pixels of a side and frames of a clip; more is a slip of the finger, and no memory's size."""

KEPT_BYTES = 1 << 28
"""What the frames of all recordings of a data set may take in memory, and what their flows may."""


class Short(Enum):
    """A recording with fewer frames than a clip: an error, or played to and fro until it lasts."""

    refuse = "refuse"
    loop = "loop"


class Damaged(Enum):
    """A frame that cannot be read or lacks its mask or pose: an error, or its windows are left out.

    What is left out is counted and named; nothing takes its place.
    """

    refuse = "refuse"
    skip = "skip"


@dataclass(frozen=True)
class Frame:
    """One frame of a recording at the clip's size.

    picture and pose `[size, size, 3]` (pose None: none known), mask `[size, size]` (the person;
    None: unknown), body `[size, size]` (where a pose picture shows one), look: what flow is
    computed from; coordinates `[size, size, 3]`: U, cosine and sine of V as a pose image has them,
    None where the pose has none.
    """

    picture: Picture
    pose: Picture | None
    mask: NDArray[np.bool_] | None
    look: Look
    body: NDArray[np.bool_] | None = None
    coordinates: Picture | None = None


class Memory:
    """What the recordings of one data set keep of frames and flows, together."""

    def __init__(self, limit: int = KEPT_BYTES) -> None:
        self.frames, self.flows = Kept(limit), Kept(limit)


class Recording(ABC):
    """A named sequence of frames, read when asked for and kept as long as memory allows.

    Args:
        name: of the recording, unique in its data set.
        count: of its frames.
        size: pixels of a side.
        memory: shared with the data set's other recordings; its own without.
    """

    def __init__(self, name: str, count: int, size: int, memory: Memory | None = None) -> None:
        self.name, self.count, self.size = name, count, size
        self.memory = memory or Memory()
        self._own = object()  # names may return in another data set

    @abstractmethod
    def read(self, index: int) -> Frame:
        """Frame `index`, decoded. `frame(index)` is the same and remembers."""

    @abstractmethod
    def stamps(self) -> list[Stamp]:
        """Size and time of change of the files that hold the frames."""

    @abstractmethod
    def digest(self, index: int) -> str:
        """SHA-256 of what frame `index` and its conditions are read from; decodes nothing."""

    @property
    def page_name(self) -> str:
        """Under which a catalogue holds this recording."""
        return self.name

    def page(self) -> Page:
        """What a catalogue is to hold of this recording; reads all that frames are made from."""
        return Page(tuple(map(self.digest, range(self.count))))

    def frame(self, index: int) -> Frame:
        """Frame `index`."""
        kept = self.memory.frames
        here = 7 * self.size**2 + 4 * max(self.size, 256) ** 2
        return kept((self._own, index), here, lambda: self.read(index))

    def flow(self, start: int, end: int) -> Tensor:
        """The data's own flow between two frames `[2, H, W]`."""
        return self._flow_kept(("own", start, end), lambda: self._flow(start, end))

    def estimated(self, estimate: Estimator, start: int, end: int) -> Tensor:
        """Flow `[2, H, W]` between two frames by an estimator, which must be hashable."""
        key = (estimate, start, end)
        return self._flow_kept(key, lambda: self._estimated(estimate, start, end))

    def _flow_kept(self, key: Hashable, build: Callable[[], Tensor]) -> Tensor:
        return self.memory.flows((self._own, key), 8 * self.size**2, build)

    def background_from(self, index: int) -> Sequence[int]:
        """The frames that `background(index)` depends on."""
        return range(self.count) if self.frame(index).mask is None else (index,)

    def background(self, index: int) -> Picture:
        """The place without its dancer, for a clip that starts at frame `index`.

        The frame outside the dancer's mask, what lies behind her painted in from around; without
        a mask the median over time.
        """
        first = self.frame(index)
        if first.mask is None:
            return self.median()
        return without(first.picture, first.mask)

    def median(self) -> Picture:
        """Temporal median of the recording `[size, size, 3]`, of at most 64 frames spread over it.

        Computed once.
        """
        if not hasattr(self, "_median"):
            chosen = np.unique(np.linspace(0, self.count - 1, 64).round().astype(int))
            stack = np.stack([self.frame(int(i)).picture for i in chosen])
            self._median: Picture = np.median(stack, 0).round().astype(np.uint8)
        return self._median

    def _flow(self, start: int, end: int) -> Tensor:
        a, b = self.frame(start), self.frame(end)
        return dense_flow(a.look.grey, b.look.grey, self.size, a.look.still)

    def _estimated(self, estimate: Estimator, start: int, end: int) -> Tensor:
        return estimate(self.frame(start).look, self.frame(end).look, self.size)


@dataclass(frozen=True)
class WindowLooks:
    """What the frames of a clip cut from a recording show; `where` are its frames there."""

    recording: Recording
    where: Sequence[int]

    def __getitem__(self, frame: int) -> Look:
        """What is known of one frame of the clip."""
        return self.recording.frame(self.where[frame]).look

    def between(self, estimate: Estimator, k: int, r: int) -> Tensor:
        """Flow from frame k to frame r `[2, H, W]`, remembered by the recording."""
        return self.recording.estimated(estimate, self.where[k], self.where[r])


class Windows(Sequence[Clip]):
    """Clips of `frames` frames, made when indexed: one for each (recording, first frame)."""

    def __init__(
        self, starts: Sequence[tuple[Recording, int]], frames: int, stride: int = 1
    ) -> None:
        self.starts, self.frames, self.stride = starts, frames, stride

    def __len__(self) -> int:
        return len(self.starts)

    @overload
    def __getitem__(self, index: int) -> Clip: ...
    @overload
    def __getitem__(self, index: slice) -> Windows: ...
    def __getitem__(self, index: int | slice) -> Clip | Windows:
        """The clip with this number, or the sequence of several."""
        if isinstance(index, slice):
            return Windows(self.starts[index], self.frames, self.stride)
        recording, start = self.starts[index]
        return _clip(recording, places(start, recording.count, self.frames, self.stride))


def span(frames: int, stride: int) -> int:
    """Frames of a recording that a clip reaches over."""
    return (frames - 1) * stride + 1


def places(start: int, count: int, frames: int, stride: int) -> tuple[int, ...]:
    """Which frame of the recording stands at each place of a clip.

    A clip that reaches beyond the last of `count` frames turns there, and again at the first:
    0 1 2 1 0 1 2 ...; so neighbours stay neighbours and no jump is made.
    """
    period = max(2 * (count - 1), 1)
    turned = [(start + i * stride) % period for i in range(frames)]
    return tuple(min(i, period - i) if count > 1 else 0 for i in turned)


def all_starts(count: int, frames: int, stride: int) -> list[int]:
    """First frames of all windows; one window for a recording that is too short."""
    return list(range(max(1, count - span(frames, stride) + 1)))


def separate_starts(count: int, frames: int, stride: int) -> list[int]:
    """First frames of windows without a common frame: the first, and what else has room."""
    return all_starts(count, frames, stride)[:: span(frames, stride)]


def check_length(count: int, frames: int, stride: int, short: Short, name: str) -> None:
    """Refuses a recording of `count` frames that is shorter than a clip, unless it may loop."""
    needed = span(frames, stride)
    if count >= needed or short is Short.loop:
        return
    apart = f", {stride} apart" if stride > 1 else ""
    raise UserError(
        f"{name}: {count} frames, but a clip takes {frames}{apart}: give at least {needed}, "
        f"a smaller data.frames, or data.short=loop (plays it to and fro)"
    )


def check_numbers(size: int, frames: int, stride: int = 1) -> None:
    """Refuses numbers that no clip can have."""
    for name, value, least, most in (
        ("size", size, 32, MOST_PIXELS),
        ("frames", frames, 2, MOST_FRAMES),
        ("stride", stride, 1, sys.maxsize),
    ):
        if value < least:
            raise UserError(f"data.{name}={value}: must be at least {least}")
        if value > most:
            raise UserError(f"data.{name}={value}: must be at most {most}")
    if size % 8:
        raise UserError(f"data.size={size}: must be a multiple of 8")


def without(image: Picture, mask: NDArray[np.bool_]) -> Picture:
    """The picture with what `mask` covers, and a rim of it, painted in from around (Telea 2004).

    Black where the mask leaves nothing to paint from.
    """
    rim = 2 * (1 + image.shape[0] // 64) + 1
    hole = cv2.dilate(mask.astype(np.uint8), np.ones((rim, rim), np.uint8))
    if hole.all():
        return np.zeros_like(image)
    return np.asarray(cv2.inpaint(image, hole, 3, cv2.INPAINT_TELEA), np.uint8)


def _clip(recording: Recording, where: Sequence[int]) -> Clip:
    """The clip of these frames; its foreground, mask and background are the first one's."""
    frames = [recording.frame(i) for i in where]
    first = frames[0]
    video = image_of(np.stack([f.picture for f in frames]))
    pose = torch.stack([pose_of(frame) for frame in frames])
    bodies = [f.mask if f.mask is not None else f.body for f in frames]
    empty = np.zeros(first.picture.shape[:2], bool)
    body = np.stack([empty if b is None else b for b in bodies])
    shown = mask_of(first)
    return Clip(
        name=f"{recording.name}-{where[0]:05d}",
        video=video,
        pose=pose,
        foreground=video[0] * shown,
        mask=shown,
        reference_pose=pose[0],
        background=image_of(recording.background(where[0])),
        body=torch.from_numpy(body)[:, None].float(),
        flow=WindowFlow(recording.flow, where),
        looks=WindowLooks(recording, where),
    )


def pose_of(frame: Frame) -> Tensor:
    """The pose image `[6, H, W]` of a frame; zeros where it has none."""
    pose = torch.zeros(POSE_CHANNELS, *frame.picture.shape[:2])
    if frame.pose is not None:
        pose[:3] = image_of(frame.pose)
    if frame.coordinates is not None:
        pose[3:] = image_of(frame.coordinates)
    return pose


def mask_of(frame: Frame) -> Tensor:
    """Where the person is `[1, H, W]`, 0 or 1; everywhere where nobody knows."""
    if frame.mask is None:
        return torch.ones(1, *frame.picture.shape[:2])
    return torch.from_numpy(frame.mask)[None].float()


def image_of(picture: Picture) -> Tensor:
    """`[..., H, W, 3]` bytes to `[..., 3, H, W]` in [0, 1]."""
    return torch.from_numpy(np.moveaxis(picture, -1, -3).astype(np.float32) / 255)
