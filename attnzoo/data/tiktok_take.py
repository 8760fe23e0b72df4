"""What every layout of TikTok dances gives: takes, one dance each, read frame by frame."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from attnzoo.data.catalogue import Stamp
from attnzoo.data.frames import Picture
from attnzoo.data.limbs import Limbs
from attnzoo.data.skeleton import HALF_WIDTH, Points, draw
from attnzoo.errors import UserError
from attnzoo.paths import regular

THRESHOLD = 127.5
"""Above this grey a mask is foreground."""

BACKDROP = (68, 0, 83)
"""The background's colour in masks that Grounded-SAM draws in colours, a colour per object."""

_APART = 24
"""How far a channel must be from `BACKDROP`; compression strays less, the first object more."""


@dataclass(frozen=True)
class Shot:
    """One frame as it was recorded: picture and pose `[H, W, 3]`, mask `[h, w]`.

    The mask may be of another size but is of the same shape (DisCo's are). limbs: those that
    the pose was drawn from, in the central square at flow's size; None: it came as a picture.
    """

    picture: Picture
    pose: Picture
    mask: NDArray[np.bool_]
    limbs: Limbs | None = None


class Take(ABC):
    """One dance: its name and the names of its frames, in order.

    dense: whether poses are pictures of the whole body, from which motion can be taken; place:
    where the data set lies.
    """

    dense = False
    place = ""

    def __init__(self, name: str, frames: tuple[str, ...]) -> None:
        self.name, self.frames = name, frames

    def missing(self) -> dict[int, str]:
        """Frames that lack a part, and what they lack, as far as names of files tell."""
        return {}

    @abstractmethod
    def shot(self, index: int, size: int) -> Shot:
        """Frame `index`, to be used at `size` pixels a side (it may come larger).

        Raises:
            UserError: a part of the frame is missing or damaged, or sizes do not agree.
        """

    @abstractmethod
    def stamps(self) -> list[Stamp]:
        """Size and time of change of every file that the frames are read from."""

    @abstractmethod
    def parts(self, index: int) -> Iterator[bytes]:
        """All that frame `index` is decoded from, as it lies on disk.

        Raises:
            UserError: a part is missing.
        """

    def digest(self, index: int) -> str:
        """SHA-256 of the parts of frame `index`."""
        found = hashlib.sha256()
        for part in self.parts(index):
            found.update(len(part).to_bytes(8, "little"))
            found.update(part)
        return found.hexdigest()


def person(mask: Picture, *, labels: bool = False) -> NDArray[np.bool_]:
    """Where a mask shows the person `[H, W]`.

    Args:
        mask: white on black; or coloured, where everything but `BACKDROP` is foreground.
        labels: whether a mask of dark greys alone is numbers of objects, 0 the background.
    """
    some = mask[::8, ::8]
    if (some.max(2) - some.min(2) > 40).mean() > 0.1:
        low, high = (np.array(BACKDROP) + d for d in (-_APART, _APART))
        return np.asarray(cv2.inRange(mask, low, high) == 0)
    grey = mask[..., 1]
    return np.asarray(grey > (0 if labels and grey.max() <= THRESHOLD else THRESHOLD))


def skeleton(points: Points | None, height: int, width: int, size: int) -> Picture:
    """The drawn pose, with lines as wide as DisCo's, or two pixels at the final size if wider."""
    return draw(points, height, width, half_width=max(HALF_WIDTH, min(height, width) / size))


def read(file: Path, otherwise: str) -> bytes:
    """A file's bytes; UserError `otherwise` where it is missing."""
    try:
        return regular(file).read_bytes()
    except FileNotFoundError as error:
        raise UserError(otherwise) from error
    except OSError as error:
        raise UserError(f"{file}: cannot be read ({error.strerror})") from error


def check_frame(frame: tuple[int, int], first: tuple[int, int], name: str) -> None:
    """Refuses a frame of other sides (height, width) than the dance's first one."""
    if frame != first:
        raise UserError(
            f"{name}: {frame[1]}x{frame[0]}, the dance's first frame is {first[1]}x{first[0]}; "
            "all must be of one size"
        )


def check_shape(mask: tuple[int, int], frame: tuple[int, int], name: str) -> None:
    """Refuses a mask whose sides (height, width) are not in the frame's ratio, within 1 %."""
    if abs(mask[0] * frame[1] / (mask[1] * frame[0]) - 1) > 0.01:
        raise UserError(
            f"{name}: the mask is {mask[1]}x{mask[0]}; must be as large as the frame, "
            f"{frame[1]}x{frame[0]}, or of its shape"
        )


def check_pose(pose: tuple[int, int], frame: tuple[int, int], name: str) -> None:
    """Refuses a pose picture of other sides (height, width) than the frame's."""
    if pose != frame:
        raise UserError(
            f"{name}: the pose is {pose[1]}x{pose[0]}; must be as large as the frame, "
            f"{frame[1]}x{frame[0]}"
        )
