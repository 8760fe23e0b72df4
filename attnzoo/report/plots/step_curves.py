"""Scores by the number of denoising steps, and by the number of training steps."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes

from attnzoo.report.folder import Folder
from attnzoo.report.plots.estimates import of_clips
from attnzoo.report.plots.gaps import and_gaps
from attnzoo.report.plots.measures import OVERVIEW, Measure, measures
from attnzoo.report.plots.plot import Drawn, LeftOut, Sketch
from attnzoo.report.plots.style import PAGE, Mark, legend, marks, nothing, page

_KINDS = {
    "denoising": ("denoising steps", "Scores by denoising steps", "with the finished weights"),
    "training": ("steps of stage 1", "Scores by training steps", "with the weights of that step"),
}
APART = 0.022
"""By which share of the axis neighbouring series are moved apart, so that bars do not cover."""


def draw(folder: Folder) -> Iterator[Drawn]:
    """A plot for each kind of steps, of the cells that have curves."""
    for kind, (axis, title, how) in _KINDS.items():
        name = f"scores-by-{kind}-steps"
        curves = {
            cell: curve[kind] for cell, curve in folder.curves.items() if curve.get(kind)
        }
        if not curves:
            yield LeftOut(name, f"no cell has scores by {axis} (curves/)")
            continue
        looks = marks(list(curves))
        figure = page(PAGE, 2.3 + 0.14 * -(-len(curves) // 4))
        panels = figure.subplots(1, len(OVERVIEW))
        for axes, measure in zip(panels, measures(OVERVIEW), strict=True):
            _panel(axes, curves, measure, looks)
            axes.set(xlabel=axis, title=measure.axis)
        legend(figure, [(folder.cells[cell].label, looks[cell]) for cell in curves])
        yield Sketch(
            name=name,
            title=title,
            caption=and_gaps(
                f"Three scores over the number of {axis}, {how}; one seed. Bars are 95 % "
                "intervals over its videos, where a score has a value per video; series are moved "
                "apart a little.",
                [],
                folder,
            ),
            alt=f"{title}: {'; '.join(_trends(folder, curves))}.",
            figure=figure,
        )


def _panel(
    axes: Axes, curves: Mapping[str, Mapping[str, Any]], measure: Measure, looks: Mapping[str, Mark]
) -> None:
    steps = sorted({step for curve in curves.values() for step in curve["steps"]})
    axes.set_xscale("log")
    axes.set_xticks(steps, [str(step) for step in steps])
    axes.set_xticks([], minor=True)
    ratio = (steps[-1] / steps[0]) ** APART if len(steps) > 1 else 1.0
    some = False
    for i, (cell, curve) in enumerate(curves.items()):
        shift, mark = ratio ** (i - (len(curves) - 1) / 2), looks[cell]
        points = [
            (step * shift, score["value"], of_clips(_known(score)))
            for step, scores in zip(curve["steps"], curve["scores"], strict=True)
            if (score := scores.get(measure.key)) and score["value"] is not None
        ]
        if not points:
            continue
        some = True
        x, y = [p[0] for p in points], [p[1] for p in points]
        axes.plot(x, y, color=mark.colour, marker=mark.marker, linestyle=mark.line)
        for at, value, spread in points:
            if spread is not None and spread.low is not None and spread.high is not None:
                # The bar is that of the mean of the clips, which a score of clips is.
                axes.errorbar(
                    at, value, yerr=spread.reach, color=mark.colour, elinewidth=0.6, fmt="none"
                )
    if not some:
        nothing(axes, f"no curve has {measure.label}")


def _known(score: Mapping[str, Any]) -> list[float]:
    return [float(value) for value in score.get("clips", []) if value is not None]


def _trends(folder: Folder, curves: Mapping[str, Mapping[str, Any]]) -> Sequence[str]:
    """First and last value of the video's coherence, by cell."""
    lines = []
    for cell, curve in curves.items():
        ends = [curve["scores"][i].get(OVERVIEW[-1]) for i in (0, -1)]
        values = [end["value"] if end else None for end in ends]
        if None not in values:
            first, last = curve["steps"][0], curve["steps"][-1]
            lines.append(
                f"{folder.cells[cell].label} from {values[0]:.3g} at {first} steps to "
                f"{values[1]:.3g} at {last} in {measures(OVERVIEW)[-1].label}"
            )
    return lines
