"""Who dances and where: the person's picture with its mask and pose, and the place's picture."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import ImageOps
from torch import Tensor

from attnzoo.data.clip import POSE_CHANNELS, Clip
from attnzoo.data.frames import Picture, frames_of, opened, picture, pixels, square
from attnzoo.data.tiktok_take import check_shape
from attnzoo.data.video import FOREGROUND
from attnzoo.errors import UserError
from attnzoo.mixing.sources import Kind, Origin, clips, origin
from attnzoo.paths import typed

MASK, POSE = "--mask", "--foreground-pose"
WHOLE = "all"
"""As a mask: all of the picture is the person, as where videos are trained on without masks."""


@dataclass(frozen=True)
class Person:
    """Float32 in [0, 1]: foreground `[3, H, W]`, zero outside mask `[1, H, W]`; pose `[6, H, W]`.

    The pose is that of the foreground picture, zero where nobody knows it.
    """

    foreground: Tensor
    mask: Tensor
    pose: Tensor


def person(where: Origin, size: int, *, mask: str | None = None, pose: str | None = None) -> Person:
    """The person that a source shows: of a clip that of its first frame.

    Args:
        where: embedded dancers and dances of TikTok bring mask and pose; pictures a mask in their
            alpha channel; the first frame of a video none.
        size: pixels of a side.
        mask: a picture or video (its first frame), white where the person is, or `all`.
        pose: a pose picture that belongs to the picture of the person.

    Raises:
        UserError: nothing says where the person is, or two things do; the mask shows nobody or has
            another shape; a file cannot be read.
    """
    if where.kind in (Kind.embedded, Kind.tiktok):
        for flag, given in ((MASK, mask), (POSE, pose)):
            if given is not None:
                raise UserError(
                    f"{flag} {given}: {where.flag} {where.text} brings its own; leave it out"
                )
        clip = first_clip(where, size)
        return _seen(where, Person(clip.foreground, clip.mask, clip.reference_pose))
    shown, alpha = _first(where)
    covered = _covered(where, shown, alpha, mask)
    there = torch.from_numpy(square(covered, size) > FOREGROUND)[None].float()
    known = torch.zeros(POSE_CHANNELS, size, size)
    if pose is not None:
        known = _posed(pose, shown, size)
    return _seen(where, Person(_image(square(shown, size)) * there, there, known))


def place(where: Origin, size: int) -> Tensor:
    """The place that a source shows, `[3, size, size]` in [0, 1].

    A picture as it is; of a video the median over time; of a dance its first frame with the person
    painted out; an embedded dancer's own.
    """
    if where.kind is Kind.picture:
        return _image(square(_first(where)[0], size))
    return first_clip(where, size).background


def first_clip(where: Origin, size: int) -> Clip:
    """The shortest clip of a source, for what is of its first frame or of all of it."""
    return clips(where, size=size, frames=2, loop=True).test[0]


def _seen(where: Origin, found: Person) -> Person:
    if not found.mask.any():
        raise UserError(
            f"{where.flag} {where.text}: nobody is to be seen: the mask is empty in the central "
            "square; it must be white (or opaque) where the person is"
        )
    return found


def _first(where: Origin) -> tuple[Picture, NDArray[np.uint8] | None]:
    """The picture, or a video's first frame, `[H, W, 3]`, and its alpha `[H, W]`, None: opaque."""
    assert where.path is not None
    name = f"{where.flag} {where.text}"
    if where.kind is not Kind.picture:
        return next(frames_of(where.path, where.flag)), None
    with opened(where.path, name) as image:
        shown = pixels(image, name, seen_through=True)
        if "A" not in image.getbands() and "transparency" not in image.info:
            return shown, None
        alpha = np.asarray(ImageOps.exif_transpose(image).convert("RGBA"), np.uint8)[..., 3]
    return shown, None if (alpha > FOREGROUND).all() else alpha


def _covered(
    where: Origin, shown: Picture, alpha: NDArray[np.uint8] | None, mask: str | None
) -> NDArray[np.uint8]:
    """255 where the person is `[h, w]`."""
    if mask == WHOLE:
        return np.full(shown.shape[:2], 255, np.uint8)
    if mask is None:
        if alpha is None:
            raise UserError(
                f"{where.flag} {where.text}: nothing says where the person is (no transparency); "
                f"give {MASK} PICTURE, white where the person is, or {MASK} {WHOLE} for all of it"
            )
        return np.where(alpha > FOREGROUND, 255, 0).astype(np.uint8)
    if alpha is not None:
        raise UserError(
            f"{MASK} {mask}: {where.flag} {where.text} is transparent outside the person already; "
            "leave one of them out"
        )
    white = _still(MASK, mask)
    check_shape(white.shape[:2], shown.shape[:2], f"{MASK} {mask}")
    grey = white.astype(np.float32) @ np.array([0.299, 0.587, 0.114], np.float32)
    return np.where(grey > FOREGROUND, 255, 0).astype(np.uint8)


def _posed(pose: str, shown: Picture, size: int) -> Tensor:
    """The pose picture of the person `[6, size, size]`; its even background becomes black."""
    check_shape(_still(POSE, pose).shape[:2], shown.shape[:2], f"{POSE} {pose}")
    where = Origin(POSE, pose, Kind.video, typed(pose, f"{POSE} {pose}"))
    return clips(where, size=size, frames=2, loop=True, pose=True).test[0].pose[0]


def _still(flag: str, text: str) -> Picture:
    """A picture, or the first frame of a video."""
    where = origin(flag, text)
    if where.path is None or where.kind is Kind.tiktok:
        raise UserError(f"{flag} {text}: a picture or a video is needed")
    if where.kind is Kind.picture:
        return picture(where.path, f"{flag} {text}")
    return next(frames_of(where.path, flag))


def _image(shown: Picture) -> Tensor:
    """`[H, W, 3]` bytes to `[3, H, W]` in [0, 1]."""
    return torch.from_numpy(np.moveaxis(shown, -1, 0).astype(np.float32) / 255)
