"""TikTok dances in DisCo's two layouts as a data set."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from attnzoo.data.flow import FINE
from attnzoo.data.flow_settings import FlowSource
from attnzoo.data.frames import square
from attnzoo.data.look import Look
from attnzoo.data.source import Source
from attnzoo.data.surface import Surface, raw_surface
from attnzoo.data.tiktok_folder import folder_takes
from attnzoo.data.tiktok_take import THRESHOLD, Take
from attnzoo.data.tiktok_tsv import tsv_takes
from attnzoo.data.windows import (
    Frame,
    Recording,
    Short,
    Windows,
    all_starts,
    check_length,
    check_numbers,
)
from attnzoo.errors import UserError
from attnzoo.paths import typed

JOINTS = "the poses of data=tiktok are joints here, which have no surface"
PICTURES = "the poses of data=tiktok are pictures here, not joints"

CHECKED = 128
"""A data set of so many frames at most is decoded whole when it is opened, to find damage before
any training; of a larger one a frame is decoded when it is first needed."""


class Dance(Recording):
    """A take at the clip's size."""

    def __init__(self, take: Take, size: int) -> None:
        super().__init__(take.name, len(take.frames), size)
        self._take = take

    def read(self, index: int) -> Frame:
        """Frame `index`, decoded."""
        shot = self._take.shot(index, self.size)
        fine = max(self.size, FINE)
        surface: Surface | str = JOINTS
        if shot.limbs is None:
            surface = raw_surface(shot.pose, fine)
        return Frame(
            picture=square(shot.picture, self.size),
            pose=square(shot.pose, self.size),
            mask=square(shot.mask.astype(np.uint8) * 255, self.size) > THRESHOLD,
            look=Look(square(shot.picture, fine), None, surface, shot.limbs or PICTURES),
        )


def open_tiktok(
    path: str,
    *,
    size: int = 64,
    frames: int = 16,
    short: Short = Short.refuse,
    sequence: str | None = None,
) -> Source:
    """TikTok dances: training on all windows of all dances, testing on each dance's first window.

    The person of a clip is cut from its first frame by the mask; the background is that frame with
    the person painted out; the pose picture is the skeleton. Every picture is the central square,
    reduced by area. Flow comes from the frames: following a skeleton's lines instead, a real clip
    warps no better than without motion. So flow here is the motion of the very clip that is to be
    made, unless `flow=skeleton` takes it from joints, or `flow=iuv` from poses that are raw IUV.

    Args:
        path: DisCo's folder of dances, or the folder with the yaml of its TSV files, or the yaml.
        size: pixels of a side.
        frames: frames of a clip.
        short: what to do with a dance shorter than a clip; loop plays it to and fro.
        sequence: the one dance to use; all without it.

    Raises:
        UserError: a number is too small; nothing of either layout is there; a frame lacks its mask
            or pose or is damaged; sizes do not agree; an index does not fit; a dance is too short.
    """
    check_numbers(size, frames)
    takes = _chosen(_takes(path), sequence, path)
    dances = [Dance(take, size) for take in takes]
    for dance in dances:
        check_length(dance.count, frames, 1, short, f"data.path={path}: {dance.name}")
    if sum(dance.count for dance in dances) <= CHECKED:
        for dance in dances:
            for index in range(dance.count):
                dance.frame(index)
    starts = [(dance, start) for dance in dances for start in all_starts(dance.count, frames, 1)]
    split = {
        "data": "tiktok",
        "path": Path(path).name,
        "sequences": {take.name: len(take.frames) for take in takes},
        "frames_sha256": _frames_sha256(takes),
        "train": f"all {len(starts)} windows",
        "test": "the first window of each sequence, which training sees too",
        "frames": frames,
        "size": size,
        "short": short.name,
        "flow": "frames",
    }
    test = Windows([(dance, 0) for dance in dances], frames)
    train = Windows(starts, frames)
    return Source("tiktok", frames, size, train, test, split, FlowSource.classical)


def _takes(path: str) -> list[Take]:
    place = typed(path, f"data.path={path}")
    if place.is_file() and place.suffix in (".yaml", ".yml"):
        return tsv_takes(place)
    if not place.is_dir():
        raise UserError(f"data.path={path}: no such folder; give DisCo's folder of dances or TSVs")
    described = sorted(p for p in place.iterdir() if p.suffix in (".yaml", ".yml"))
    if len(described) > 1:
        names = ", ".join(p.name for p in described)
        raise UserError(f"data.path={path}: holds {names}; name one of them")
    takes = tsv_takes(described[0]) if described else folder_takes(place)
    if not takes:
        raise UserError(
            f"data.path={path}: no dances there; must hold folders of pictures with groundsam and "
            "openpose_json inside, or a yaml that names TSV files"
        )
    return takes


def _chosen(takes: Sequence[Take], name: str | None, path: str) -> Sequence[Take]:
    if name is None:
        return takes
    found = [take for take in takes if take.name == name]
    if not found:
        there = ", ".join(take.name for take in takes[:8]) + (", ..." if len(takes) > 8 else "")
        raise UserError(f"data.sequence={name}: not in data.path={path}; there are {there}")
    return found


def _frames_sha256(takes: Sequence[Take]) -> str:
    names = "\n".join(f"{take.name}\t{frame}" for take in takes for frame in take.frames)
    return hashlib.sha256(names.encode()).hexdigest()
