"""Interval plots of the tables: each score's mean and 95 % interval, row by row."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes

from attnzoo.metrics.statistics import Interval
from attnzoo.report.folder import Row, TableRows
from attnzoo.report.measures import Measure
from attnzoo.report.plots.data import Data, kin, least, measures, most, reach
from attnzoo.report.plots.overview import SHORT, TABLE
from attnzoo.report.plots.plot import Drawn, LeftOut, Sketch
from attnzoo.report.plots.style import ACCENT, FAINT, PAGE, SMALL, nothing, page
from attnzoo.report.plots.words import axis, number, wrapped

TABLES = ("table1", "table2", "table3", "table5", "table6")
"""The fourth table's rows are scenarios; they have bars of their own."""
LONG = 20
"""From so many lines on a table has one strip of panels and not two."""
COLUMNS = 5
SMALL_NUMBERS = 0.01
"""Where all are below it, a power of ten stands beside the axis: their digits would touch."""


@dataclass(frozen=True)
class Line:
    """One line of a plot: a row, or the heading of a group (without a row)."""

    text: str
    row: Row | None = None


def draw(data: Data) -> Iterator[Drawn]:
    """One plot a table, a panel a score."""
    for name in TABLES:
        table = data.folder.tables.get(name)
        if table is None or not any(data.folder.records_of(row.cell) for row in table.rows):
            yield LeftOut(f"intervals-{name}", f"{name} has no finished row")
            continue
        yield _sketch(data, table)


def lines_of(table: TableRows) -> list[Line]:
    """The rows of a table, with a heading before each group."""
    lines: list[Line] = []
    group = None
    for row in table.rows:
        if row.group is not None and row.group != group:
            lines.append(Line(row.group))
        group = row.group
        lines.append(Line(row.label, row))
    return lines


def places_of(texts: Sequence[str]) -> list[float]:
    """The height of each line's middle, so that two rows of text have room for both."""
    heights = np.array([0.3 + 0.75 * (1 + text.count("\n")) for text in texts])
    return [float(place) for place in heights.cumsum() - heights / 2]


def _sketch(data: Data, table: TableRows) -> Sketch:
    lines = lines_of(table)
    shown = measures(TABLE if len(lines) < LONG else SHORT)
    strips = -(-len(shown) // COLUMNS)
    texts = [wrapped(line.text, 24 if line.row else 36) for line in lines]
    places = places_of(texts)
    figure = page(PAGE, strips * (0.5 + 0.155 * (places[-1] + 0.5)))
    panels = figure.subplots(strips, COLUMNS, sharey=True, squeeze=False)
    for axes, measure in zip(panels.flat, shown, strict=False):
        _panel(axes, data, table, dict(zip(places, lines, strict=True)), measure)
    for axes in panels.flat[len(shown) :]:
        axes.set_visible(False)
    for axes in panels[:, 0]:
        axes.set_yticks(places, texts)
        axes.set_ylim(places[-1] + 0.7, places[0] - 0.7)
        for label, line in zip(axes.get_yticklabels(), lines, strict=True):
            if line.row is None:
                label.set_fontweight("bold")
    return Sketch(
        name=f"intervals-{table.name}",
        title=f"{table.name[:-1].capitalize()} {table.name[-1]}: {table.title}",
        caption=data.and_gaps(
            "Mean and 95 % interval over seeds; dotted, the same measure of the real "
            "clips where it is not trivial, or its value below where that lies far off."
            + _ranked(data, table, shown),
            data.failures(table.rows) + _unscored(data, table, shown),
        ),
        alt=f"Interval plots of {table.title}. Best: {'; '.join(_best(data, table, shown))}.",
        figure=figure,
    )


def _ranked(data: Data, table: TableRows, shown: Sequence[Measure]) -> str:
    """What the ranks in the panels are, in words; nothing if there are none."""
    by = [
        f"{metric} beside {m.name}"
        for m in shown
        if (metric := kin(table.name, m))
        and any(data.published_rank(table.name, row, m) for row in table.rows)
    ]
    if not by:
        return ""
    return (
        f" At the right (#) the rank that the paper gives the row, by {', '.join(by)}: they ask "
        "for the same thing in other ways and of other videos, so ranks compare, values do not."
    )


def _unscored(data: Data, table: TableRows, shown: Sequence[Measure]) -> list[str]:
    """The measures that no row has a value of, with the reason."""
    found = []
    for measure in shown:
        samples = [data.scores.sample(row.cell, measure.key) for row in table.rows]
        if not any(len(sample.values) for sample in samples):
            found.append(f"{measure.name} ({samples[0].reason})")
    return found


def _panel(
    axes: Axes, data: Data, table: TableRows, lines: Mapping[float, Line], measure: Measure
) -> None:
    axes.set_title(wrapped(axis(measure), 18), fontsize=SMALL)
    rows = {y: line.row for y, line in lines.items() if line.row is not None}
    found = {y: data.estimate(row.cell, measure.key) for y, row in rows.items()}
    if not any(found.values()):
        nothing(axes, "no values")
        axes.set_xticks([])
        return
    for y, value in found.items():
        if value is not None:
            axes.errorbar(
                value.value, y, xerr=reach(value), fmt="o", color=ACCENT, markersize=3,
                elinewidth=1, capsize=1.5,
            )  # fmt: skip
        else:
            beside(axes, 0.5, y, "–", "center")
    _real(axes, data, table, measure, [value for value in found.values() if value is not None])
    axes.locator_params(axis="x", nbins=3)
    if max(map(abs, axes.get_xlim())) < SMALL_NUMBERS:
        axes.ticklabel_format(axis="x", style="sci", scilimits=(0, 0))
    axes.margins(x=0.1)
    ranks = {y: data.published_rank(table.name, row, measure) for y, row in rows.items()}
    if any(ranks.values()):
        low, high = axes.get_xlim()
        axes.set_xlim(low, high + 0.22 * (high - low))
    for y, rank in ranks.items():
        if rank is not None:
            beside(axes, 0.98, y, f"#{rank}", "right")


def beside(axes: Axes, x: float, y: float, text: str, align: str) -> None:
    """Faint words in a line: `x` is a share of the panel's width, `y` the line's place."""
    axes.text(
        x, y, text, transform=axes.get_yaxis_transform(), ha=align, va="center", color=FAINT,
        fontsize=SMALL,
    )  # fmt: skip


def _real(
    axes: Axes, data: Data, table: TableRows, measure: Measure, found: Sequence[Interval]
) -> None:
    """The same measure of the real clips, if one kind of clips is in the table.

    A dotted line, or a number below the panel where the line would push all rows together.
    """
    reals = [data.real(row.cell, measure.key) for row in table.rows]
    known = [real for real in reals if real is not None]
    if not known or np.ptp(known) > 0.02 * abs(np.mean(known)):
        return
    real = float(np.mean(known))
    low, high = min(least(one) for one in found), max(most(one) for one in found)
    if low - (high - low) <= real <= high + (high - low):
        axes.axvline(real, color="0.3", linestyle=":", linewidth=0.8)
    else:
        axes.set_xlabel(f"real clips: {number(real)}", color=FAINT)


def _best(data: Data, table: TableRows, shown: Sequence[Measure]) -> list[str]:
    best = []
    for measure in shown:
        values = [
            (bad, row.name)
            for row in table.rows
            if (bad := data.scores.badness(row.cell, measure.key)) is not None
        ]
        if values:
            best.append(f"{measure.name} {min(values)[1]}")
    return best
