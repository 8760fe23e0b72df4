"""The TikTok set as it was published: a folder a dance, with three folders of pictures inside.

00001/images/0001.png       frames
00001/masks/0001.png        mask, white on black
00001/densepose/0001.png    DensePose: raw IUV (part number, U, V), or a rendering of it

Pictures of one frame have one stem; their suffixes may differ.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from attnzoo.data.frames import frames_in, in_order, picture
from attnzoo.data.tiktok_files import FileTake, content
from attnzoo.data.tiktok_take import Shot, Take, check_frame, check_pose, check_shape, person
from attnzoo.errors import UserError

IMAGES, MASKS, DENSEPOSE = "images", "masks", "densepose"


def raw_takes(folder: Path) -> list[Take]:
    """The dances of a folder, or the one that the folder itself is; none: an empty list."""
    if (folder / IMAGES).is_dir():
        return [RawTake(folder)]
    inside = [p for p in folder.iterdir() if (p / IMAGES).is_dir() and not p.name.startswith(".")]
    return [RawTake(p) for p in sorted(inside, key=in_order)]


class RawTake(FileTake):
    """One dance; names are read when it is made, and nothing else."""

    dense = True

    def __init__(self, folder: Path) -> None:
        pictures = frames_in(folder / IMAGES, str(folder / IMAGES))
        if not pictures:
            raise UserError(f"{folder / IMAGES}: holds no pictures; must hold the dance's frames")
        super().__init__(
            folder.name,
            pictures,
            _beside(pictures, folder / MASKS, "mask"),
            _beside(pictures, folder / DENSEPOSE, "DensePose picture"),
        )

    def shot(self, index: int, size: int) -> Shot:
        """Frame `index`; see `Take.shot`."""
        files = (self._pictures[index], self._masks[index], self._poses[index])
        image, mask, pose = (picture(content(file), str(file)) for file in files)
        check_frame(image.shape[:2], self._first, str(files[0]))
        check_shape(mask.shape[:2], image.shape[:2], str(files[1]))
        check_pose(pose.shape[:2], image.shape[:2], str(files[2]))
        return Shot(picture=image, pose=pose, mask=person(mask))


def _beside(pictures: Sequence[Path], folder: Path, what: str) -> list[Path | str]:
    """For each frame its picture in another folder, or what to say of its not being there."""
    there = {p.stem: p for p in frames_in(folder, str(folder))} if folder.is_dir() else {}
    return [
        there.get(p.stem, f"{p}: has no {what}; must be {folder / p.stem}.png") for p in pictures
    ]
