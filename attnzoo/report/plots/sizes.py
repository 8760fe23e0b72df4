"""The ablation of subspace sizes as a heat map: change of each score against [4, 4, 4]."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd
import seaborn as sns

from attnzoo.report.folder import Folder, Row
from attnzoo.report.plots.estimates import estimate
from attnzoo.report.plots.gaps import and_gaps, failed
from attnzoo.report.plots.measures import TABLE, Measure, measures
from attnzoo.report.plots.plot import Drawn, LeftOut, Sketch
from attnzoo.report.plots.style import PAGE, SMALL, number, page, wrapped

NAME = "sizes"
REFERENCE = "[4,4,4]"
"""The size that the paper found best."""


def draw(folder: Folder) -> Iterator[Drawn]:
    """One heat map: a row a size, a column a score."""
    rows = folder.tables["table3"].rows if "table3" in folder.tables else ()
    base = next((row for row in rows if _size(folder, row) == REFERENCE), None)
    if base is None or not folder.records_of(base.cell):
        yield LeftOut(NAME, f"the third table has no finished row of size {REFERENCE}")
        return
    shown = [m for m in measures(TABLE) if estimate(folder.records_of(base.cell), m.key)]
    change, words = _changes(folder, rows, base, shown)
    yield _sketch(folder, rows, shown, change, words)


def _changes(
    folder: Folder, rows: Sequence[Row], base: Row, shown: Sequence[Measure]
) -> tuple[list[list[float]], list[list[str]]]:
    """How much better each score is than the base's, in per cent, and value and change in words."""
    change, words = [], []
    for row in rows:
        numbers, texts = [], []
        for measure in shown:
            value = estimate(folder.records_of(row.cell), measure.key)
            before = estimate(folder.records_of(base.cell), measure.key)
            assert before is not None  # `shown` has only scores that the base has
            better = np.nan if value is None else gain(measure, value.value, before.value)
            numbers.append(better)
            said = f"{better:+.1f} %".replace("-", "−")
            texts.append(
                "–" if value is None else number(value.value) if row == base
                else f"{number(value.value)}\n{said}"
            )  # fmt: skip
        change.append(numbers)
        words.append(texts)
    return change, words


def gain(measure: Measure, value: float, before: float) -> float:
    """By how many per cent of `before` a score is better; negative where it is worse."""
    if before == 0:
        return float("nan")
    return 100 * (measure.badness(before) - measure.badness(value)) / abs(before)


def _sketch(
    folder: Folder,
    rows: Sequence[Row],
    shown: Sequence[Measure],
    change: list[list[float]],
    words: list[list[str]],
) -> Sketch:
    figure = page(PAGE, 0.95 + 0.42 * len(rows))
    axes = figure.subplots()
    limit = float(np.nanmax(np.abs(change))) or 1.0
    sns.heatmap(
        pd.DataFrame(change), annot=pd.DataFrame(words), fmt="", cmap="PuOr", center=0,
        vmin=-limit, vmax=limit, linewidths=0.8, annot_kws={"size": SMALL},
        cbar_kws={"label": "better [%]", "pad": 0.01}, ax=axes,
    )  # fmt: skip
    axes.set_facecolor("0.92")
    for y, values in enumerate(change):
        for x, value in enumerate(values):
            if np.isnan(value):
                axes.text(x + 0.5, y + 0.5, "–", ha="center", va="center")
    titles = [f"{wrapped(m.label, 12)} {m.better.arrow}" for m in shown]
    axes.set_xticks([i + 0.5 for i in range(len(shown))], titles, rotation=0)
    names = [_size(folder, row) or row.label for row in rows]
    axes.set_yticks([i + 0.5 for i in range(len(rows))], names, rotation=0)
    axes.tick_params(length=0)
    axes.xaxis.tick_top()
    best = [
        f"{m.label}: {names[int(np.nanargmax([line[i] for line in change]))]}"
        for i, m in enumerate(shown)
    ]
    return Sketch(
        name=NAME,
        title="Subspace sizes",
        caption=and_gaps(
            f"Each score's value, and by how many per cent it is better than size {REFERENCE}'s: "
            "violet better, orange worse. Means over videos and seeds; a change may lie within "
            "its interval, which the third table's interval plot shows.",
            [f"{row.label} {why}" for row in rows if (why := failed(folder, row.cell))],
            folder,
        ),
        alt=f"Heat map of subspace sizes and scores. Best size by {'; by '.join(best)}.",
        figure=figure,
    )


def _size(folder: Folder, row: Row) -> str:
    return folder.cells[row.cell].setting("size", "").replace(" ", "")
