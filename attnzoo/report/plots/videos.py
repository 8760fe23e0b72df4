"""Frames of kept videos, and what figures cut out of them."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from attnzoo.errors import DAMAGED, UserError

UNREADABLE: tuple[type[Exception], ...] = (
    Image.DecompressionBombError,
    Image.DecompressionBombWarning,
    *DAMAGED,
)
Frames = NDArray[np.uint8]
"""`[f, h, w, 3]`."""
Box = tuple[float, float, float, float]
"""Left, top, right, bottom in pixels."""


def read_video(path: Path, size: int) -> Frames:
    """A video's frames at their own `size`: each square of enlarged pixels is averaged to one.

    Raises:
        UserError: it cannot be decoded, or its height and width are no multiples of `size`.
    """
    try:
        with av.open(str(path)) as container:
            frames = [
                np.asarray(frame.to_ndarray(format="rgb24"), np.uint8)
                for frame in container.decode(video=0)
            ]
    except (av.FFmpegError, OSError, IndexError) as error:
        raise UserError(f"{path}: not a video that can be read: {error}") from error
    if not frames:
        raise UserError(f"{path}: a video without frames")
    return np.stack([reduced(frame, size, path) for frame in frames])


def read_picture(path: Path, size: int) -> NDArray[np.uint8]:
    """A picture `[h, w, 3]` at its own size, as `read_video` has it; it may be wider than high."""
    with opened(path) as image:
        pixels = np.asarray(image.convert("RGB"))
    return reduced(pixels, size, path)


@contextmanager
def opened(path: Path) -> Iterator[Image.Image]:
    """A picture, decoded by whoever asks for its pixels.

    Raises:
        UserError: it is damaged, or so large that decoding it would take all memory.
    """
    try:
        with warnings.catch_warnings():
            # Pillow only warns of what is half as large as what it refuses.
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path) as image:
                yield image
    except UNREADABLE as error:
        raise UserError(f"{path}: not a picture that can be read: {error}") from error


def reduced(pixels: NDArray[np.uint8], size: int, path: Path) -> NDArray[np.uint8]:
    """`[h, w, 3]` by the whole factor that makes its height `size`."""
    factor, rest = divmod(pixels.shape[0], size)
    if factor < 1 or rest or pixels.shape[1] % factor:
        height, width = pixels.shape[:2]
        raise UserError(f"{path}: {width}x{height} pixels are no whole multiple of size {size}")
    blocks = pixels.reshape(size, factor, pixels.shape[1] // factor, factor, 3)
    small: NDArray[np.uint8] = np.round(blocks.mean(axis=(1, 3))).astype(np.uint8)
    return small


def x_t_slice(frames: Frames, row: int) -> NDArray[np.uint8]:
    """One row of pixels of all frames, `[f, w, 3]`: time runs down, the picture's width across."""
    return frames[:, row]


def middle_row(boxes: Sequence[Box | None], height: int) -> int | None:
    """The row of pixels through the median of the boxes' centres; None if there is no box."""
    centres = [(box[1] + box[3]) / 2 for box in boxes if box is not None]
    if not centres:
        return None
    # A centre on the border of two rows belongs to the lower one, as pixels are counted.
    return int(np.clip(np.floor(np.median(centres)), 0, height - 1))


def square(boxes: Sequence[Box | None], margin: float) -> float:
    """The side of a square that holds the largest box and so many pixels about it."""
    sides = [max(b[2] - b[0], b[3] - b[1]) for b in boxes if b is not None]
    return max(sides, default=0.0) + 2 * margin


def crop(frame: NDArray[np.uint8], box: Box, side: float) -> NDArray[np.uint8]:
    """A square about a box, `[side, side, 3]`, moved inwards where it would leave the picture."""
    height, width = frame.shape[:2]
    length = min(round(side), height, width)
    left = _start((box[0] + box[2]) / 2, length, width)
    top = _start((box[1] + box[3]) / 2, length, height)
    return frame[top : top + length, left : left + length]


def _start(centre: float, length: int, whole: int) -> int:
    return int(np.clip(round(centre - length / 2), 0, whole - length))


def spread(frames: int, shown: int) -> list[int]:
    """Which of `frames` to show: at most `shown`, evenly, the first and the last among them."""
    if frames <= shown:
        return list(range(frames))
    return [round(i * (frames - 1) / (shown - 1)) for i in range(shown)]
