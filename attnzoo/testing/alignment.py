"""What Align does to real clips: Figure 2(c) of Dance-Your-Latents as a picture and as numbers.

Measured is the variance along the frames of a group, cell by cell, of the patches' mean colours:
what alignment is there to lower, before and after.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from attnzoo.attention._align import Align, align_maps
from attnzoo.attention._subspace import reference_frames, segments
from attnzoo.data.clip import Clip, collate
from attnzoo.data.video import open_video
from attnzoo.errors import UserError

WINDOWS = 1000
"""All windows of a video that share no frame."""


@dataclass(frozen=True)
class Group:
    """One group of frames, before and after.

    `before`: patches `[k, cells, 3]` by cell, in [0, 1]; `after`: the same once aligned, by rule;
    `moving`: share of the patches whose target is another cell; `colliding`: share that loses its
    target to another.
    """

    before: Tensor
    after: Mapping[Align, Tensor]
    moving: float
    colliding: float

    def variance(self, align: Align | None) -> float:
        """Variance along the frames, its mean over cells and colours; None: before."""
        return float(spread(self.before if align is None else self.after[align]).mean())


def spread(patches: Tensor) -> Tensor:
    """Variance along the frames of `[k, cells, 3]`, mean over colours: `[cells]`."""
    return patches.var(0, correction=0).mean(-1)


@dataclass(frozen=True)
class Aligned:
    """All groups of one video; a `grid` is that many cells a side."""

    name: str
    grid: int
    groups: Sequence[Group]

    def rows(self) -> Iterator[dict[str, Any]]:
        """One row of the table for each rule."""
        for align in Align:
            pairs = [(g.variance(None), g.variance(align)) for g in self.groups]
            # A group in which nothing changes has no ratio.
            ratios = [after / before for before, after in pairs if before > 1e-7]
            yield {
                "clip": self.name,
                "align": align.name,
                "groups": len(pairs),
                "cells that move": float(np.mean([g.moving for g in self.groups])),
                "collisions": float(np.mean([g.colliding for g in self.groups])),
                "variance before": float(np.mean([before for before, _ in pairs])),
                "variance after": float(np.mean([after for _, after in pairs])),
                "after / before": sum(a for _, a in pairs) / max(sum(b for b, _ in pairs), 1e-12),
                "worst group": max(ratios, default=1.0),
                "groups made worse": sum(ratio > 1.001 for ratio in ratios),
            }


def aligned(
    path: str,
    *,
    pose: bool = False,
    size: int = 256,
    grid: int = 32,
    frames: int = 16,
    group: int = 4,
) -> Aligned:
    """Aligns all windows of a video that share no frame, by every rule.

    Flow is the package's own: `attnzoo.data.flow` between neighbours, composed.

    Args:
        path: a video or a folder of frames.
        pose: it shows poses; a border of one colour is background and does not move.
        size: pixels of a side at which flow is computed.
        grid: cells of a side.
        frames: frames of a window.
        group: frames of a subspace.

    Raises:
        UserError: what `open_video` raises; a grid or group that is not positive, a grid finer
            than the picture, or a group longer than a window.
    """
    if not 1 <= grid <= size:
        raise UserError(f"grid={grid}: must be from 1 to the {size} pixels of a side")
    if group < 1:
        raise UserError(f"group={group}: must be at least one frame")
    if group > frames:
        raise UserError(f"group={group}: must be at most the {frames} frames of a window")
    source = open_video(
        path, size=size, frames=frames, windows=WINDOWS, pose=path if pose else None
    )
    clips = [source.test[i] for i in range(len(source.test))]
    return aligned_clips(Path(path).stem, clips, grid=grid, group=group)


def aligned_clips(name: str, clips: Sequence[Clip], *, grid: int, group: int) -> Aligned:
    """Aligns clips by every rule, along the motion that comes with them."""
    return Aligned(name, grid, [found for clip in clips for found in _groups(clip, grid, group)])


def _groups(clip: Clip, grid: int, size: int) -> Iterator[Group]:
    motion = collate([clip]).motion
    assert motion is not None
    frames = clip.video.shape[0]
    flow = motion.to(reference_frames(frames, size, False), grid, grid)
    patches = F.adaptive_avg_pool2d(clip.video, grid).flatten(2).transpose(1, 2)
    maps = {align: align_maps(flow, align)[0][0] for align in Align}
    after = {a: patches.gather(1, m[..., None].expand_as(patches)) for a, m in maps.items()}
    target = align_maps(flow, Align.scatter)[1][0]
    own = torch.arange(grid * grid)
    moving = target.ne(own).float().mean(1)
    distinct = torch.stack([torch.tensor(len(row.unique())) for row in target])
    colliding = 1 - distinct / own.numel()
    for begin, end in segments(frames, size, False):
        part = slice(begin, end)
        yield Group(
            patches[part],
            {align: all_frames[part] for align, all_frames in after.items()},
            moving[part].mean().item(),
            colliding[part].mean().item(),
        )


def draw(clips: Sequence[Aligned], path: Path) -> None:
    """Draws of each clip the group in which most cells move, before and after, as a PNG.

    One row for each rule: the frames, and last where they still vary, on one scale a clip.
    """
    # pyplot's state is not touched, so that a notebook's own backend stays.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    shown = [max(clip.groups, key=lambda g: g.moving) for clip in clips]
    columns = max(len(group.before) for group in shown) + 1
    rules: list[Align | None] = [None, *Align]
    across = min(2, len(clips))
    down = -(-len(clips) // across)
    size = (1.2 * columns * across, (1.35 * len(rules) + 0.3) * down)
    figure = Figure(figsize=size, layout="constrained")
    canvas = FigureCanvasAgg(figure)
    blocks = figure.subfigures(down, across, squeeze=False).flat
    for block, clip, group in zip(blocks, clips, shown, strict=False):
        block.suptitle(clip.name, fontsize=10)
        axes = block.subplots(len(rules), columns, squeeze=False)
        for row, align in zip(axes, rules, strict=True):
            _draw_row(row, clip.grid, group, align)
    canvas.draw()  # type: ignore[no-untyped-call]
    drawn = Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB")  # type: ignore[no-untyped-call]
    # A palette makes a third of the file.
    drawn.quantize(colors=128).save(path, optimize=True)


def _draw_row(axes: Any, grid: int, group: Group, align: Align | None) -> None:
    patches = group.before if align is None else group.after[align]
    for axis in axes:
        axis.set_axis_off()
    for axis, frame in zip(axes, patches, strict=False):
        axis.imshow(frame.view(grid, grid, 3).numpy(), interpolation="nearest")
    top = spread(group.before).max().sqrt().item()
    varies = spread(patches).sqrt().view(grid, grid).numpy()
    axes[-1].imshow(varies, cmap="magma", vmin=0, vmax=max(top, 1e-6), interpolation="nearest")
    said = "before" if align is None else align.name
    axes[0].set_title(said, fontsize=8, loc="left")
    ratio = group.variance(align) / max(group.variance(None), 1e-12)
    axes[-1].set_title(f"{ratio:.2f}" if align else "varies", fontsize=8, loc="right")
