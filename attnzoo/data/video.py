"""One video as a data set: train on its clips and make it again."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice, repeat
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from attnzoo.data.flow import FINE
from attnzoo.data.flow_settings import FlowSource
from attnzoo.data.frames import Picture, fingerprint, frames_of, size_text, square
from attnzoo.data.look import Look
from attnzoo.data.source import Source
from attnzoo.data.surface import raw_surface
from attnzoo.data.windows import (
    TEST_WINDOWS,
    Frame,
    Recording,
    Short,
    Windows,
    all_starts,
    check_length,
    check_numbers,
    separate_starts,
)
from attnzoo.errors import UserError
from attnzoo.paths import typed

LIMIT = 600
"""Frames of a video that are read; of a longer one the rest is left out, which is logged."""

FOREGROUND = 127.5
"""Above this a mask's grey is foreground (DisCo's threshold)."""

_TOLERANCE = 8
"""How far a channel of an evenly coloured background strays by compression. DensePose's part
colours begin only 13 steps away from its background."""

NO_POSE = "data=video without data.pose has no poses to take it from"
NO_JOINTS = "data=video has pose pictures at most, and no joints"

_log = logging.getLogger(__name__)


class Video(Recording):
    """A video whose frames, made small, are all in memory."""

    def __init__(self, name: str, frames: Sequence[Frame], size: int) -> None:
        super().__init__(name, len(frames), size)
        self._frames = frames

    def read(self, index: int) -> Frame:
        """Frame `index`."""
        return self._frames[index]


def open_video(
    path: str,
    *,
    size: int = 64,
    frames: int = 16,
    stride: int = 1,
    pose: str | None = None,
    mask: str | None = None,
    windows: int = 1,
    short: Short = Short.refuse,
) -> Source:
    """A video, or a folder of frames, as training and test data.

    Trains on the first windows of `frames` frames that share no frame, and tests on the same: the
    task is to make the clip again. Every picture is the central square, reduced by area. The whole
    video is read here, frame by frame; only the small pictures stay in memory, `LIMIT` at most.

    Args:
        path: any video that PyAV reads, or a folder of frames.
        size: pixels of a side.
        frames: frames of a clip.
        stride: frames of the video from one frame of a clip to the next.
        pose: a video, or folder, of pose pictures, as long and as large as the video; it may be the
            same file. Where the pictures' border is of one colour, that colour is background and
            becomes black, as in every pose picture of the package, and does not move. Without it
            the pose picture is blank and flow comes from the frames.
        mask: a video, or folder, of masks, one for each frame, white where the person is. The
            background is then the first frame with the person painted out. Without it the whole
            first frame is foreground and the video's temporal median is background.
        windows: how many windows; 0 trains on every window there is, overlapping ones too, and
            tests on `TEST_WINDOWS` separate ones at most.
        short: what to do with a video shorter than a clip; loop plays it to and fro.

    Raises:
        UserError: a number is too small; a file is missing, empty, damaged or cut off; there are
            too few frames, or pose or mask have fewer than the video or another size.
    """
    check_numbers(size, frames, stride)
    if windows < 0:
        raise UserError(f"data.windows={windows}: must be at least 0, and 0 means every window")
    file = typed(path, f"data.path={path}")
    kept = list(islice(_frames(file, pose, mask, size), LIMIT + 1))
    if len(kept) > LIMIT:
        del kept[LIMIT:]
        _log.warning("data.path=%s: only the first %d frames are used", path, LIMIT)
    check_length(len(kept), frames, stride, short, f"data.path={path}")
    recording = Video(file.stem, kept, size)
    separate = separate_starts(len(kept), frames, stride)
    every = all_starts(len(kept), frames, stride)
    starts = {
        "train": separate[:windows] if windows else every,
        "test": separate[:windows] if windows else separate[:TEST_WINDOWS],
    }
    files = {"path": file, "pose": pose, "mask": mask}
    split = {
        "data": "video",
        **{k: p and {"name": Path(p).name, "sha256": _sha256(p)} for k, p in files.items()},
        "frames_used": len(kept),
        "train": f"{len(starts['train'])} windows, the last starts at frame {starts['train'][-1]}",
        "test": [f"window that starts at frame {start}" for start in starts["test"]],
        "frames": frames,
        "stride": stride,
        "size": size,
        "short": short.name,
        "flow": "pose" if pose else "frames",
    }
    train, test = (
        Windows([(recording, start) for start in starts[part]], frames, stride)
        for part in ("train", "test")
    )
    return Source("video", frames, size, train, test, split, FlowSource.classical)


def _sha256(path: str | Path) -> str:
    return fingerprint(Path(path).expanduser())


@dataclass(frozen=True)
class _Backdrop:
    """The one colour of the background of pose pictures; None where there is no such colour."""

    colour: NDArray[np.int16] | None

    @classmethod
    def of(cls, image: Picture) -> _Backdrop:
        """Read off the border of the first picture: a colour that most of it has."""
        border = np.concatenate([image[0], image[-1], image[:, 0], image[:, -1]]).astype(np.int16)
        colour = np.median(border, 0).astype(np.int16)
        share = (np.abs(border - colour).max(1) <= _TOLERANCE).mean()
        return cls(colour if share > 0.5 else None)

    def covered(self, image: Picture) -> NDArray[np.uint8] | None:
        """255 where the picture shows something else than background, 0 where it does not."""
        if self.colour is None:
            return None
        low, high = (self.colour + d for d in (-_TOLERANCE, _TOLERANCE))
        return np.asarray(cv2.bitwise_not(cv2.inRange(image, low, high)), np.uint8)


def _frames(path: Path, pose: str | None, mask: str | None, size: int) -> Iterator[Frame]:
    """The video's frames with their conditions, decoded side by side."""
    images = frames_of(path, "data.path")
    same = pose is not None and typed(pose, f"data.pose={pose}").resolve() == path.resolve()
    poses = repeat(None) if pose is None or same else _beside(pose, "pose")
    masks = repeat(None) if mask is None else _beside(mask, "mask")
    backdrop: _Backdrop | None = None
    for number, image in enumerate(images):
        shown = image if same else _partner(poses, image, number, pose, "pose")
        cover = _partner(masks, image, number, mask, "mask")
        if shown is not None and backdrop is None:
            backdrop = _Backdrop.of(shown)
        yield _frame(image, shown, cover, backdrop, size)
    for others, name, setting in ((poses, pose, "pose"), (masks, mask, "mask")):
        if name is not None and not (same and setting == "pose") and next(others, None) is not None:
            raise UserError(f"data.{setting}={name}: more frames than the video; give as many")


def _beside(path: str, setting: str) -> Iterator[Picture]:
    return frames_of(typed(path, f"data.{setting}={path}"), f"data.{setting}")


def _partner(
    others: Iterator[Picture] | Iterator[None],
    image: Picture,
    number: int,
    path: str | None,
    setting: str,
) -> Picture | None:
    """The next of `others`, which belongs to frame `number` and must be of its size."""
    if path is None:
        return None
    other = next(others, None)
    if other is None:
        raise UserError(f"data.{setting}={path}: {number} frames; the video has more, give as many")
    if other.shape != image.shape:
        raise UserError(
            f"data.{setting}={path}: {size_text(other)}; must be as large as the video, "
            f"{size_text(image)}"
        )
    return other


def _frame(
    image: Picture, pose: Picture | None, cover: Picture | None, backdrop: _Backdrop | None,
    size: int,
) -> Frame:  # fmt: skip
    fine = max(size, FINE)
    moving, body, still = image, None, None
    surface = NO_POSE if pose is None else raw_surface(pose, fine)
    if pose is not None and backdrop is not None:
        covered = backdrop.covered(pose)
        if covered is not None:
            pose = np.asarray(cv2.bitwise_and(pose, pose, mask=covered), np.uint8)
            body = square(covered, size) > FOREGROUND
            still = square(covered, fine) <= FOREGROUND
        moving = pose
    mask = None
    if cover is not None:
        white = (cv2.cvtColor(cover, cv2.COLOR_RGB2GRAY) > FOREGROUND).astype(np.uint8) * 255
        mask = square(white, size) > FOREGROUND
    return Frame(
        picture=square(image, size),
        pose=None if pose is None else square(pose, size),
        mask=mask,
        look=Look(square(moving, fine), still, surface, NO_JOINTS),
        body=body,
    )
