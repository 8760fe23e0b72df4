"""One video as a data set: train on its clips and make it again."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Iterator
from itertools import repeat
from pathlib import Path

import cv2
import numpy as np

from attnzoo.data.backdrop import Backdrop
from attnzoo.data.catalogue import Stamp
from attnzoo.data.flow import FINE
from attnzoo.data.flow_settings import FlowSource
from attnzoo.data.frames import (
    Picture,
    check_numbers_alike,
    fingerprint,
    frames_of,
    oddities,
    size_text,
    square,
)
from attnzoo.data.look import Look
from attnzoo.data.source import Source
from attnzoo.data.spool import Spool
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

FOREGROUND = 127.5
"""Above this a mask's grey is foreground (DisCo's threshold)."""

NO_POSE = "data=video without data.pose has no poses to take it from"
NO_JOINTS = "data=video has pose pictures at most, and no joints"

_log = logging.getLogger(__name__)


class Video(Recording):
    """A video whose frames were made small and put away; content: its files' hashes."""

    def __init__(self, name: str, frames: Spool, size: int, content: object) -> None:
        super().__init__(name, len(frames), size)
        self._frames = frames
        self._content = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()

    def read(self, index: int) -> Frame:
        """Frame `index`."""
        return self._frames[index]

    def stamps(self) -> list[Stamp]:
        """None: opening reads the files and knows their content."""
        return []

    def digest(self, index: int) -> str:
        """SHA-256 of the files' hashes and the frame's number."""
        return hashlib.sha256(f"{self._content} {index}".encode()).hexdigest()


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
    prepared: str | None = None,
) -> Source:
    """A video, or a folder of frames, as training and test data.

    Trains on the first windows of `frames` frames that share no frame, and tests on the same: the
    task is to make the clip again. Every picture is the central square, reduced by area. The whole
    video is read here, frame by frame; the small pictures stay in memory up to a limit, those
    beyond it lie in a temporary file.

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
        prepared: a folder that `python -m attnzoo.prepare` filled, from which training then reads;
            the video itself is read when it is opened, as ever.

    Raises:
        UserError: a number is too small; a file is missing, empty, damaged or cut off; there are
            too few frames, or pose or mask have fewer than the video or another size; the mask
            shows nobody where a window begins.
    """
    check_numbers(size, frames, stride)
    if windows < 0:
        raise UserError(f"data.windows={windows}: must be at least 0, and 0 means every window")
    file = typed(path, f"data.path={path}")
    for setting, beside in (("path", path), ("pose", pose), ("mask", mask)):
        if beside is not None:
            other = typed(beside, f"data.{setting}={beside}")
            check_numbers_alike(file, other, f"data.{setting}={beside}")
            for oddity in oddities(other):
                _log.warning("data.%s=%s: %s", setting, beside, oddity)
    kept = Spool(_frames(file, pose, mask, size))
    check_length(len(kept), frames, stride, short, f"data.path={path}")
    files = {"path": file, "pose": pose, "mask": mask}
    known = {k: p and {"name": Path(p).name, "sha256": _sha256(p)} for k, p in files.items()}
    recording = Video(file.stem, kept, size, [known, len(kept)])
    separate = separate_starts(len(kept), frames, stride)
    every = all_starts(len(kept), frames, stride)
    starts = {
        "train": separate[:windows] if windows else every,
        "test": separate[:windows] if windows else separate[:TEST_WINDOWS],
    }
    if mask is not None:
        _check_seen(recording, {*starts["train"], *starts["test"]}, mask)
    split = {
        "data": "video",
        **known,
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


def _check_seen(video: Video, starts: set[int], mask: str) -> None:
    """Refuses a mask that shows nobody in the first frame of any window."""
    covers = (video.frame(start).mask for start in sorted(starts))
    if any(cover is not None and cover.any() for cover in covers):
        return
    most = max(int(image.max()) for image in _beside(mask, "mask"))
    why = "it must be white (255) where the person is, within the central square"
    dark = f"its largest value is {most}; " if most <= FOREGROUND else ""
    raise UserError(f"data.mask={mask}: shows nobody where a window begins: {dark}{why}")


def _sha256(path: str | Path) -> str:
    return fingerprint(Path(path).expanduser())


def _frames(path: Path, pose: str | None, mask: str | None, size: int) -> Iterator[Frame]:
    """The video's frames with their conditions, decoded side by side."""
    images = frames_of(path, "data.path")
    same = pose is not None and typed(pose, f"data.pose={pose}").resolve() == path.resolve()
    poses = repeat(None) if pose is None or same else _beside(pose, "pose")
    masks = repeat(None) if mask is None else _beside(mask, "mask")
    backdrop: Backdrop | None = None
    for number, image in enumerate(images):
        shown = image if same else _partner(poses, image, number, pose, "pose")
        cover = _partner(masks, image, number, mask, "mask")
        if shown is not None and backdrop is None:
            backdrop = Backdrop.of(shown)
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
    image: Picture, pose: Picture | None, cover: Picture | None, backdrop: Backdrop | None,
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
    picture, shown = square(image, size), None if pose is None else square(pose, size)
    seen = picture if shown is None else shown
    if fine != size:  # else flow looks at the very array, which halves what a frame keeps
        seen = square(moving, fine)
    look = Look(seen, still, surface, NO_JOINTS)
    return Frame(picture=picture, pose=shown, mask=mask, look=look, body=body)
