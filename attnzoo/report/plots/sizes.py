"""The ablation of subspace sizes as a heat map: gain in each score against [4,4,4]."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from attnzoo.report.folder import Row
from attnzoo.report.measures import Measure
from attnzoo.report.plots.data import Data, measures
from attnzoo.report.plots.overview import TABLE
from attnzoo.report.plots.plot import Drawn, LeftOut, Sketch
from attnzoo.report.plots.style import FAINT, PAGE, SMALL, page
from attnzoo.report.plots.words import number, percent, title, wrapped

NAME = "sizes"
REFERENCE = "[4,4,4]"
"""The size that the paper found best."""
LEAST = 10.0
"""Colours reach at least to so many per cent, so that small gains look small."""


def draw(data: Data) -> Iterator[Drawn]:
    """One heat map: a row a size, a column a score."""
    tables = data.folder.tables
    rows = tables["table3"].rows if "table3" in tables else ()
    base = next((row for row in rows if size_of(data, row) == REFERENCE), None)
    if base is None or not data.folder.records_of(base.cell):
        yield LeftOut(NAME, f"the third table has no finished row of size {REFERENCE}")
        return
    shown = [m for m in measures(TABLE) if data.estimate(base.cell, m.key)]
    gains = [[_gain(data, row, base, m) for m in shown] for row in rows]
    words = [[_words(data, row, base, m) for m in shown] for row in rows]
    names = [size_of(data, row) or row.label for row in rows]
    best = [
        f"{m.name} {names[int(np.nanargmax([line[i] for line in gains]))]}"
        for i, m in enumerate(shown)
    ]
    yield Sketch(
        name=NAME,
        title="Subspace sizes",
        caption=data.and_gaps(
            f"Each score's mean, and which share of {REFERENCE}'s badness is gone with another "
            "size: violet better, orange worse (likenesses count by what they lack to 1, PSNR by "
            "the root of its mean square error). In brackets where the 95 % interval of the "
            "gain, over seeds, holds 0.",
            data.failures(rows),
        ),
        alt=f"Heat map of subspace sizes and scores. Best size by {', by '.join(best)}.",
        figure=_figure(gains, words, names, shown),
    )


def size_of(data: Data, row: Row) -> str:
    """The subspace size of a row's cell as the command line writes it, or nothing.

    Nothing for a row that was added: it goes by its label.
    """
    cell = data.folder.cells[row.cell]
    return "" if cell.added else cell.setting("size", "").replace(" ", "")


def _gain(data: Data, row: Row, base: Row, measure: Measure) -> float:
    """In per cent; NaN where it cannot be had."""
    if row.cell == base.cell:
        return 0.0
    found = data.gain(row.cell, base.cell, measure.key)
    return float("nan") if found is None else 100 * found.value


def _words(data: Data, row: Row, base: Row, measure: Measure) -> str:
    value = data.estimate(row.cell, measure.key)
    if value is None:
        return "–"
    found = None if row.cell == base.cell else data.gain(row.cell, base.cell, measure.key)
    if found is None:
        return number(value.value)
    said = percent(found.value)
    sure = found.low is not None and found.high is not None and found.low * found.high > 0
    return f"{number(value.value)}\n{said if sure else f'({said})'}"


def _legible(axes: Axes, columns: int) -> None:
    """White words where they stand out more than black ones, by the relative luminance."""
    colours = np.asarray(axes.collections[0].get_facecolor(), np.float64)[:, :3]
    linear = np.where(colours <= 0.03928, colours / 12.92, ((colours + 0.055) / 1.055) ** 2.4)
    luminance = linear @ np.array([0.2126, 0.7152, 0.0722])
    for text in axes.texts:
        x, y = text.get_position()
        text.set_color("black" if luminance[int(y) * columns + int(x)] > 0.18 else "white")


def _figure(
    gains: Sequence[Sequence[float]],
    words: Sequence[Sequence[str]],
    names: Sequence[str],
    shown: Sequence[Measure],
) -> Figure:
    figure = page(PAGE, 0.95 + 0.42 * len(names))
    axes = figure.subplots()
    limit = max(float(np.nanmax(np.abs(gains))), LEAST)
    sns.heatmap(
        pd.DataFrame(gains), annot=pd.DataFrame(words), fmt="", cmap="PuOr",
        vmin=-limit, vmax=limit, linewidths=0.8, annot_kws={"size": SMALL},
        cbar_kws={"label": "better [%]", "pad": 0.01}, ax=axes,
    )  # fmt: skip
    _legible(axes, len(shown))
    axes.set_facecolor("0.92")
    for y, values in enumerate(gains):
        for x, value in enumerate(values):
            if np.isnan(value):
                axes.text(x + 0.5, y + 0.5, "–", ha="center", va="center", color=FAINT)
    titles = [wrapped(title(m), 11, hyphens=True) for m in shown]
    axes.set_xticks([i + 0.5 for i in range(len(shown))], titles, rotation=0)
    axes.set_yticks([i + 0.5 for i in range(len(names))], names, rotation=0)
    axes.tick_params(length=0)
    axes.xaxis.tick_top()
    return figure
