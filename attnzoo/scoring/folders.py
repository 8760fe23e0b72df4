"""Which videos there are in two folders, which of them belong together, and what does not fit."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from attnzoo.data.frames import check_numbers_alike, in_order, oddities, pictures_in
from attnzoo.errors import UserError
from attnzoo.scoring.reading import Shape, shape_of

_LOG = logging.getLogger(__name__)

VIDEOS = (".mp4", ".gif", ".webm", ".mkv", ".mov", ".avi", ".m4v")
"""Files that are taken for videos."""

_TEXTS = (".csv", ".html", ".json", ".jsonl", ".log", ".md", ".txt", ".yaml", ".yml")
"""What may lie beside videos and is none for certain."""

_TOLD = 4
"""Names in a notice."""

LAYOUT = "<video>/<frame>.png or <video>.mp4 (or .gif, ...)"


@dataclass(frozen=True)
class Pair:
    """A real and a generated video of one name and one shape."""

    name: str
    real: Path
    fake: Path
    shape: Shape


def paired(real: Path, fake: Path) -> list[Pair]:
    """The pairs of two folders, by name, in the order of the numbers in their names.

    Raises:
        UserError: a folder is missing or holds no videos; a video cannot be read or has one
            frame; and, with every video concerned on a line of its own, names without a partner,
            unequal sizes or unequal lengths.
    """
    reals, fakes = videos_in(real, "--real"), videos_in(fake, "--fake")
    for option, folder, videos in (("--real", real, reals), ("--fake", fake, fakes)):
        odd = [f"{name}: {text}" for name, file in videos.items() for text in oddities(file)]
        if odd:
            more = "; ..." if len(odd) > _TOLD else ""
            _LOG.warning("%s %s: %s%s", option, folder, "; ".join(odd[:_TOLD]), more)
    faults = [f"{name}: in --real {real}, not in --fake" for name in reals if name not in fakes]
    faults += [f"{name}: in --fake {fake}, not in --real" for name in fakes if name not in reals]
    pairs = []
    for name in (name for name in reals if name in fakes):
        shape, other = shape_of(reals[name], "--real"), shape_of(fakes[name], "--fake")
        fault = _unlike(shape, other) or _misnumbered(reals[name], fakes[name])
        if fault:
            faults.append(f"{name}: {fault}")
        elif shape.frames < 2:
            raise UserError(f"--real {reals[name]}: one frame is no video; give at least 2")
        else:
            pairs.append(Pair(name, reals[name], fakes[name], shape))
    if faults:
        raise Mismatch(faults, f"{len(faults)} of {len({*reals, *fakes})} videos do not pair")
    return pairs


class Mismatch(UserError):
    """Videos that do not pair: a few in the message, more in `lines`, to be printed before it."""

    def __init__(self, faults: Sequence[str], summary: str) -> None:
        few = len(faults) <= 3
        super().__init__("; ".join([summary, *faults]) if few else f"{summary}, listed above")
        self.lines = () if few else tuple(" ".join(fault.split()) for fault in faults)


def videos_in(folder: Path, option: str) -> dict[str, Path]:
    """Videos by name: a folder of pictures by the folder's name, a file by its stem.

    Raises:
        UserError: no such folder, none in it, two of one name, or pictures that lie in it bare.
    """
    if not folder.is_dir():
        what = "is a file" if folder.exists() else "no such folder"
        raise UserError(f"{option} {folder}: {what}; give a folder of {LAYOUT}")
    found: dict[str, Path] = {}
    left = []
    for path in sorted(folder.iterdir(), key=in_order):
        if path.name.startswith("."):
            continue
        if not _is_video(path):
            left += [] if path.suffix.lower() in _TEXTS else [path.name]
            continue
        name = path.name if path.is_dir() else path.stem
        if name in found:
            raise UserError(f"{option} {folder}: {found[name].name} and {path.name} share a name")
        found[name] = path
    if not found and pictures_in(folder):
        raise UserError(
            f"{option} {folder}: pictures lie in it directly; put the frames of each video into a "
            f"folder of its own, {LAYOUT}"
        )
    if not found:
        raise UserError(f"{option} {folder}: holds no videos; give a folder of {LAYOUT}")
    if left:
        more = ", ..." if len(left) > _TOLD else ""
        _LOG.warning(
            "%s %s: %d left out that hold no video as it is read here: %s%s",
            option, folder, len(left), ", ".join(left[:_TOLD]), more,
        )  # fmt: skip
    return found


def _is_video(path: Path) -> bool:
    if path.is_dir():
        return bool(pictures_in(path))
    return path.suffix.lower() in VIDEOS


def _misnumbered(real: Path, fake: Path) -> str:
    """What keeps frames from being paired by their places, or nothing."""
    try:
        check_numbers_alike(real, fake, str(fake))
    except UserError as error:
        return str(error)
    return ""


def _unlike(real: Shape, fake: Shape) -> str:
    """What keeps two shapes from being compared, or nothing."""
    if (real.width, real.height) != (fake.width, fake.height):
        return (
            f"sizes differ, {real.width}x{real.height} real and {fake.width}x{fake.height} "
            "generated; nothing is resized here"
        )
    if real.frames != fake.frames:
        few, many = sorted((real.frames, fake.frames))
        hint = ""
        if few and many % few == 0:
            hint = (
                f"; {many} = {many // few} x {few}: a slow GIF or video that was expanded to a "
                "higher frame rate looks like this, give the frames themselves"
            )
        return f"lengths differ, {real.frames} frames real and {fake.frames} generated{hint}"
    return ""
