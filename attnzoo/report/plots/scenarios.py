"""The four scenarios as bars: person and pose seen in training or not, for each method."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Patch

from attnzoo.report.folder import Folder, Row
from attnzoo.report.plots.estimates import Estimate, estimate
from attnzoo.report.plots.gaps import and_gaps, failed
from attnzoo.report.plots.measures import Measure, measures
from attnzoo.report.plots.plot import Drawn, LeftOut, Sketch
from attnzoo.report.plots.style import PAGE, marks, nothing, page

NAME = "scenarios"
SCORES = ("embedded_perceptual", "l1_body", "warp_error_1", "warp_error_4")
"""Scores with a value per video, for which less is better, so that bars may start at 0."""
_HATCHES = ("", "////", "....", "xxxx", "\\\\\\\\", "++++", "oo")


def draw(folder: Folder) -> Iterator[Drawn]:
    """Two by two panels, a group of bars a scenario."""
    rows = folder.tables["table4"].rows if "table4" in folder.tables else ()
    scenarios = scenarios_of(folder, rows)
    if not scenarios:
        yield LeftOut(NAME, "the fourth table has no finished row whose clips have scenarios")
        return
    looks = marks([row.cell for row in rows])
    figure = page(PAGE, 3.9 + 0.14 * -(-len(rows) // 4))
    panels = figure.subplots(2, 2)
    for axes, measure in zip(panels.flat, measures(SCORES), strict=True):
        values = {
            row.cell: [estimate(folder.records_of(row.cell), measure.key, s) for s in scenarios]
            for row in rows
        }
        _panel(axes, values, measure, {cell: look.colour for cell, look in looks.items()})
        names = [scenario.replace(", ", ",\n") for scenario in scenarios]
        axes.set_xticks(range(len(scenarios)), names)
    figure.legend(
        handles=[
            Patch(facecolor=looks[row.cell].colour, hatch=_HATCHES[i % len(_HATCHES)],
                  edgecolor="white", linewidth=0.3, label=row.label)
            for i, row in enumerate(rows)
        ],
        loc="outside lower center", ncols=min(5, len(rows)), frameon=False,
    )  # fmt: skip
    yield Sketch(
        name=NAME,
        title="The four scenarios",
        caption=and_gaps(
            "Scores by what of person and pose was seen in training, simplest scenario left; mean "
            "and 95 % interval over the scenario's videos and all seeds. Distances of sets are "
            "not shown: a scenario has too few videos for them.",
            [f"{row.label} {why}" for row in rows if (why := failed(folder, row.cell))],
            folder,
        ),
        alt="Bars by scenario and method. "
        + "; ".join(_rise(folder, rows, scenarios, m) for m in measures(SCORES))
        + ".",
        figure=figure,
    )


def scenarios_of(folder: Folder, rows: Sequence[Row]) -> list[str]:
    """All scenarios that clips of the rows belong to, from the simplest to the most complex."""
    found = {
        scenario
        for row in rows
        for record in folder.records_of(row.cell).values()
        for scenario in record["sampling"]["scenarios"]
        if scenario
    }
    return sorted(found, key=complexity)


def complexity(scenario: str) -> tuple[bool, bool, str]:
    """An order: an unseen person is harder than an unseen pose, as section 5.2 has it."""
    return "unseen person" in scenario, "unseen pose" in scenario, scenario


def _panel(
    axes: Axes,
    values: Mapping[str, Sequence[Estimate | None]],
    measure: Measure,
    colours: Mapping[str, str],
) -> None:
    axes.set_title(measure.axis)
    axes.grid(visible=False, axis="x")
    if not any(any(found) for found in values.values()):
        nothing(axes, f"no record has {measure.label}")
        return
    width = 0.84 / len(values)
    for i, (cell, found) in enumerate(values.items()):
        offset = (i - (len(values) - 1) / 2) * width
        for place, value in enumerate(found):
            if value is None:
                axes.text(place + offset, 0, "–", ha="center", va="bottom")
                continue
            axes.bar(
                place + offset, value.value, width, color=colours[cell], edgecolor="white",
                linewidth=0.3, hatch=_HATCHES[i % len(_HATCHES)],
            )  # fmt: skip
            axes.errorbar(
                place + offset, value.value, yerr=value.reach, fmt="none", color="0.3",
                elinewidth=0.8,
            )  # fmt: skip


def _rise(folder: Folder, rows: Sequence[Row], scenarios: Sequence[str], measure: Measure) -> str:
    ends = [
        [estimate(folder.records_of(row.cell), measure.key, scenario) for row in rows]
        for scenario in (scenarios[0], scenarios[-1])
    ]
    means = [np.mean([v.value for v in found if v is not None] or [np.nan]) for found in ends]
    return (
        f"{measure.label}, mean of methods: {means[0]:.3g} for {scenarios[0]}, {means[1]:.3g} for "
        f"{scenarios[-1]}"
    )
