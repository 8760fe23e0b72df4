"""Scores by the number of denoising steps, and by the number of training steps."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes

from attnzoo.report.measures import Measure
from attnzoo.report.plots.data import Data, mean, measures, reach
from attnzoo.report.plots.overview import OVERVIEW
from attnzoo.report.plots.plot import Drawn, LeftOut, Sketch
from attnzoo.report.plots.style import PAGE, Mark, legend, marks, nothing, page
from attnzoo.report.plots.words import axis, number, wrapped

_KINDS = {
    "denoising": ("denoising steps", "Scores by denoising steps", "with the finished weights"),
    "training": ("training steps", "Scores by training steps", "with the weights of that step"),
}
_STAGES = "The thin line is the end of stage 1; the last point lies after stage 2. "
APART = 0.022
"""By which share of the axis neighbouring series are moved apart, so that bars do not cover."""

Curves = Mapping[str, Mapping[str, Any]]
"""By cell: `steps`, and as many `scores` by name."""


def draw(data: Data) -> Iterator[Drawn]:
    """A plot for each kind of steps, of the cells that have curves."""
    for kind, (steps, title, how) in _KINDS.items():
        name = f"scores-by-{kind}-steps"
        given = {cell: ordered(c[kind]) for cell, c in data.folder.curves.items() if c.get(kind)}
        curves = {cell: curve for cell, curve in given.items() if curve["steps"]}
        if not curves:
            yield LeftOut(name, f"no cell has scores by {steps} (curves/)")
            continue
        looks = marks(list(curves))
        figure = page(PAGE, 2.25)
        panels = figure.subplots(1, len(OVERVIEW))
        ends = _ends(data, curves) if kind == "training" else []
        for axes, measure in zip(panels, measures(OVERVIEW), strict=True):
            _panel(axes, curves, measure, looks)
            axes.set_xlabel(steps)
            axes.set_title(wrapped(axis(measure), 34))
            for end in ends:
                axes.axvline(end, color="0.5", linewidth=0.6, zorder=1)
        legend(figure, [(data.folder.cells[cell].label, looks[cell]) for cell in curves])
        yield Sketch(
            name=name,
            title=title,
            caption=data.and_gaps(
                f"Three scores over the number of {steps}, {how}; {_videos(curves)}one seed. "
                + (_STAGES if ends else "")
                + "Bars are 95 % intervals over its videos, where a score has a value per video; "
                "series are moved apart a little."
            ),
            alt=f"{title}: {'; '.join(_trends(data, curves))}.",
            figure=figure,
        )


def ordered(curve: Mapping[str, Any]) -> Mapping[str, Any]:
    """The curve by rising steps, without a step 0: it has no place on a logarithmic axis."""
    points = zip(curve["steps"], curve["scores"], strict=True)
    kept = sorted((point for point in points if point[0] > 0), key=lambda point: int(point[0]))
    return {"steps": [step for step, _ in kept], "scores": [scores for _, scores in kept]}


def _ends(data: Data, curves: Curves) -> list[int]:
    """The steps of stage 1, by the records, where the curves go on after them."""
    last = max(curve["steps"][-1] for curve in curves.values())
    stages = {
        record["training"]["stage1"]["steps"]
        for cell in curves
        for record in data.folder.records_of(cell).values()
    }
    return sorted(end for end in stages if 0 < end < last)


def _videos(curves: Curves) -> str:
    """Of how many videos the curves are, in words; nothing where no score has a value of each."""
    counts = {
        len(score["clips"])
        for curve in curves.values()
        for scores in curve["scores"]
        for score in scores.values()
        if score.get("clips")
    }
    told = " or ".join(map(str, sorted(counts)))
    return f"{told} video{'s' * (told != '1')} of " if counts else ""


def _panel(axes: Axes, curves: Curves, measure: Measure, looks: Mapping[str, Mark]) -> None:
    steps = sorted({step for curve in curves.values() for step in curve["steps"]})
    axes.set_xscale("log")
    axes.set_xticks(steps, [str(step) for step in steps])
    axes.set_xticks([], minor=True)
    ratio = (steps[-1] / steps[0]) ** APART
    some = False
    for i, (cell, curve) in enumerate(curves.items()):
        points = [
            (step, score)
            for step, scores in zip(curve["steps"], curve["scores"], strict=True)
            if (score := scores.get(measure.key)) and score["value"] is not None
        ]
        some = some or bool(points)
        shift = ratio ** (i - (len(curves) - 1) / 2)
        x, y, look = [s * shift for s, _ in points], [s["value"] for _, s in points], looks[cell]
        axes.plot(x, y, color=look.colour, marker=look.marker, linestyle=look.line)
        for at, (_, score) in zip(x, points, strict=True):
            spread = mean([float(v) for v in score.get("clips", []) if v is not None])
            if spread is not None:
                axes.errorbar(
                    at, score["value"], yerr=reach(spread), color=look.colour, elinewidth=0.6,
                    fmt="none",
                )  # fmt: skip
    if not some:
        nothing(axes, f"no curve has {measure.name}")


def _trends(data: Data, curves: Curves) -> Sequence[str]:
    """First and last value of the video's coherence, by cell."""
    measure = measures(OVERVIEW)[-1]
    lines = []
    for cell, curve in curves.items():
        first, last = (curve["scores"][i].get(measure.key, {}).get("value") for i in (0, -1))
        if first is not None and last is not None:
            lines.append(
                f"{measure.name} of {data.folder.cells[cell].label} goes from {number(first)} at "
                f"{curve['steps'][0]} steps to {number(last)} at {curve['steps'][-1]}"
            )
    return lines
