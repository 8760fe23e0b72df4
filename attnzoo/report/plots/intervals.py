"""Interval plots of the tables: each row's paired gain over the row that it is tested against."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from attnzoo.metrics.statistics import Interval
from attnzoo.report.folder import Row, TableRows
from attnzoo.report.measures import Measure
from attnzoo.report.plots.data import Data, in_percent, kin, measures, reach
from attnzoo.report.plots.overview import GAINS, SHORT
from attnzoo.report.plots.plot import Drawn, LeftOut, Sketch
from attnzoo.report.plots.style import ACCENT, FAINT, PAGE, SMALL, nothing, page
from attnzoo.report.plots.words import percent, wrapped
from attnzoo.report.references import NOISE_CAMERA, corner, kind, references

TABLES = ("table1", "table2", "table3", "table5", "table6")
"""The fourth table's rows are scenarios; they have bars of their own."""
LONG = 20
"""From so many lines on a table has one strip of panels and not two."""
REFERENCE = "the reference itself"
"""The method of its interval, which it has none of."""


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


def references_of(data: Data, table: TableRows) -> list[str | None]:
    """The cell that each row is tested against, itself where it is a reference.

    None of a row of the sixth table that has no `none` of the same noise and camera.
    """
    cells = [row.cell for row in table.rows]
    if table.name != NOISE_CAMERA:
        return [cells[i] for i in references(data.folder, table)]
    bare = {corner(data.folder, c): c for c in cells if kind(data.folder, c) == "none"}
    return [bare.get(corner(data.folder, cell)) for cell in cells]


def _sketch(data: Data, table: TableRows) -> Sketch:
    lines = lines_of(table)
    shown = measures(GAINS if len(lines) < LONG else SHORT)
    strips = 2 if len(lines) < LONG else 1
    against = dict(zip(table.rows, references_of(data, table), strict=True))
    texts = [_label(line, against) for line in lines]
    places = places_of(texts)
    figure = page(PAGE, 0.2 + strips * (0.42 + 0.155 * (places[-1] + 0.5)))
    panels = figure.subplots(strips, len(shown) // strips, sharey=True, squeeze=False)
    rows = {y: line.row for y, line in zip(places, lines, strict=True) if line.row is not None}
    for axes, measure in zip(panels.flat, shown, strict=True):
        axes.set_title(wrapped(measure.name, 22 if strips > 1 else 18), fontsize=SMALL)
        _panel(axes, _gains(data, rows, against, measure))
        _ranks(axes, {y: data.published_rank(table.name, row, measure) for y, row in rows.items()})
    for axes in panels[:, 0]:
        axes.set_yticks(places, texts)
        axes.set_ylim(places[-1] + 0.7, places[0] - 0.7)
        for label, line in zip(axes.get_yticklabels(), lines, strict=True):
            if line.row is None:
                label.set_fontweight("bold")
    figure.supxlabel("gain over the reference [%], right of the line is better", fontsize=SMALL)
    return Sketch(
        name=f"intervals-{table.name}",
        title=f"{table.name[:-1].capitalize()} {table.name[-1]}: {table.title}",
        caption=data.and_gaps(
            _said(data, against) + _ranked(data, table, shown),
            data.failures(table.rows) + _unscored(data, table, shown),
        ),
        alt=f"Interval plots of {table.title}. Largest gains: "
        f"{'; '.join(_best(data, against, shown)) or 'none'}.",
        figure=figure,
    )


def _label(line: Line, against: Mapping[Row, str | None]) -> str:
    if line.row is None:
        return wrapped(line.text, 36)
    is_reference = against[line.row] == line.row.cell
    return wrapped(f"{line.text} (reference)" if is_reference else line.text, 26)


def _said(data: Data, against: Mapping[Row, str | None]) -> str:
    """What is drawn, in words."""
    own = [row.name for row, cell in against.items() if row.cell == cell]
    each = "of its group" if len(own) > 1 else f"({', '.join(own)})"
    interval = (
        "95 % intervals over seeds, by Student's t of the ratio's logarithm, not corrected for "
        "how many are shown, as the marks of the tables are."
        if len(data.folder.seeds) > 1
        else "One seed has no interval."
    )
    return (
        "By which share each row's badness is less than that of the reference row "
        f"{each}, open at 0, on the same videos of each seed: right of the line is better "
        "(likenesses count by what they lack to 1). Paired, so that how hard the videos are, "
        f"which all rows share, falls out. {interval}"
    )


def _gains(
    data: Data, rows: Mapping[float, Row], against: Mapping[Row, str | None], measure: Measure
) -> dict[float, Interval | None]:
    """By the place of its line each row's gain, in per cent; of a reference 0 without interval."""
    found: dict[float, Interval | None] = {}
    for y, row in rows.items():
        reference = against[row]
        if reference == row.cell and data.estimate(row.cell, measure.key) is not None:
            found[y] = Interval(0.0, None, None, 0, REFERENCE)
            continue
        gain = None if reference is None else data.gain(row.cell, reference, measure.key)
        found[y] = None if gain is None or reference == row.cell else in_percent(gain)
    return found


def _panel(axes: Axes, gains: Mapping[float, Interval | None]) -> None:
    if not any(gains.values()):
        nothing(axes, "no values")
        axes.set_xticks([])
        return
    axes.axvline(0, color="0.4", linewidth=0.8, zorder=1)
    for y, value in gains.items():
        if value is None:
            beside(axes, 0.5, y, "–", "center")
            continue
        is_reference = value.method == REFERENCE
        axes.errorbar(
            value.value, y, xerr=None if is_reference else reach(value), fmt="o", color=ACCENT,
            markerfacecolor="white" if is_reference else ACCENT, markersize=3.5, elinewidth=1,
            capsize=1.5,
        )  # fmt: skip
    axes.margins(x=0.1)
    axes.xaxis.set_major_locator(MaxNLocator(4, steps=[1, 2, 5, 10]))


def _ranks(axes: Axes, ranks: Mapping[float, int | None]) -> None:
    """The paper's ranks at the right, if there are any, in room of their own."""
    if not any(ranks.values()):
        return
    low, high = axes.get_xlim()
    axes.set_xlim(low, high + 0.2 * (high - low))
    for y, rank in ranks.items():
        if rank is not None:
            beside(axes, 0.98, y, f"#{rank}", "right")


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


def beside(axes: Axes, x: float, y: float, text: str, align: str) -> None:
    """Faint words in a line: `x` is a share of the panel's width, `y` the line's place."""
    axes.text(
        x, y, text, transform=axes.get_yaxis_transform(), ha=align, va="center", color=FAINT,
        fontsize=SMALL,
    )  # fmt: skip


def _best(data: Data, against: Mapping[Row, str | None], shown: Sequence[Measure]) -> Iterator[str]:
    """The row of the largest gain by each measure."""
    for measure in shown:
        gains = [
            (found.value, row.name)
            for row, cell in against.items()
            if cell is not None and cell != row.cell
            if (found := data.gain(row.cell, cell, measure.key)) is not None
        ]
        if gains:
            value, name = max(gains)
            yield f"{measure.name} {name} {percent(value)}"
