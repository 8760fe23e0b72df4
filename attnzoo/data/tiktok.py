"""TikTok dances as a data set: DisCo's two layouts, and the folders that were published first."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from attnzoo.data.catalogue import Catalogue
from attnzoo.data.flow_settings import FlowSource
from attnzoo.data.frames import gaps
from attnzoo.data.source import Source
from attnzoo.data.store import catalogue_in
from attnzoo.data.tiktok_dance import Dance, inspect
from attnzoo.data.tiktok_folder import GROUNDSAM, KEYPOINTS, folder_takes
from attnzoo.data.tiktok_raw import DENSEPOSE, IMAGES, MASKS, raw_takes
from attnzoo.data.tiktok_split import DISCO, dance_of, listed, some
from attnzoo.data.tiktok_take import Take
from attnzoo.data.tiktok_tsv import tsv_takes
from attnzoo.data.windows import (
    Damaged,
    Memory,
    Recording,
    Short,
    Windows,
    all_starts,
    check_length,
    check_numbers,
)
from attnzoo.errors import UserError
from attnzoo.paths import typed

CHECKED = 128
"""A data set of so many frames at most is decoded whole when it is opened, to find damage before
any training; of a larger one a frame is decoded when it is first needed."""

_TOLD = 4
"""Dances or folders that a notice names."""

_PARTS = {IMAGES, MASKS, DENSEPOSE, GROUNDSAM, KEYPOINTS}
"""Folders of a dance's own."""

_log = logging.getLogger(__name__)


def open_tiktok(
    path: str,
    *,
    size: int = 64,
    frames: int = 16,
    short: Short = Short.refuse,
    sequence: str | None = None,
    train: str | None = None,
    test: str | None = None,
    every: int = 1,
    damaged: Damaged = Damaged.refuse,
    prepared: str | None = None,
) -> Source:
    """TikTok dances: training on windows of all dances, testing on each dance's first window.

    The person of a clip is cut from its first frame by the mask; the background is that frame with
    the person painted out; the pose picture is the skeleton, or DensePose's. Every picture is the
    central square, reduced by area. Flow comes from the frames where poses are skeletons: following
    a skeleton's lines instead, a real clip warps no better than without motion. So flow there is
    the motion of the very clip that is to be made, unless `flow=skeleton` takes it from joints. It
    comes from the poses where these are DensePose's folders; `flow=iuv` needs raw IUV there.

    Args:
        path: DisCo's folder of dances, or the published one (images, masks, densepose), or the
            folder with the yaml of DisCo's TSV files, or the yaml. TSV rows and pictures are read
            when they are needed.
        size: pixels of a side.
        frames: frames of a clip.
        short: what to do with a dance shorter than a clip; loop plays it to and fro.
        sequence: the one dance to use; all without it.
        train: the dances to train on: a text file with a name on each line. Without it all that are
            not tested on, or, without `test`, all.
        test: the dances to test on: such a file, `disco` for the numbers 335 to 340, or the yaml or
            folder of another data set. Without it the same as in training.
        every: frames from one training window's first frame to the next one's.
        damaged: what to do about a frame that cannot be read or has no mask or pose: refuse names
            it; skip leaves out every window that holds it and counts them, for which all frames are
            decoded at once. Nothing stands in for what is left out.
        prepared: a folder that `python -m attnzoo.prepare` filled, from which training then reads.

    Raises:
        UserError: a number is too small; nothing of any layout is there; a frame lacks its mask
            or pose or is damaged; sizes do not agree; an index does not fit; a dance is too short;
            a list names what is not there, or a dance for both parts.
    """
    check_numbers(size, frames)
    if every < 1:
        raise UserError(f"data.every={every}: must be at least 1")
    takes = _chosen(_takes(path, "path"), sequence, path)
    parts = _parts(takes, train, test)
    memory = Memory()
    made: dict[Take, Dance] = {}
    for take in (*parts.train, *parts.test):
        made.setdefault(take, Dance(take, size, memory))
    _tell_of_gaps(path, list(made))
    for dance in made.values():
        check_length(dance.count, frames, 1, short, f"data.path={path}: {dance.name}")
    inspect([*made.values()], damaged, _catalogue(prepared), CHECKED)
    training = [made[take] for take in parts.train]
    starts = [(d, start) for d in training for start in all_starts(d.count, frames, 1)[::every]]
    firsts = [(made[take], 0) for take in parts.test]
    kept = _whole(starts, frames), _whole(firsts, frames)
    left_out = len(starts) + len(firsts) - sum(map(len, kept))
    split: dict[str, Any] = {
        "data": "tiktok",
        "path": Path(path).name,
        **_described(parts, every, len(kept[0])),
        "frames": frames,
        "size": size,
        "short": short.name,
        "flow": "pose" if takes[0].dense else "frames",
    }
    for part, windows in zip(("train on", "test on"), kept, strict=True):
        if not windows:
            raise UserError(f"data.path={path}: every window to {part} holds a damaged frame")
    if damaged is Damaged.skip:
        split["skipped"] = _skipped([*made.values()], left_out)
    to_train, to_test = (Windows(windows, frames) for windows in kept)
    return Source("tiktok", frames, size, to_train, to_test, split, FlowSource.classical)


def _tell_of_gaps(path: str, takes: Sequence[Take]) -> None:
    lacking = {take.name: gaps([Path(frame) for frame in take.frames]) for take in takes}
    told = [f"{name} ({missing})" for name, missing in lacking.items() if missing]
    if told:
        more = ", ..." if len(told) > _TOLD else ""
        _log.warning(
            "data.path=%s: frames are missing, and what remains counts as successive: %s%s",
            path, ", ".join(told[:_TOLD]), more,
        )  # fmt: skip


@dataclass(frozen=True)
class _Parts:
    """The dances of both parts; separate: whether they have none in common."""

    train: Sequence[Take]
    test: Sequence[Take]
    separate: bool


def _parts(takes: Sequence[Take], train: str | None, test: str | None) -> _Parts:
    if test is None:
        chosen = takes if train is None else listed(takes, train, "data.train")
        return _Parts(chosen, chosen, separate=False)
    place = typed(test, f"data.test={test}")
    other = test != DISCO and (_is_yaml(place) or place.is_dir())
    tested = _takes(test, "test") if other else listed(takes, test, "data.test")
    if train is not None:
        trained: Sequence[Take] = listed(takes, train, "data.train")
    else:
        names = {dance_of(take.name) for take in tested}
        trained = [take for take in takes if dance_of(take.name) not in names]
    both = {dance_of(take.name) for take in trained} & {dance_of(take.name) for take in tested}
    if both:
        raise UserError(f"data.train and data.test both have {', '.join(sorted(both)[:4])}")
    if not trained:
        raise UserError(f"data.test={test}: leaves no dance to train on")
    return _Parts(trained, tested, separate=True)


def _described(parts: _Parts, every: int, windows: int) -> dict[str, Any]:
    """The split's part that says which dances and windows are in which part."""
    apart = f", {every} frames apart" if every > 1 else ""
    of_all = {
        "sequences": {take.name: len(take.frames) for take in parts.train},
        "frames_sha256": _frames_sha256(parts.train),
        "train": f"all {windows} windows{apart}",
    }
    if not parts.separate:
        return {**of_all, "test": "the first window of each sequence, which training sees too"}
    return {
        **of_all,
        "test_sequences": {take.name: len(take.frames) for take in parts.test},
        "test_frames_sha256": _frames_sha256(parts.test),
        "test": "the first window of each test sequence, of which training sees none",
    }


def _skipped(dances: Sequence[Dance], windows: int) -> dict[str, Any]:
    """What was left out, for the split and in the log."""
    damaged = {
        dance.name: {dance.take.frames[i]: text for i, text in sorted(dance.damaged.items())}
        for dance in dances
        if dance.damaged
    }
    count = sum(map(len, damaged.values()))
    if count:
        first = next(iter(next(iter(damaged.values())).values()))
        _log.warning(
            "data.damaged=skip: %d damaged frames, %d windows left out; the first: %s",
            count, windows, first,
        )  # fmt: skip
    return {"windows": windows, "frames": count, "damaged": damaged}


def _whole(starts: list[tuple[Dance, int]], frames: int) -> list[tuple[Recording, int]]:
    return [(dance, start) for dance, start in starts if dance.whole(start, frames)]


def _catalogue(prepared: str | None) -> Catalogue | None:
    if prepared is None:
        return None
    return catalogue_in(typed(prepared, f"data.prepared={prepared}"))


def _takes(path: str, setting: str) -> Sequence[Take]:
    place = typed(path, f"data.{setting}={path}")
    if not place.is_file() and not place.is_dir():
        raise UserError(
            f"data.{setting}={path}: no such folder; give a folder of dances, or DisCo's TSVs"
        )
    takes = _found(place, path, setting)
    if not takes:
        raise UserError(
            f"data.{setting}={path}: no dances there; must hold folders of pictures with groundsam "
            "and openpose_json inside, or with images, masks and densepose, or a yaml that names "
            "TSV files"
        )
    _tell_of_left_out(place, f"data.{setting}={path}", takes)
    for take in takes:
        take.place = str(place.resolve())
    return takes


def _tell_of_left_out(place: Path, name: str, takes: Sequence[Take]) -> None:
    """Names the folders that became no dance, as those of another layout."""
    if not place.is_dir():
        return
    known = {take.name for take in takes} | _PARTS
    folders = sorted(p.name for p in place.iterdir() if p.is_dir())
    left = [folder for folder in folders if folder not in known and not folder.startswith(".")]
    if left:
        more = ", ..." if len(left) > _TOLD else ""
        _log.warning(
            "%s: %d left out that hold no dance as the others do: %s%s",
            name, len(left), ", ".join(left[:_TOLD]), more,
        )  # fmt: skip


def _found(place: Path, path: str, setting: str) -> Sequence[Take]:
    if place.is_file():
        return tsv_takes(place) if _is_yaml(place) else []
    described = sorted(p for p in place.iterdir() if _is_yaml(p))
    if len(described) > 1:
        names = ", ".join(p.name for p in described)
        raise UserError(f"data.{setting}={path}: holds {names}; name one of them")
    if described:
        return tsv_takes(described[0])
    return raw_takes(place) or folder_takes(place)


def _is_yaml(path: Path) -> bool:
    return path.suffix.lower() in (".yaml", ".yml")


def _chosen(takes: Sequence[Take], name: str | None, path: str) -> Sequence[Take]:
    if name is None:
        return takes
    found = [take for take in takes if take.name == name]
    if not found:
        raise UserError(f"data.sequence={name}: not in data.path={path}; there are {some(takes)}")
    return found


def _frames_sha256(takes: Sequence[Take]) -> str:
    """Of the names of all frames, and of what some of them hold: to read all would take minutes.

    Those are the first and last of each dance, or, where there are `CHECKED` at most, all.
    """
    every = sum(len(take.frames) for take in takes) <= CHECKED
    found = hashlib.sha256()
    for take in takes:
        for index, frame in enumerate(take.frames):
            found.update(f"{take.name}\t{frame}\n".encode(errors="surrogateescape"))
            if every or index in (0, len(take.frames) - 1):
                found.update(_digest(take, index).encode())
    return found.hexdigest()


def _digest(take: Take, index: int) -> str:
    """Of a frame; nothing where a part is missing, of which something was or will be said."""
    try:
        return take.digest(index)
    except UserError:
        return ""
