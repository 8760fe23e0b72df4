"""The clip that was made, as files: a video, a strip, single frames if wanted, and its record."""

from __future__ import annotations

import errno
import json
import os
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from attnzoo.data.clip import Clip
from attnzoo.errors import UserError, lacking
from attnzoo.files import replacing
from attnzoo.models.stretches import Stretches
from attnzoo.train.outputs import (
    CELL,
    LABEL,
    LINE,
    PANEL,
    Picture,
    encode,
    enlarged,
    picture,
)

VIDEO, STRIP, RECORD, FRAMES = "sample.mp4", "strip.png", "sample.json", "frames"
COLUMNS, SHOWN = 10, 20
"""Frames in a line of the strip, and frames in all of it: of a longer clip some are left out."""

_INK, _PAPER, _SEAM = (30, 30, 30), (255, 255, 255), (230, 120, 20)
_GAP = 2


@dataclass(frozen=True)
class Made:
    """What was mixed, `[f, 3, H, W]` in [0, 1] that came of it, and the windows it was made in."""

    clip: Clip
    video: Tensor
    parts: Stretches


_TAKEN = "--out {folder}: holds something already; take another folder"


def check_folder(folder: Path) -> None:
    """UserError unless `folder` is new or empty and can be made; leaves nothing behind."""
    try:
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise UserError(_TAKEN.format(folder=folder))
        if os.path.ismount(folder):  # known to be so only when all is made: nothing replaces it
            raise UserError(
                f"--out {folder}: is a disk of its own, whose place no folder can take; "
                f"take one inside it, such as {folder / 'sample'}"
            )
        existing = next(p for p in folder.absolute().parents if p.exists())
        with tempfile.TemporaryFile(dir=existing):
            pass
    except OSError as error:
        raise UserError(f"--out {folder}: cannot be written ({error.strerror or error})") from error


def write(folder: Path, made: Made, about: Mapping[str, Any], *, fps: int, single: bool) -> None:
    """Writes all files, and `folder` stands with all of them or not at all.

    Args:
        folder: new or empty.
        made: the clip.
        about: what stands in `sample.json`, beside the files' names.
        fps: frames a second of the video.
        single: whether each frame is written as a PNG at its own size, too.

    Raises:
        UserError: something lies there by now.
        OSError: the disk does not take it.
    """
    frames = [picture(frame) for frame in made.video]
    names = [VIDEO, STRIP, *([FRAMES] if single else ())]
    try:
        folder.absolute().parent.mkdir(parents=True, exist_ok=True)
        with replacing(folder, over=False) as beside:
            beside.mkdir()
            encode(beside / VIDEO, [_even(enlarged(frame, PANEL)) for frame in frames], fps)
            strip(made).save(beside / STRIP, optimize=True)
            if single:
                (beside / FRAMES).mkdir()
                for number, frame in enumerate(frames):
                    Image.fromarray(frame).save(beside / FRAMES / f"{number:06d}.png")
            text = json.dumps({**about, "files": [*names, RECORD]}, indent=1, allow_nan=False)
            (beside / RECORD).write_text(text + "\n")
    except OSError as error:
        if error.errno in (errno.ENOTEMPTY, errno.EEXIST):
            raise UserError(_TAKEN.format(folder=folder)) from error
        if lacking(error):
            raise
        raise UserError(f"--out {folder}: cannot be written ({error.strerror or error})") from error


def _even(frame: Picture) -> Picture:
    """With sides that h264 takes: the last row and column again where they are odd."""
    height, width = frame.shape[:2]
    return np.pad(frame, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")


def strip(made: Made) -> Image.Image:
    """Person and place, then the poses and the frames made from them, line by line, numbered.

    A bar marks frames of which several windows decide.
    """
    frames = len(made.video)
    count = min(frames, SHOWN)
    shown = np.unique(np.linspace(0, frames - 1, count).round().astype(int)).tolist()
    lines = [shown[i : i + COLUMNS] for i in range(0, len(shown), COLUMNS)]
    side = enlarged(picture(made.video[0]), CELL).shape[0]
    width = LABEL + max(min(len(shown), COLUMNS), 2) * (side + _GAP)
    block = LINE + 2 * (side + _GAP)
    sheet = Image.new("RGB", (width, LINE + side + _GAP + len(lines) * block), _PAPER)
    pen = _Pen(sheet, side)
    pen.text(4, 2, made.clip.name)
    pen.row(LINE, "person, place", [made.clip.foreground, made.clip.background])
    shared = ((made.parts.weights > 0).sum(0) > 1).tolist()
    for number, line in enumerate(lines):
        top = LINE + side + _GAP + number * block
        for column, frame in enumerate(line):
            left = LABEL + column * (side + _GAP)
            pen.text(left + 2, top + 2, str(frame))
            if shared[frame]:
                pen.draw.rectangle((left, top + LINE - 3, left + side, top + LINE - 1), fill=_SEAM)
        pen.row(top + LINE, "pose", [made.clip.pose[frame, :3] for frame in line])
        pen.row(top + LINE + side + _GAP, "made", [made.video[frame] for frame in line])
    return sheet


class _Pen:
    """Writes and pastes on a sheet of cells that are `side` pixels large."""

    def __init__(self, sheet: Image.Image, side: int) -> None:
        self.sheet, self.side = sheet, side
        self.draw, self.font = ImageDraw.Draw(sheet), ImageFont.load_default(size=11)

    def text(self, left: int, top: int, text: str) -> None:
        self.draw.text((left, top), text, fill=_INK, font=self.font)

    def row(self, top: int, label: str, images: Sequence[Tensor]) -> None:
        self.text(2, top + self.side // 2 - 7, label)
        for column, image in enumerate(images):
            cell = Image.fromarray(enlarged(picture(image), CELL))
            self.sheet.paste(cell, (LABEL + column * (self.side + _GAP), top))
