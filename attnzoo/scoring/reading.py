"""Frames of a video as bytes, and how many there really are.

A GIF is read by Pillow, frame by frame as it is stored: decoders of videos repeat its frames to
fill a rate (a GIF of 16 frames at 3 a second became 128), and scores of the copies look as if
they were scores of 128 frames.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain, pairwise
from pathlib import Path

import av
import numpy as np
import torch
from PIL import Image, ImageSequence
from torch import Tensor

from attnzoo.data.frames import Picture, film_of, frames_of, opened, pictures_in, size_text
from attnzoo.errors import DAMAGED, UserError

GIF = ".gif"

_STILL = 0.5
"""Mean change in 8-bit steps up to which a frame counts as a copy of the one before it: a copy
that was compressed anew differs by a little."""


@dataclass(frozen=True)
class Shape:
    """Frames, and pixels."""

    frames: int
    height: int
    width: int


def shape_of(path: Path, option: str) -> Shape:
    """Of a video; its first frame is decoded, the others are only counted.

    Raises:
        UserError: it cannot be read.
    """
    first = next(pictures_of(path, option))
    return Shape(_count(path, option), first.shape[0], first.shape[1])


def _count(path: Path, option: str) -> int:
    if path.is_dir():
        return len(pictures_in(path))
    if path.suffix.lower() == GIF:
        with opened(path, f"{option} {path}") as image, _whole(f"{option} {path}"):
            return int(getattr(image, "n_frames", 1))
    try:
        with av.open(str(path.absolute())) as container:
            packets = container.demux(film_of(container, f"{option} {path}"))
            return sum(packet.size > 0 and not packet.is_discard for packet in packets)
    except (av.error.FFmpegError, OSError) as error:
        raise UserError(f"{option} {path}: cannot be read ({error})") from error


def pictures_of(path: Path, option: str) -> Iterator[Picture]:
    """The frames of a folder, a GIF or another video file, RGB `[H, W, 3]`."""
    if path.is_file() and path.suffix.lower() == GIF:
        return _gif(path, option)
    return frames_of(path, option)


def _gif(path: Path, option: str) -> Iterator[Picture]:
    name = f"{option} {path}"
    with opened(path, name) as image:
        frames = ImageSequence.Iterator(image)
        while True:
            with _whole(name):
                frame = next(frames, None)
                if frame is None:
                    return
                picture = np.asarray(frame.convert("RGB"), np.uint8)
            yield picture


@contextmanager
def _whole(name: str) -> Iterator[None]:
    """What Pillow raises of a GIF's later frames becomes a `UserError`; it looks at each anew."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            yield
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise UserError(f"{name}: a frame is too large a picture ({error})") from error
    except DAMAGED as error:
        raise UserError(f"{name}: damaged GIF ({error})") from error


def read(path: Path, option: str, expected: Shape) -> Tensor:
    """All frames `[f, 3, H, W]` uint8.

    Raises:
        UserError: a frame cannot be decoded or is of another size, or there are not as many as the
            file says.
    """
    frames = pictures_of(path, option)
    first = next(frames)
    video = np.empty((expected.frames, *first.shape), np.uint8)
    number = 0
    for number, frame in enumerate(chain([first], frames), 1):
        if frame.shape != first.shape:
            raise UserError(
                f"{option} {path}: frame {number - 1} is {size_text(frame)}, the first one "
                f"{size_text(first)}; all must be of one size"
            )
        if number <= expected.frames:
            video[number - 1] = frame
    if number != expected.frames:
        raise UserError(
            f"{option} {path}: decodes to {number} frames and stores {expected.frames}; "
            "give the frames themselves, as pictures in a folder"
        )
    return torch.from_numpy(video).permute(0, 3, 1, 2).contiguous()


def repeats(video: Tensor) -> int:
    """How often each frame is repeated, if all are about equally often, else 1.

    Frames `[f, 3, H, W]` uint8. A still scene has no runs: where nothing moves at all, or the runs
    are of different lengths, the answer is 1.
    """
    if len(video) < 4:
        return 1
    pairs = zip(video[1:], video[:-1], strict=True)
    changes = torch.stack([(a.short() - b.short()).abs().float().mean() for a, b in pairs])
    largest = float(changes.quantile(0.95))
    moves = (changes > max(_STILL, 0.25 * largest)).nonzero().flatten().tolist()
    if len(moves) < 2:
        return 1
    runs = [b - a for a, b in pairwise(moves)]
    usual = sorted(runs)[len(runs) // 2]
    regular = sum(abs(run - usual) <= 1 for run in runs) >= 0.9 * len(runs)
    quiet = changes[changes <= max(_STILL, 0.25 * largest)]
    copied = not len(quiet) or float(quiet.max()) <= _STILL
    return usual if usual >= 2 and regular and copied else 1
