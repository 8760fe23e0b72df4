"""Clips as files: what a cell has made, and the data that it was made from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from torch import Tensor

from attnzoo.data.clip import Clip
from attnzoo.files import replacing
from attnzoo.tables.folder import write_json
from attnzoo.train.outputs import encode, picture

LARGER = 4
"""Each pixel is a square of so many, so that no player blurs it."""
FPS = 8
INDEX = "index.json"


def first_of_each(clips: Sequence[Clip]) -> dict[int, Clip]:
    """The first clip of each scenario, by its number."""
    found: dict[str, int] = {}
    for number, clip in enumerate(clips):
        found.setdefault(clip.scenario, number)
    return {number: clips[number] for number in found.values()}


def write_clip(path: Path, frames: Tensor) -> None:
    """`[f, 3, H, W]` in [0, 1] as h264."""
    encode(path, [_larger(frame) for frame in frames], FPS)


def write_generated(folder: Path, clips: Sequence[Clip], generated: Tensor) -> None:
    """Of the clips that are shown, what was generated for them."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, clip in first_of_each(clips).items():
        write_clip(folder / f"{clip.name}.mp4", generated[number])


def write_data(folder: Path, clips: Sequence[Clip]) -> None:
    """Real frames, poses and references of the clips that are shown, and their list."""
    for part in ("real", "pose", "reference"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    shown = first_of_each(clips).values()
    for clip in shown:
        write_clip(folder / "real" / f"{clip.name}.mp4", clip.video)
        write_clip(folder / "pose" / f"{clip.name}.mp4", clip.pose[:, :3])
        with replacing(folder / "reference" / f"{clip.name}.png") as beside:
            Image.fromarray(_larger(clip.foreground)).save(beside)
    write_json(folder / INDEX, [_described(clip) for clip in shown])


def _described(clip: Clip) -> Mapping[str, Any]:
    return {
        "name": clip.name,
        "scenario": clip.scenario,
        "fps": FPS,
        "frames": len(clip.video),
        "size": clip.video.shape[-1],
        "boxes": [None] * len(clip.video) if clip.logo is None else [*map(_box, clip.logo)],
    }


def _box(logo: Tensor) -> list[int] | None:
    """The box `[x0, y0, x1, y1]` of a mask `[1, H, W]` in pixels of the data, the end exclusive."""
    y, x = np.nonzero(logo[0].numpy() > 0.5)
    if not len(x):
        return None
    return [int(x.min()), int(y.min()), int(x.max()) + 1, int(y.max()) + 1]


def _larger(frame: Tensor) -> Any:
    return picture(frame).repeat(LARGER, axis=0).repeat(LARGER, axis=1)
