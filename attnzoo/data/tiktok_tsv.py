"""DisCo's TSV files: a row for each frame, found through an index of byte offsets.

A yaml names four files, `img`, `masks`, `poses` and `vid2line`. The first three hold a frame's key
and its picture in base64 (a pose may be JSON keypoints instead); the last holds the key and the
first and last row of its dance. Beside each `X.tsv` lies `X.lineidx`, the offset of each row.
"""

from __future__ import annotations

import base64
import binascii
import json
import logging
import re
from itertools import pairwise
from pathlib import Path
from typing import Any

import yaml

from attnzoo.data.flow import FINE
from attnzoo.data.frames import Picture, opened, picture
from attnzoo.data.limbs import of_keypoints
from attnzoo.data.skeleton import keypoints
from attnzoo.data.tiktok_take import Shot, Take, check_pose, check_shape, person, skeleton
from attnzoo.errors import UserError
from attnzoo.paths import inside, typed

FIELDS = ("img", "masks", "poses", "vid2line")

_log = logging.getLogger(__name__)


class Tsv:
    """Rows of a TSV file, read one at a time."""

    def __init__(self, path: Path) -> None:
        self.path = path
        index = path.with_suffix(".lineidx")
        if not index.is_file():
            raise UserError(f"{path}: its index {index.name} is missing; it must lie beside it")
        self._offsets = _offsets(index, path)
        self.keys = self._checked()

    def __len__(self) -> int:
        return len(self._offsets)

    def row(self, index: int) -> list[bytes]:
        """The columns of a row; the first is its key."""
        start = self._offsets[index]
        end = self._offsets[index + 1] if index + 1 < len(self) else None
        with self.path.open("rb") as file:
            file.seek(start)
            line = file.read() if end is None else file.read(end - start)
        return line.rstrip(b"\r\n").split(b"\t")

    def name(self, index: int) -> str:
        """What to call a row in an error."""
        return f"{self.path}: row {index} ({self.keys[index]})"

    def _checked(self) -> list[str]:
        """The keys of all rows; refuses an offset at which no row begins."""
        keys = []
        with self.path.open("rb") as file:
            for number, offset in enumerate(self._offsets):
                file.seek(max(offset - 1, 0))
                head = file.read(512)
                before, head = (head[:1], head[1:]) if offset else (b"\n", head)
                key, tab, _ = head.partition(b"\t")
                if before != b"\n" or not tab or b"\n" in key:
                    raise UserError(
                        f"{self.path}: no row begins at byte {offset}, where its .lineidx has "
                        f"row {number}; make the index anew from this file"
                    )
                keys.append(key.decode("utf-8", "replace"))
        return keys


def _offsets(index: Path, path: Path) -> list[int]:
    words = index.read_bytes().split()
    try:
        offsets = [int(word) for word in words]
    except ValueError as error:
        raise UserError(f"{index}: must hold one byte offset a line ({error})") from error
    size = path.stat().st_size
    if not offsets:
        raise UserError(f"{index}: empty; must hold the byte offset of each row of {path.name}")
    if offsets[0] != 0 or any(b <= a for a, b in pairwise(offsets)):
        raise UserError(f"{index}: offsets must begin at 0 and grow")
    if offsets[-1] >= size:
        raise UserError(f"{index}: offset {offsets[-1]}, but {path.name} has {size} bytes: cut off")
    return offsets


def tsv_takes(description: Path) -> list[Take]:
    """The dances of the TSV files that a yaml names.

    Raises:
        UserError: the yaml names no such files, or files outside its folder; an index does not fit
            its file; the files do not hold the same frames; a dance's rows are not rows.
    """
    files = {field: Tsv(path) for field, path in _files(description).items()}
    images = files["img"]
    for field in FIELDS[1:]:
        other = files[field]
        if len(other) != len(images):
            raise UserError(
                f"{other.path}: {len(other)} rows; {images.path.name} has {len(images)}"
            )
        for number, (key, expected) in enumerate(zip(other.keys, images.keys, strict=True)):
            if key != expected:
                raise UserError(f"{other.path}: row {number} is of {key}; must be of {expected}")
    return [TsvTake(files, rows) for rows in _dances(files["vid2line"])]


def _files(description: Path) -> dict[str, Path]:
    """The four files: inside the yaml's folder, one that is named wrongly by what lies there."""
    try:
        named = yaml.safe_load(description.read_text("utf-8"))
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise UserError(f"{description}: not YAML ({' '.join(str(error).split())})") from error
    if isinstance(named, dict) and named.get("composite"):
        raise UserError(f"{description}: composite: true; name the yaml of one set of TSV files")
    if not isinstance(named, dict) or any(not isinstance(named.get(f), str) for f in FIELDS):
        raise UserError(f"{description}: must name a file for each of {', '.join(FIELDS)}")
    folder = description.parent.resolve()
    found = {}
    for field in FIELDS:
        path = inside(folder, named[field], f"{description}: {field}", "the yaml's folder")
        path = typed(path, f"{description}: {field}: {named[field]}")
        if not path.is_file():
            path = _instead(path, description, field)
        if path.suffix != ".tsv":
            raise UserError(f"{description}: {field}: {path.name} must be a .tsv file")
        index = path.with_suffix(".lineidx").relative_to(folder)
        inside(folder, str(index), f"{description}: {field}", "the yaml's folder")
        found[field] = path
    return found


def _instead(path: Path, description: Path, field: str) -> Path:
    """DisCo's own writer names `train_img.tsv` a file that it writes as `train_images.tsv`."""
    other = path.with_name(re.sub(r"img\.tsv$", "images.tsv", path.name))
    if not other.is_file():
        raise UserError(f"{description}: {field}: {path.name} does not lie beside it")
    _log.warning("%s names %s, which is missing: %s is read", description, path.name, other.name)
    return other


def _dances(lines: Tsv) -> list[range]:
    """The rows of each dance, in order."""
    dances: list[range] = []
    while (row := dances[-1].stop if dances else 0) < len(lines):
        try:
            start, end = json.loads(lines.row(row)[1])
            good = type(start) is type(end) is int and start == row <= end < len(lines)
        except (ValueError, TypeError, IndexError, RecursionError):
            good = False
        if not good:
            raise UserError(
                f"{lines.name(row)}: must hold its dance's first and last row, [{row}, END], "
                f"END below {len(lines)}"
            )
        dances.append(range(row, end + 1))
    return dances


class TsvTake(Take):
    """Consecutive rows of the TSV files."""

    def __init__(self, files: dict[str, Tsv], rows: range) -> None:
        self._files, self._rows = files, rows
        keys = [files["img"].keys[row] for row in rows]
        # Custom_002_000001.png, TiktokDance_00337_0010png: the frame's number comes last.
        super().__init__(re.sub(r"_[^_]*$", "", keys[0]), tuple(keys))

    def shot(self, index: int, size: int) -> Shot:
        """Frame `index`; see `Take.shot`."""
        row = self._rows[index]
        image, full = self._picture("img", row, size)
        mask, mask_full = self._picture("masks", row, size)
        check_shape(mask_full, full, self._files["masks"].name(row))
        return Shot(image, mask=person(mask), **self._pose(row, size, full))

    def _picture(self, field: str, row: int, size: int) -> tuple[Picture, tuple[int, int]]:
        """The picture of a row, reduced where its format can, and its full height and width."""
        name = self._files[field].name(row)
        return _decoded(self._column(field, row), name, size)

    def _pose(self, row: int, size: int, full: tuple[int, int]) -> dict[str, Any]:
        """The `pose` and, where it has any, the `limbs` of a row."""
        name, text = self._files["poses"].name(row), self._column("poses", row)
        if text[:1] in (b"[", b"{"):
            points = keypoints(text, name)
            limbs = of_keypoints(points, *full, max(size, FINE))
            return {"pose": skeleton(points, *full, size), "limbs": limbs}
        pose, pose_full = _decoded(text, name, size)
        check_pose(pose_full, full, name)
        return {"pose": pose}

    def _column(self, field: str, row: int) -> bytes:
        columns = self._files[field].row(row)
        if len(columns) < 2 or not columns[1]:
            raise UserError(f"{self._files[field].name(row)}: has no second column")
        return columns[1]


def _decoded(text: bytes, name: str, size: int) -> tuple[Picture, tuple[int, int]]:
    try:
        data = base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise UserError(f"{name}: broken base64 ({error})") from error
    with opened(data, name) as image:
        full = (image.height, image.width)
    return picture(data, name, least=max(size, FINE)), full
