"""Learning curves: the loss of every cell, with the seeds as a band."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from attnzoo.report.folder import Cell, Folder
from attnzoo.report.plots.estimates import Records
from attnzoo.report.plots.gaps import and_gaps, failed
from attnzoo.report.plots.plot import Drawn, LeftOut, Sketch
from attnzoo.report.plots.style import ACCENT, NORMAL, PAGE, nothing, page, wrapped

Array = NDArray[np.float64]

COLUMNS = 5
WINDOW = 10
"""Losses are averaged over this share of a stage, one part of so many, before they are drawn."""
_TABLES = {
    "learning": ("Learning curves", ("table1", "table2", "table3", "table4", "table5")),
    "learning-noise-camera": ("Learning curves of noise and camera", ("table6",)),
}


@dataclass(frozen=True)
class Band:
    """Losses of one cell over both stages; mean, least and largest of the seeds, at each step."""

    steps: Array
    mean: Array
    low: Array
    high: Array
    border: float
    """The last step of stage 1."""


def draw(folder: Folder) -> Iterator[Drawn]:
    """A panel a cell; the sixth table, whose noise differs, has a plot of its own."""
    for name, (title, tables) in _TABLES.items():
        cells = folder.cells_of(*tables)
        bands = {c.id: bands_of(folder.records_of(c.id)) for c in cells}
        if not any(bands.values()):
            yield LeftOut(name, f"no record of {tables[0]} to {tables[-1]} has losses")
            continue
        yield _sketch(name, title, folder, cells, bands)


def _sketch(
    name: str, title: str, folder: Folder, cells: Sequence[Cell], bands: dict[str, Band | None]
) -> Sketch:
    rows = -(-len(cells) // COLUMNS)
    figure = page(PAGE, 0.35 + 1.05 * rows)
    panels = figure.subplots(rows, COLUMNS, sharex=True, sharey=True, squeeze=False)
    known = [band for band in bands.values() if band is not None]
    for axes, cell in zip(panels.flat, cells, strict=False):
        _panel(axes, bands[cell.id], known, failed(folder, cell.id))
        label = _label(cell, name)
        axes.set_title(wrapped(label, 25), fontsize=NORMAL - 1)
    for axes in panels.flat[len(cells) :]:
        axes.set_visible(False)
    # The panels that have none beneath them name the steps.
    for column in range(COLUMNS):
        lowest = (len(cells) - 1 - column) // COLUMNS
        if lowest >= 0:
            panels[lowest, column].tick_params(labelbottom=True)
    figure.supxlabel("steps of both stages", fontsize=NORMAL - 1)
    figure.supylabel("loss", fontsize=NORMAL - 1)
    ends = [
        f"{cell.label} {band.mean[band.steps <= band.border][-1]:.3g}"
        for cell in cells
        if (band := bands[cell.id]) is not None
    ]
    return Sketch(
        name=name,
        title=title,
        caption=and_gaps(
            f"Training loss (running mean over a {WINDOW}th of each stage): mean of the seeds and "
            "their range as a band; grey, all other cells; the dotted line parts the stages. All "
            "cells of a seed see the same clips, noise and times in the same order, so that the "
            "curves have the same bumps.",
            [f"{c.label} {failed(folder, c.id) or 'without losses'}" for c in cells
             if bands[c.id] is None],
            folder,
        ),
        alt=f"{title}, small panels. Loss at the end of stage 1: {', '.join(ends)}.",
        figure=figure,
    )  # fmt: skip


def _panel(axes: Axes, band: Band | None, others: Sequence[Band], missing: str | None) -> None:
    axes.set_yscale("log")
    for other in others:
        axes.plot(other.steps, other.mean, color="0.85", linewidth=0.5, zorder=1)
    if band is None:
        nothing(axes, missing or "no losses")
        return
    axes.fill_between(band.steps, band.low, band.high, color=ACCENT, alpha=0.25, linewidth=0)
    axes.plot(band.steps, band.mean, color=ACCENT)
    axes.axvline(band.border, color="0.5", linestyle=":", linewidth=0.7)


def _label(cell: Cell, name: str) -> str:
    if name == "learning":
        return cell.label
    noise, camera = cell.setting("noise", "shared"), cell.setting("camera", "still")
    return f"{cell.label}: {noise}, {camera}"


def bands_of(records: Records) -> Band | None:
    """The losses of a cell's seeds over both stages; None without any.

    Seeds that logged other steps than the first are put on its steps by interpolation.
    """
    curves = []
    for record in records.values():
        stages = [record["training"][f"stage{i}"]["loss"] for i in (1, 2)]
        if not stages[0]["loss"]:
            continue
        border = float(stages[0]["step"][-1])
        steps = [np.asarray(stages[0]["step"], float), border + np.asarray(stages[1]["step"], float)]
        losses = [smoothed(np.asarray(stage["loss"], float)) for stage in stages]
        curves.append((np.concatenate(steps), np.concatenate(losses), border))
    if not curves:
        return None
    at, _, border = curves[0]
    values = np.stack([np.interp(at, steps, losses) for steps, losses, _ in curves])
    return Band(at, values.mean(0), values.min(0), values.max(0), border)


def smoothed(losses: Array) -> Array:
    """The running mean over a share of the stage, narrower towards both ends."""
    reach = len(losses) // WINDOW // 2
    sums = np.concatenate([[0.0], losses.cumsum()])
    low = np.arange(len(losses)) - reach
    high = np.arange(len(losses)) + reach + 1
    low, high = low.clip(0), high.clip(max=len(losses))
    mean: Array = (sums[high] - sums[low]) / (high - low)
    return mean
