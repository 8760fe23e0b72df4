"""How well the flow of each source explains recorded clips, where nobody knows the true one.

Two errors, over the body of a pose picture or the whole of another: the photometric one, how far
the colours of a frame are from those to which the flow leads, and the cycle error, how far there
and back ends from the start. Neither is the truth: flow that follows nothing but outlines can have
little of both.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from attnzoo.data.clip import Clip, Looks
from attnzoo.data.flow_source import flow_between
from attnzoo.data.look import Look
from attnzoo.data.video import open_video
from attnzoo.errors import UserError
from attnzoo.motion import sampled
from attnzoo.testing.flow_sources import NOTHING, Remembered, Way

SPANS = (1, 4)
"""Frames from one frame to the other."""

STEP = 3
"""Every so many frames are compared with a later one."""


@dataclass(frozen=True)
class Recorded:
    """One video's windows, and its rows of the table; `refused`: why a source has no flow there."""

    name: str
    clips: Sequence[Clip]
    rows: Sequence[dict[str, Any]]
    refused: dict[str, str]


def recorded(
    path: str,
    made: Sequence[Way],
    *,
    pose: bool,
    size: int = 256,
    frames: int = 16,
    windows: int = 2,
) -> Recorded:
    """Measures every way on the first windows of a video.

    Args:
        path: a video or a folder of frames.
        made: the ways.
        pose: it shows poses.
        size: pixels of a side.
        frames: frames of a window.
        windows: how many windows at most.

    Raises:
        UserError: what `open_video` raises.
    """
    shown = path if pose else None
    source = open_video(path, size=size, frames=frames, windows=windows, pose=shown)
    clips = [source.test[i] for i in range(len(source.test))]
    refused = dict(_refused(clips[0], made))
    able = [way for way in made if way.name not in refused]
    name = Path(path).stem
    rows = [{"clip": name, **row} for row in _rows(clips, able)]
    return Recorded(name, clips, rows, refused)


def _refused(clip: Clip, made: Sequence[Way]) -> Iterator[tuple[str, str]]:
    assert clip.looks is not None
    for way in made:
        try:
            clip.looks.between(way.follow.estimate, 0, 1)
        except UserError as error:
            yield way.name, str(error)


def _rows(clips: Sequence[Clip], able: Sequence[Way]) -> Iterator[dict[str, Any]]:
    looks = [Remembered(clip.looks) for clip in clips if clip.looks is not None]
    frames = len(clips[0].video)
    for span in (s for s in SPANS if s < frames):
        still = [_pair(one, k, k + span, None) for one in looks for k in _starts(frames, span)]
        yield {"source": NOTHING, "frames": span, "way": "", **_mean(still)}
        for way in able:
            if span == 1 and way.span.name == "direct":
                continue
            found = []
            for one in looks:
                flow = flow_between(one, frames, way.follow)
                for k in _starts(frames, span):
                    there, back = flow(k, k + span), flow(k + span, k)
                    found.append(_pair(one, k, k + span, (there, back)))
            how = way.span.name if span > 1 else ""
            yield {"source": way.name, "frames": span, "way": how, **_mean(found)}


def _starts(frames: int, span: int) -> range:
    return range(0, frames - span, STEP)


def _pair(looks: Looks, k: int, r: int, flows: tuple[Tensor, Tensor] | None) -> Tensor:
    """Photometric and cycle error of one pair, and pixels of flow: `[3]`."""
    start, end = looks[k], looks[r]
    there, back = flows or (torch.zeros(2, *start.picture.shape[:2]),) * 2
    body = moving(start)
    colours = sampled(_colours(end)[None], there[None])[0]
    photometric = (colours - _colours(start)).abs().mean(0)[body].mean()
    cycle = (there + sampled(back[None], there[None])[0]).norm(dim=0)[body].mean()
    return torch.stack([photometric, cycle, there.norm(dim=0)[body].mean()])


def moving(look: Look) -> Tensor:
    """Where a picture shows what may move `[n, n]`; all of it where nobody says."""
    if look.still is None:
        return torch.ones(look.picture.shape[:2], dtype=torch.bool)
    return torch.from_numpy(~look.still)


def _colours(look: Look) -> Tensor:
    return torch.from_numpy(look.picture.astype(np.float32) / 255).permute(2, 0, 1)


def _mean(pairs: Sequence[Tensor]) -> dict[str, Any]:
    # A frame that shows nobody has nothing to measure.
    photometric, cycle, length = torch.stack(list(pairs)).nanmean(0).tolist()
    return {"photometric": photometric, "cycle": cycle, "length": length, "pairs": len(pairs)}
