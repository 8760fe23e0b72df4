"""Interval plots of the tables: each score's mean and 95 % interval, row by row."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes

from attnzoo.report.folder import Folder, Row, TableRows
from attnzoo.report.plots.estimates import estimate
from attnzoo.report.plots.gaps import and_gaps, failed
from attnzoo.report.plots.measures import TABLE, Measure, measures
from attnzoo.report.plots.paper_ranks import rank
from attnzoo.report.plots.plot import Drawn, LeftOut, Sketch
from attnzoo.report.plots.style import ACCENT, FAINT, NORMAL, PAGE, SMALL, nothing, page, wrapped

TABLES = ("table1", "table2", "table3", "table5", "table6")
"""The fourth table's rows are scenarios; they have bars of their own."""
SHORT = ("embedded_perceptual", "l1_body", "fd_embedded_video", "warp_error_1", "ghosting")
"""The scores of a table that is too long for two strips on a page."""
LONG = 20
COLUMNS = 5


@dataclass(frozen=True)
class Line:
    """One line of a plot: a row, or the heading of a group (without a row)."""

    text: str
    row: Row | None = None


def draw(folder: Folder) -> Iterator[Drawn]:
    """One plot a table, a panel a score."""
    for name in TABLES:
        table = folder.tables.get(name)
        if table is None or not any(folder.records_of(row.cell) for row in table.rows):
            yield LeftOut(f"intervals-{name}", f"{name} has no finished row")
            continue
        yield _sketch(folder, table)


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


def _sketch(folder: Folder, table: TableRows) -> Sketch:
    lines = lines_of(table)
    keys = SHORT if len(lines) > LONG else TABLE
    shown = measures(keys)
    strips = -(-len(shown) // COLUMNS)
    texts = [wrapped(line.text, 26) for line in lines]
    tall = sum(1 + text.count("\n") for text in texts)
    figure = page(PAGE, strips * (0.5 + 0.135 * max(tall, len(lines) * 1.15)))
    panels = figure.subplots(strips, COLUMNS, sharey=True, squeeze=False)
    for axes, measure in zip(panels.flat, shown, strict=False):
        _panel(axes, folder, table, lines, measure)
    for axes in panels.flat[len(shown) :]:
        axes.set_visible(False)
    for axes in panels[:, 0]:
        _name_lines(axes, lines, texts)
    ranked = any(rank(folder, table.name, row, m) for row in table.rows for m in shown)
    published = (
        " At the right the rank published for the same row: by FID, FVD, SSIM, PSNR, LPIPS where "
        "the panel's score asks for the same thing; ranks compare, values do not."
        if ranked else ""
    )  # fmt: skip
    return Sketch(
        name=f"intervals-{table.name}",
        title=f"{table.name[:-1].capitalize()} {table.name[-1]}: {table.title}",
        caption=and_gaps(
            "Mean and 95 % interval over videos and seeds; dotted, the same measure of the real "
            f"clips where it is not trivial.{published}",
            [f"{row.label} {why}" for row in table.rows if (why := failed(folder, row.cell))],
            folder,
        ),
        alt=f"Interval plots of {table.title}. Best: {'; '.join(_best(folder, table, shown))}.",
        figure=figure,
    )


def _panel(
    axes: Axes, folder: Folder, table: TableRows, lines: Sequence[Line], measure: Measure
) -> None:
    axes.set_title(f"{wrapped(measure.axis, 19)}", fontsize=SMALL)
    found = [
        None if line.row is None else estimate(folder.records_of(line.row.cell), measure.key)
        for line in lines
    ]
    if not any(found):
        nothing(axes, f"no record has {measure.label}")
        axes.set_xticks([])
        return
    for y, (line, value) in enumerate(zip(lines, found, strict=True)):
        if value is not None:
            axes.errorbar(
                value.value, y, xerr=value.reach, fmt="o", color=ACCENT, markersize=3,
                elinewidth=1, capsize=1.5,
            )  # fmt: skip
        elif line.row is not None:
            axes.text(
                0.5, y, "–", transform=axes.get_yaxis_transform(), ha="center", va="center",
                color=FAINT,
            )  # fmt: skip
    _real(axes, folder, table, measure)
    axes.locator_params(axis="x", nbins=3)
    axes.margins(x=0.1)
    _ranks(axes, folder, table, lines, measure)


def _real(axes: Axes, folder: Folder, table: TableRows, measure: Measure) -> None:
    """A dotted line at the same measure of the real clips, if all rows share one."""
    reals = [
        record["scores"].get(measure.key, {}).get("real")
        for row in table.rows
        for record in folder.records_of(row.cell).values()
    ]
    known = [real for real in reals if real is not None]
    if known and len({row.group for row in table.rows}) == 1:
        axes.axvline(float(np.mean(known)), color="0.3", linestyle=":", linewidth=0.8)


def _ranks(
    axes: Axes, folder: Folder, table: TableRows, lines: Sequence[Line], measure: Measure
) -> None:
    texts = {
        y: f"#{place}"
        for y, line in enumerate(lines)
        if line.row is not None and (place := rank(folder, table.name, line.row, measure))
    }
    if not texts:
        return
    low, high = axes.get_xlim()
    axes.set_xlim(low, high + 0.22 * (high - low))
    for y, text in texts.items():
        axes.text(
            0.98, y, text, transform=axes.get_yaxis_transform(), ha="right", va="center",
            fontsize=SMALL, color=FAINT,
        )  # fmt: skip


def _name_lines(axes: Axes, lines: Sequence[Line], texts: Sequence[str]) -> None:
    axes.set_yticks(range(len(lines)), texts)
    axes.set_ylim(len(lines) - 0.5, -0.5)
    for label, line in zip(axes.get_yticklabels(), lines, strict=True):
        if line.row is None:
            label.set(fontweight="bold", fontsize=NORMAL - 1)


def _best(folder: Folder, table: TableRows, shown: Sequence[Measure]) -> list[str]:
    best = []
    for measure in shown:
        values = [
            (measure.badness(value.value), row.label)
            for row in table.rows
            if (value := estimate(folder.records_of(row.cell), measure.key)) is not None
        ]
        if values:
            best.append(f"{measure.label} {min(values)[1]}")
    return best
