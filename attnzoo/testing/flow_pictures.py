"""Flows side by side, as colours: the direction is the hue, the length the saturation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from attnzoo.data.clip import Clip
from attnzoo.data.flow_settings import Span
from attnzoo.data.flow_source import flow_between
from attnzoo.errors import UserError
from attnzoo.testing.flow_sources import Remembered, Way

Picture = NDArray[np.float32]


@dataclass(frozen=True)
class Row:
    """Two frames and the flows from one to the other, `[2, n, n]` by what they are called."""

    label: str
    frames: tuple[Picture, Picture]
    flows: dict[str, Tensor]


def row_of(clip: Clip, k: int, span: int, made: Sequence[Way], *, exact: bool = False) -> Row:
    """The row of one pair: the clip's own flow if that is `exact`, and each direct one."""
    assert clip.looks is not None
    looks = Remembered(clip.looks)
    flows = {}
    if exact and clip.flow is not None:
        flows["exact"] = clip.flow(k, k + span)[0]
    for way in made:
        if way.span is (Span.composed if span == 1 else Span.direct):
            try:
                flows[way.name] = flow_between(looks, len(clip.video), way.follow)(k, k + span)
            except UserError:
                continue  # the table says why it has none
    pictures = (looks[k].picture, looks[k + span].picture)
    a, b = (np.asarray(picture / 255, np.float32) for picture in pictures)
    return Row(f"frames {k} and {k + span}", (a, b), flows)


def fastest(clips: Sequence[Clip], span: int) -> tuple[Clip, int]:
    """The clip and its frame from which the body moves most in `span` frames, by its own flow."""

    def moved(clip: Clip, k: int) -> float:
        assert clip.flow is not None
        body = clip.body[k, 0] > 0.5
        length = clip.flow(k, k + span)[0].norm(dim=0)
        return float((length[body] if body.any() else length).mean())

    pairs = [(clip, k) for clip in clips for k in range(len(clip.video) - span)]
    return max(pairs, key=lambda pair: moved(*pair))


def colours(flow: Tensor, most: float) -> Picture:
    """A flow `[2, n, n]` as `[n, n, 3]`; white stands still, full colour is `most` pixels."""
    from matplotlib.colors import hsv_to_rgb

    x, y = flow.numpy()
    hue = np.arctan2(y, x) / (2 * np.pi) % 1
    length = np.clip(np.hypot(x, y) / max(most, 1e-6), 0, 1)
    picture: Picture = hsv_to_rgb(np.stack([hue, length, np.ones_like(hue)], -1)).astype("f4")
    return picture


def wheel(size: int = 101) -> Picture:
    """What the colours mean: the flow that leads from the middle to each place."""
    steps = torch.linspace(-1, 1, size)
    flow = torch.stack([steps.expand(size, size), steps[:, None].expand(size, size)])
    picture = colours(flow, 1.0)
    picture[flow.norm(dim=0).numpy() > 1] = 1
    return picture


def draw(rows: Sequence[Row], path: Path) -> None:
    """Draws the rows, both frames first, as a PNG; a row's flows share one scale.

    It is that of the exact flow where there is one, else the middle one of all.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    names = list(dict.fromkeys(name for row in rows for name in row.flows))
    columns = 2 + len(names) + 1
    figure = Figure(figsize=(1.5 * columns, 1.65 * len(rows)), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(len(rows), columns, squeeze=False)
    for axis in axes.flat:
        axis.set_axis_off()
    for line, row in zip(axes, rows, strict=True):
        lengths = {name: flow.norm(dim=0).quantile(0.99) for name, flow in row.flows.items()}
        most = float(lengths.get("exact", np.median(list(lengths.values()))))
        for axis, picture in zip(line, row.frames, strict=False):
            axis.imshow(picture, interpolation="nearest")
        line[0].set_title(row.label, fontsize=8, loc="left")
        for axis, name in zip(line[2:], names, strict=False):
            if name in row.flows:
                axis.imshow(colours(row.flows[name], most), interpolation="nearest")
                axis.set_title(name, fontsize=8)
        line[-1].imshow(wheel())
        line[-1].set_title(f"{most:.1f} pixels", fontsize=8)
    figure.savefig(path, format="png", dpi=100)
