"""DisCo's folder of dances.

002/000001.png                          frames
002/groundsam/000001.png.mask.png       mask: number of an object, or white on black
002/groundsam/000001.png.mask.jpg       the same in colours; read where the first is missing
002/openpose_json/000001.png.json       17 keypoints
"""

from __future__ import annotations

from pathlib import Path

from attnzoo.data.flow import FINE
from attnzoo.data.frames import in_order, opened, picture, pictures_in
from attnzoo.data.limbs import of_keypoints
from attnzoo.data.skeleton import keypoints
from attnzoo.data.tiktok_take import Shot, Take, check_shape, person, skeleton
from attnzoo.errors import UserError

_MASKS, _POSES = "groundsam", "openpose_json"


def folder_takes(folder: Path) -> list[Take]:
    """The dances of a folder, or the one that the folder itself is; none: an empty list.

    Raises:
        UserError: a frame has no mask or no keypoints, or sizes differ within a dance.
    """
    inside = [p for p in folder.iterdir() if p.is_dir() and not p.name.startswith(".")]
    dances = [p for p in sorted(inside, key=in_order) if pictures_in(p)]
    own = (folder / _POSES).is_dir() or (folder / _MASKS).is_dir()
    if own and pictures_in(folder):
        dances = [folder]
    return [FolderTake(dance) for dance in dances]


class FolderTake(Take):
    """One folder of frames; what can be checked without decoding is checked when it is made."""

    def __init__(self, folder: Path) -> None:
        self._pictures = pictures_in(folder)
        super().__init__(folder.name, tuple(p.name for p in self._pictures))
        self._masks = [self._mask_of(p) for p in self._pictures]
        self._poses = [self._pose_of(p) for p in self._pictures]
        self._points = [keypoints(p.read_bytes(), str(p)) for p in self._poses]
        self._check_sizes()

    def shot(self, index: int, size: int) -> Shot:
        """Frame `index`; see `Take.shot`."""
        name = str(self._pictures[index])
        image = picture(self._pictures[index], name)
        mask = picture(self._masks[index], str(self._masks[index]))
        check_shape(mask.shape[:2], image.shape[:2], str(self._masks[index]))
        height, width = image.shape[:2]
        points = self._points[index]
        return Shot(
            picture=image,
            pose=skeleton(points, height, width, size),
            limbs=of_keypoints(points, height, width, max(size, FINE)),
            mask=person(mask, labels=self._masks[index].suffix == ".png"),
        )

    def _mask_of(self, frame: Path) -> Path:
        folder = frame.parent / _MASKS
        for suffix in ("png", "jpg"):
            if (file := folder / f"{frame.name}.mask.{suffix}").is_file():
                return file
        raise UserError(f"{frame}: has no mask; must be {folder / frame.name}.mask.png or .jpg")

    def _pose_of(self, frame: Path) -> Path:
        file = frame.parent / _POSES / f"{frame.name}.json"
        if not file.is_file():
            raise UserError(f"{frame}: has no keypoints; must be {file}")
        return file

    def _check_sizes(self) -> None:
        first: tuple[int, int] | None = None
        for file in self._pictures:
            with opened(file, str(file)) as image:
                size = image.size
            first = first or size
            if size != first:
                raise UserError(
                    f"{file}: {size[0]}x{size[1]}, the dance's first frame is "
                    f"{first[0]}x{first[1]}; all must be of one size"
                )
