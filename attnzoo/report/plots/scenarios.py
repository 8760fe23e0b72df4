"""The four scenarios as bars: person and pose seen in training or not, for each method."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Patch

from attnzoo.metrics.statistics import Interval
from attnzoo.report.folder import Row
from attnzoo.report.measures import Measure
from attnzoo.report.plots.data import Data, measures, reach
from attnzoo.report.plots.plot import Drawn, LeftOut, Sketch
from attnzoo.report.plots.style import COLOURS, PAGE, WIDEST, nothing, page, place
from attnzoo.report.plots.words import axis, number, wrapped

NAME = "scenarios"
SCORES = ("embedded_perceptual", "l1_body", "warp_error_1", "warp_error_4")
"""Scores with a value per video, for which less is better, so that bars may start at 0."""
_HATCHES = ("", "////", "....", "xxxx", "\\\\\\\\", "++++", "oo")

Bars = Mapping[str, Sequence[Interval | None]]
"""By row label, in the order of the scenarios."""


def draw(data: Data) -> Iterator[Drawn]:
    """Two by two panels, a group of bars a scenario."""
    tables = data.folder.tables
    rows = tables["table4"].rows if "table4" in tables else ()
    scenarios = scenarios_of(data, rows)
    if not scenarios:
        yield LeftOut(NAME, "the fourth table has no finished row whose clips have scenarios")
        return
    figure = page(PAGE, 3.9)
    panels = figure.subplots(2, 2)
    said = []
    for axes, measure in zip(panels.flat, measures(SCORES), strict=True):
        bars = {
            row.label: [data.estimate(row.cell, measure.key, s) for s in scenarios] for row in rows
        }
        _panel(axes, bars, measure)
        names = [scenario.replace(", ", "\n") for scenario in scenarios]
        axes.set_xticks(range(len(scenarios)), names)
        said.append(_rise(bars, scenarios, measure))
    patches = [Patch(label=wrapped(row.label, WIDEST), **_look(i)) for i, row in enumerate(rows)]
    place(figure, patches, 5, 2.0)
    yield Sketch(
        name=NAME,
        title="The four scenarios",
        caption=data.and_gaps(
            "Scores by what of person and pose was seen in training, simplest scenario left; mean "
            "and 95 % interval over seeds, of the scenario's videos. Distances of sets are not "
            "shown: a scenario has too few videos for them.",
            data.failures(rows),
        ),
        alt=f"Bars by scenario and method. {'; '.join(said)}.",
        figure=figure,
    )


def scenarios_of(data: Data, rows: Sequence[Row]) -> list[str]:
    """All scenarios that clips of the rows belong to, from the simplest to the most complex."""
    found = {
        scenario
        for row in rows
        for record in data.folder.records_of(row.cell).values()
        for scenario in record["sampling"]["scenarios"]
        if scenario
    }
    return sorted(found, key=complexity)


def complexity(scenario: str) -> tuple[bool, bool, str]:
    """An order: an unseen person is harder than an unseen pose, as section 5.2 has it."""
    return "unseen person" in scenario, "unseen pose" in scenario, scenario


def _look(i: int) -> dict[str, Any]:
    return {
        "facecolor": COLOURS[1 + i % (len(COLOURS) - 1)], "hatch": _HATCHES[i % len(_HATCHES)],
        "edgecolor": "white", "linewidth": 0.3,
    }  # fmt: skip


def _panel(axes: Axes, bars: Bars, measure: Measure) -> None:
    axes.set_title(axis(measure))
    axes.grid(visible=False, axis="x")
    if not any(any(found) for found in bars.values()):
        nothing(axes, f"no record has {measure.name}")
        return
    width = 0.84 / len(bars)
    for i, found in enumerate(bars.values()):
        offset = (i - (len(bars) - 1) / 2) * width
        for at, value in enumerate(found):
            if value is None:
                axes.text(at + offset, 0, "–", ha="center", va="bottom")
                continue
            axes.bar(at + offset, value.value, width, **_look(i))
            axes.errorbar(
                at + offset, value.value, yerr=reach(value), fmt="none", color="0.2",
                elinewidth=0.8,
            )  # fmt: skip


def _rise(bars: Bars, scenarios: Sequence[str], measure: Measure) -> str:
    """The means over methods in the simplest and the most complex scenario, in words."""
    ends = []
    for i in (0, -1):
        known = [value.value for found in bars.values() if (value := found[i]) is not None]
        ends.append(f"{number(float(np.mean(known))) if known else 'nothing'} for {scenarios[i]}")
    return f"{measure.name}, mean of methods: {ends[0]}, {ends[1]}"
