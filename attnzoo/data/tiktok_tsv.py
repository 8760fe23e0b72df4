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
import os
import re
import weakref
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from attnzoo.data.catalogue import Stamp, stamp
from attnzoo.data.flow import FINE
from attnzoo.data.frames import Picture, opened, picture
from attnzoo.data.limbs import of_keypoints
from attnzoo.data.skeleton import keypoints
from attnzoo.data.tiktok_take import Shot, Take, check_pose, check_shape, person, skeleton
from attnzoo.errors import UserError
from attnzoo.paths import inside, typed
from attnzoo.yaml_files import read_yaml

ROWS = ("img", "masks", "poses")
FIELDS = (*ROWS, "vid2line")

_log = logging.getLogger(__name__)


class Tsv:
    """Rows of a TSV file, read one at a time; opening it reads its index and nothing else.

    May be read from several threads and processes at once: each read names its own place.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        index = path.with_suffix(".lineidx")
        if not index.is_file():
            raise UserError(f"{path}: its index {index.name} is missing; it must lie beside it")
        self._bounds = _bounds(index, path)
        self._file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        weakref.finalize(self, os.close, self._file)

    def __len__(self) -> int:
        return len(self._bounds) - 1

    def row(self, index: int, key: str | None = None) -> list[bytes]:
        """The columns of a row; the first is its key.

        Raises:
            UserError: no row begins where the index says, or it is of another key than `key`.
        """
        start, end = map(int, self._bounds[index : index + 2])
        before = min(start, 1)
        line = os.pread(self._file, end - start + before, start - before)
        columns = line[before:].rstrip(b"\r\n").split(b"\t")
        if line[:before] not in (b"", b"\n") or len(columns) < 2 or b"\n" in columns[0]:
            raise UserError(
                f"{self.path}: no row begins at byte {start}, where its .lineidx has row {index}; "
                "make the index anew from this file"
            )
        found = columns[0].decode("utf-8", "replace")
        if key is not None and found != key:
            raise UserError(f"{self.path}: row {index} is of {found}; must be of {key}")
        return columns

    def name(self, index: int, key: str) -> str:
        """What to call a row in an error."""
        return f"{self.path}: row {index} ({key})"


def _bounds(index: Path, path: Path) -> NDArray[np.int64]:
    """Where each row begins, and behind the last one where the file ends."""
    try:
        offsets = np.array(index.read_bytes().split(), np.int64)
    except (ValueError, OverflowError) as error:
        raise UserError(f"{index}: must hold one byte offset a line ({error})") from error
    size = path.stat().st_size
    if not len(offsets):
        raise UserError(f"{index}: empty; must hold the byte offset of each row of {path.name}")
    if offsets[0] != 0 or (np.diff(offsets) <= 0).any():
        raise UserError(f"{index}: offsets must begin at 0 and grow")
    if offsets[-1] >= size:
        raise UserError(f"{index}: offset {offsets[-1]}, but {path.name} has {size} bytes: cut off")
    return np.append(offsets, size)


def tsv_takes(description: Path) -> list[Take]:
    """The dances of the TSV files that a yaml names.

    Raises:
        UserError: the yaml names no such files, or files outside its folder; an index does not fit
            its file; the files do not hold the same frames; a dance's rows are not rows.
    """
    files = {field: Tsv(path) for field, path in _files(description).items()}
    images, lines = files["img"], files["vid2line"]
    for other in files.values():
        if len(other) != len(images):
            raise UserError(
                f"{other.path}: {len(other)} rows; {images.path.name} has {len(images)}"
            )
    # The keys come from the smallest file; the others' are compared as their rows are read, and
    # here the last one, which a shifted index has wrong.
    keys, dances = _dances(lines)
    for other in files.values():
        other.row(len(keys) - 1, keys[-1])
    takes = [TsvTake(files, rows, tuple(keys[rows.start : rows.stop])) for rows in dances]
    _check_names(takes, lines)
    return [*takes]


def _check_names(takes: Sequence[TsvTake], lines: Tsv) -> None:
    """UserError where the rows of a dance are of several, or those of one are called two."""
    starts: dict[str, int] = {}
    row = 0
    for take in takes:
        for key in take.frames:
            if _dance(key) != take.name:
                raise UserError(
                    f"{lines.name(row, key)}: lies among the rows of {take.name}; each dance must "
                    "have rows of its own"
                )
            row += 1
        first = row - len(take.frames)
        before = starts.setdefault(take.name, first)
        if before != first:
            raise UserError(
                f"{lines.path}: rows {before} and {first} both begin a dance {take.name}; each "
                "must have a name of its own"
            )


def _dance(key: str) -> str:
    """Whose frame a key names: in Custom_002_000001.png, TiktokDance_00337_0010png the frame's
    number comes last.
    """
    return re.sub(r"_[^_]*$", "", key)


def _files(description: Path) -> dict[str, Path]:
    """The four files: inside the yaml's folder, one that is named wrongly by what lies there."""
    named = read_yaml(description)
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


def _dances(lines: Tsv) -> tuple[list[str], list[range]]:
    """The keys of all rows, and the rows of each dance, in order."""
    keys = []
    dances: list[range] = []
    for row in range(len(lines)):
        key, *columns = lines.row(row)
        keys.append(key.decode("utf-8", "replace"))
        if row < (dances[-1].stop if dances else 0):
            continue
        try:
            start, end = json.loads(columns[0])
            good = type(start) is type(end) is int and start == row <= end < len(lines)
        except (ValueError, TypeError, IndexError, RecursionError):
            good = False
        if not good:
            raise UserError(
                f"{lines.name(row, keys[row])}: must hold its dance's first and last row, "
                f"[{row}, END], END below {len(lines)}"
            )
        dances.append(range(row, end + 1))
    return keys, dances


class TsvTake(Take):
    """Consecutive rows of the TSV files."""

    def __init__(self, files: dict[str, Tsv], rows: range, keys: tuple[str, ...]) -> None:
        self._files, self._rows = files, rows
        super().__init__(_dance(keys[0]), keys)

    def stamps(self) -> list[Stamp]:
        """Of the three files of rows."""
        return [stamp(self._files[field].path) for field in ROWS]

    def parts(self, index: int) -> Iterator[bytes]:
        """The picture, mask and pose of a frame as they are encoded."""
        for field in ROWS:
            yield self._column(field, index)

    def shot(self, index: int, size: int) -> Shot:
        """Frame `index`; see `Take.shot`."""
        image, full = self._picture("img", index, size)
        mask, mask_full = self._picture("masks", index, size)
        check_shape(mask_full, full, self._name("masks", index))
        return Shot(image, mask=person(mask), **self._pose(index, size, full))

    def _picture(self, field: str, index: int, size: int) -> tuple[Picture, tuple[int, int]]:
        """The picture of a frame, reduced where its format can, and its full height and width."""
        return _decoded(self._column(field, index), self._name(field, index), size)

    def _pose(self, index: int, size: int, full: tuple[int, int]) -> dict[str, Any]:
        """The `pose` and, where it has any, the `limbs` of a frame."""
        name, text = self._name("poses", index), self._column("poses", index)
        if text[:1] in (b"[", b"{"):
            points = keypoints(text, name)
            limbs = of_keypoints(points, *full, max(size, FINE))
            return {"pose": skeleton(points, *full, size), "limbs": limbs}
        pose, pose_full = _decoded(text, name, size)
        check_pose(pose_full, full, name)
        return {"pose": pose}

    def _name(self, field: str, index: int) -> str:
        return self._files[field].name(self._rows[index], self.frames[index])

    def _column(self, field: str, index: int) -> bytes:
        columns = self._files[field].row(self._rows[index], self.frames[index])
        if not columns[1]:
            raise UserError(f"{self._name(field, index)}: has no second column")
        return columns[1]


def _decoded(text: bytes, name: str, size: int) -> tuple[Picture, tuple[int, int]]:
    try:
        data = base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise UserError(f"{name}: broken base64 ({error})") from error
    with opened(data, name) as image:
        full = (image.height, image.width)
    return picture(data, name, least=max(size, FINE)), full
