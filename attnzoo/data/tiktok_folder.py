"""DisCo's folder of dances.

002/000001.png                          frames
002/groundsam/000001.png.mask.png       mask: number of an object, or white on black
002/groundsam/000001.png.mask.jpg       the same in colours; read where the first is missing
002/openpose_json/000001.png.json       17 keypoints
"""

from __future__ import annotations

from pathlib import Path

from attnzoo.data.flow import FINE
from attnzoo.data.frames import frames_in, in_order, opened, picture, pictures_in
from attnzoo.data.limbs import of_keypoints
from attnzoo.data.skeleton import keypoints
from attnzoo.data.tiktok_files import FileTake, content, there
from attnzoo.data.tiktok_take import Shot, Take, check_frame, check_shape, person, skeleton

GROUNDSAM, KEYPOINTS = "groundsam", "openpose_json"


def folder_takes(folder: Path) -> list[Take]:
    """The dances of a folder, or the one that the folder itself is; none: an empty list."""
    inside = [p for p in folder.iterdir() if p.is_dir() and not p.name.startswith(".")]
    dances = [p for p in sorted(inside, key=in_order) if pictures_in(p)]
    own = (folder / KEYPOINTS).is_dir() or (folder / GROUNDSAM).is_dir()
    if own and pictures_in(folder):
        dances = [folder]
    return [FolderTake(dance) for dance in dances]


class FolderTake(FileTake):
    """One folder of frames; names are read when it is made, and nothing else."""

    def __init__(self, folder: Path) -> None:
        pictures = frames_in(folder, str(folder))
        masks, poses = (_names(folder / part) for part in (GROUNDSAM, KEYPOINTS))
        super().__init__(
            folder.name,
            pictures,
            [_mask_of(p, masks) for p in pictures],
            [_pose_of(p, poses) for p in pictures],
        )

    def shot(self, index: int, size: int) -> Shot:
        """Frame `index`; see `Take.shot`."""
        file, mask_file, pose_file = (
            self._pictures[index], there(self._masks[index]), there(self._poses[index]),
        )  # fmt: skip
        with opened(file, str(file)) as header:
            check_frame((header.height, header.width), self._first, str(file))
        image = picture(file, str(file))
        mask = picture(content(mask_file), str(mask_file))
        check_shape(mask.shape[:2], image.shape[:2], str(mask_file))
        height, width = image.shape[:2]
        points = keypoints(content(pose_file), str(pose_file))
        return Shot(
            picture=image,
            pose=skeleton(points, height, width, size),
            limbs=of_keypoints(points, height, width, max(size, FINE)),
            mask=person(mask, labels=mask_file.suffix == ".png"),
        )


def _names(folder: Path) -> frozenset[str]:
    """What lies in a folder: one listing, where asking for each file would be thousands."""
    return frozenset(p.name for p in folder.iterdir()) if folder.is_dir() else frozenset()


def _mask_of(frame: Path, there: frozenset[str]) -> Path | str:
    """The mask's file, or what to say of its not being there."""
    folder = frame.parent / GROUNDSAM
    for suffix in ("png", "jpg"):
        if (name := f"{frame.name}.mask.{suffix}") in there:
            return folder / name
    return f"{frame}: has no mask; must be {folder / frame.name}.mask.png or .jpg"


def _pose_of(frame: Path, there: frozenset[str]) -> Path | str:
    name = f"{frame.name}.json"
    file = frame.parent / KEYPOINTS / name
    return file if name in there else f"{frame}: has no keypoints; must be {file}"
