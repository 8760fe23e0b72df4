"""Learning curves: the loss of every cell, with the seeds as a band."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from attnzoo.report.folder import Folder
from attnzoo.report.plots.data import Data
from attnzoo.report.plots.plot import Drawn, LeftOut, Sketch
from attnzoo.report.plots.style import ACCENT, PAGE, SMALL, log_ticks, nothing, page
from attnzoo.report.plots.words import number, wrapped

Array = NDArray[np.float64]

COLUMNS = 5
"""At most."""
MANY = 50
"""Grey lines of a panel from which on they are drawn as pixels."""
WINDOW = 10
"""Losses are averaged over this share of a stage, one part of so many, before they are drawn."""
_TABLES = {
    "learning": ("Learning curves", ("table1", "table2", "table3", "table4", "table5")),
    "learning-noise-camera": ("Learning curves of noise and camera", ("table6",)),
}


@dataclass(frozen=True)
class Band:
    """Losses of one stage of a cell: mean, least and largest of the seeds at each step.

    Steps are counted from the start of stage 1.
    """

    steps: Array
    mean: Array
    low: Array
    high: Array


def draw(data: Data) -> Iterator[Drawn]:
    """A panel a cell; the sixth table, whose noise differs, has a plot of its own."""
    for name, (title, tables) in _TABLES.items():
        labels = labels_of(data.folder, tables)
        bands = {cell: bands_of(data.folder.records_of(cell)) for cell in labels}
        if not any(bands.values()):
            yield LeftOut(name, f"no record of {tables[0]} to {tables[-1]} has losses")
            continue
        yield _sketch(name, title, data, labels, bands)


def labels_of(folder: Folder, tables: Sequence[str]) -> dict[str, str]:
    """The distinct cells of some tables, and what to call them: the sixth table by its groups."""
    if tables == ("table6",):
        rows = folder.tables["table6"].rows if "table6" in folder.tables else ()
        return {row.cell: row.name for row in rows}
    return {cell.id: cell.label for cell in folder.cells_of(*tables)}


def _sketch(
    name: str,
    title: str,
    data: Data,
    labels: Mapping[str, str],
    bands: Mapping[str, list[Band]],
) -> Sketch:
    columns = min(COLUMNS, len(labels))
    rows = -(-len(labels) // columns)
    titles = {cell: wrapped(label, 22) for cell, label in labels.items()}
    lines = max(2, *(title.count("\n") + 1 for title in titles.values()))
    figure = page(PAGE, 0.35 + (0.81 + 0.12 * lines) * rows)
    panels = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
    everything = [band for found in bands.values() for band in found]
    for axes, (cell, title_of) in zip(panels.flat, titles.items(), strict=False):
        if bands[cell]:
            _panel(axes, bands[cell], everything)
        else:
            nothing(axes, data.failed(cell) or "no losses", 22)
        axes.set_title(title_of, fontsize=SMALL)
    for axes in panels.flat[len(labels) :]:
        axes.set_visible(False)
    _name_axes(panels, len(labels))
    figure.supxlabel("steps of both stages", fontsize=SMALL)
    figure.supylabel("loss", fontsize=SMALL)
    ends = [f"{labels[c]} {number(found[0].mean[-1])}" for c, found in bands.items() if found]
    return Sketch(
        name=name,
        title=title,
        caption=data.and_gaps(
            f"Training loss (running mean over a {WINDOW}th of each stage): mean of the seeds and "
            "their range as a band; grey, all other cells; the dotted line parts the stages, "
            "and what trains in stage 2 alone begins with it. Logarithmic.",
            [
                f"{label} {data.failed(cell) or 'has no losses'}"
                for cell, label in labels.items()
                if not bands[cell]
            ],
        ),
        alt=f"{title}, small panels. Loss after the first stage trained: {', '.join(ends)}.",
        figure=figure,
    )


def _name_axes(panels: Any, cells: int) -> None:
    """Plain numbers, and steps below the panels that have none beneath them."""
    first = panels[0, 0]
    if first.get_yscale() == "log":
        log_ticks(first.yaxis)
    columns = panels.shape[1]
    for column in range(columns):
        lowest = (cells - 1 - column) // columns
        if lowest >= 0:
            panels[lowest, column].tick_params(labelbottom=True)


def _panel(axes: Axes, bands: Sequence[Band], others: Sequence[Band]) -> None:
    axes.set_yscale("log")
    for other in others:
        # As paths they would be most of a large report's bytes.
        axes.plot(
            other.steps, other.mean, color="0.85", linewidth=0.5, zorder=1,
            rasterized=len(others) > MANY,
        )  # fmt: skip
    for band in bands:
        axes.fill_between(band.steps, band.low, band.high, color=ACCENT, alpha=0.25, linewidth=0)
        axes.plot(band.steps, band.mean, color=ACCENT)
    if len(bands) > 1:
        axes.axvline(bands[0].steps[-1], color="0.5", linestyle=":", linewidth=0.7)


def bands_of(records: Mapping[int, Mapping[str, Any]]) -> list[Band]:
    """A band for each stage of which any seed has losses.

    Seeds that logged other steps than the first are put on its steps by interpolation.
    """
    bands: list[Band] = []
    before = 0.0
    for stage in ("stage1", "stage2"):
        curves = [record["training"][stage]["loss"] for record in records.values()]
        curves = [curve for curve in curves if curve["loss"]]
        if not curves:
            continue
        at = np.asarray(curves[0]["step"], np.float64)
        losses = [
            np.interp(at, curve["step"], smoothed(np.asarray(curve["loss"], np.float64)))
            for curve in curves
        ]
        values = np.stack(losses)
        bands.append(Band(before + at, values.mean(0), values.min(0), values.max(0)))
        before += float(at[-1])
    return bands


def smoothed(losses: Array) -> Array:
    """The running mean over a share of the stage, narrower towards both ends."""
    wide = len(losses) // WINDOW // 2
    sums = np.concatenate([[0.0], losses.cumsum()])
    low = (np.arange(len(losses)) - wide).clip(0)
    high = (np.arange(len(losses)) + wide + 1).clip(max=len(losses))
    mean: Array = (sums[high] - sums[low]) / (high - low)
    return mean
