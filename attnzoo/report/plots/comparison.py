"""The paper's Figure 5: methods compared, frame by frame, with the logo and an x-t slice."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.gridspec import GridSpec
from matplotlib.patches import Rectangle

from attnzoo.report.folder import Folder, ShownClip
from attnzoo.report.plots.data import Data
from attnzoo.report.plots.plot import Drawn, LeftOut, Sketch
from attnzoo.report.plots.samples import bare
from attnzoo.report.plots.scenarios import complexity
from attnzoo.report.plots.style import FAINT, PAGE, SMALL, close, page
from attnzoo.report.plots.videos import (
    Frames,
    crop,
    middle_row,
    read_video,
    spread,
    square,
    x_t_slice,
)
from attnzoo.report.plots.words import wrapped

NAME = "figure5"
SHOWN = 8
"""Frames in a row, at most."""
MARGIN = 3.0
"""Pixels about the logo in its crops."""
_MARK = "#d55e00"


@dataclass(frozen=True)
class Method:
    """One method's clip; frames are None where no video was kept."""

    label: str
    frames: Frames | None


def draw(data: Data) -> Iterator[Drawn]:
    """Two rows a method of the first table, and of the real clip: frames and crops of the logo."""
    folder = data.folder
    clip = shown_clip(folder)
    if clip is None:
        yield LeftOut(NAME, "no kept clip shows a logo (clips/index.json)")
        return
    kinds = [(cell.label, cell.id) for cell in folder.cells_of("table1")] + [("real", "real")]
    methods = [
        Method(label, None if (path := folder.video(kind, clip.name)) is None
               else read_video(path, clip.size))
        for label, kind in kinds
    ]  # fmt: skip
    if all(method.frames is None for method in methods[:-1]):
        yield LeftOut(NAME, "no videos of the first table's methods were kept (clips/)")
        return
    row = middle_row(clip.boxes, clip.size)
    assert row is not None  # `shown_clip` has boxes
    missing = [method.label for method in methods if method.frames is None]
    gone = f" Missing: {', '.join(missing)}." if missing else ""
    yield Sketch(
        name=NAME,
        title="Methods compared, with the logo over time",
        caption=(
            f"As the paper's Figure 5, from this run (seed {folder.seeds[0]}, {clip.scenario}, the "
            "scenario's first clip): a method's frames; below them the logo, cut out where it "
            "truly is (a gap where it is turned away); at the right an x-t slice, the row of "
            f"pixels {row} (orange ticks) of all {clip.frames} frames with time running down. "
            f"What moves evenly draws clean slanted lines there, jitter draws teeth.{gone}"
        ),
        alt="Rows of frames with crops of the logo and an x-t slice, for "
        + ", ".join(method.label for method in methods if method.frames is not None)
        + ".",
        figure=_figure(clip, methods, row),
    )


def shown_clip(folder: Folder) -> ShownClip | None:
    """Of the clips with a visible logo the most complex one's first."""
    with_logo = [clip for clip in folder.clips if any(box is not None for box in clip.boxes)]
    return max(with_logo, key=lambda clip: complexity(clip.scenario), default=None)


def _figure(clip: ShownClip, methods: Sequence[Method], row: int) -> Figure:
    shown = min(SHOWN, clip.frames)
    slice_width = 1.05
    cell = min((PAGE - slice_width - 1.0) / shown, 1.0)
    figure = page(PAGE, 0.2 + (2 * cell + 0.05) * len(methods))
    close(figure)
    grid = GridSpec(
        2 * len(methods), shown + 1, figure=figure,
        width_ratios=[*[cell] * shown, slice_width],
    )  # fmt: skip
    side = square(clip.boxes, MARGIN)
    for i, method in enumerate(methods):
        top = [figure.add_subplot(grid[2 * i, k]) for k in range(shown)]
        below = [figure.add_subplot(grid[2 * i + 1, k]) for k in range(shown)]
        slice_axes = figure.add_subplot(grid[2 * i : 2 * i + 2, shown])
        for axes in (*top, *below, slice_axes):
            bare(axes)
        label = wrapped(method.label, 15)
        top[0].set_ylabel(label, fontsize=SMALL, rotation=0, ha="right", va="top")
        if i == 0:
            slice_axes.set_title("x-t slice", fontsize=SMALL)
            for axes, at in zip(top, spread(clip.frames, shown), strict=True):
                axes.set_title(f"frame {at}", fontsize=SMALL)
        if method.frames is None:
            top[0].text(0.0, 0.5, "not kept", va="center", color=FAINT, transform=top[0].transAxes)
            continue
        chosen = spread(min(len(method.frames), clip.frames), shown)
        for k, (upper, lower, at) in enumerate(zip(top, below, chosen, strict=False)):
            upper.imshow(method.frames[at], interpolation="none")
            if k == 0:
                _mark_row(upper, row, clip.size)
            box = clip.boxes[at] if at < len(clip.boxes) else None
            if box is None:
                lower.text(0.5, 0.5, "–", ha="center", va="center", color=FAINT)
            else:
                lower.imshow(crop(method.frames[at], box, side), interpolation="none")
        slice_axes.imshow(x_t_slice(method.frames, row), interpolation="none", aspect="auto")
    return figure


def _mark_row(axes: Axes, row: int, size: int) -> None:
    """Two short orange ticks at the ends of the row that is sliced."""
    for left in (-0.5, size - 0.5 - size / 12):
        axes.add_patch(
            Rectangle((left, row - 0.5), size / 12, 1, color=_MARK, linewidth=0, zorder=3)
        )
