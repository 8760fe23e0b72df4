"""Quality against cost, with the Pareto front, for latency and for memory."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.axes import Axes

from attnzoo.report.folder import Cell, Folder
from attnzoo.report.plots.estimates import Estimate, estimate
from attnzoo.report.plots.gaps import and_gaps
from attnzoo.report.plots.measures import OVERVIEW, Measure, measures
from attnzoo.report.plots.pareto import front
from attnzoo.report.plots.plot import Drawn, LeftOut, Sketch
from attnzoo.report.plots.style import PAGE, Mark, legend, marks, nothing, page

TABLES = ("table1", "table2", "table3", "table5")
"""Whose cells share one kind of data, so that their qualities compare."""


@dataclass(frozen=True)
class Cost:
    """A cost: its middle and range, in the unit of its axis."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class _Axis:
    name: str
    title: str
    label: str


_LATENCY = _Axis("latency", "latency", "one denoising step, a clip [ms]")
_MEMORY = _Axis("memory", "peak memory", "peak memory of a denoising step [MiB]")


def draw(folder: Folder) -> Iterator[Drawn]:
    """One plot for latency and one for memory; a panel for picture, video and coherence each."""
    cells = folder.cells_of(*TABLES)
    for axis in (_LATENCY, _MEMORY):
        name = f"quality-{axis.name}"
        costs = {c.id: _cost(folder.costs.get(c.id), axis) for c in cells}
        known = {cell: cost for cell, cost in costs.items() if cost is not None}
        shown = [c for c in cells if c.id in known and folder.records_of(c.id)]
        if not shown:
            yield LeftOut(name, f"no cell has both a measured {axis.title} and a record")
            continue
        yield _sketch(name, folder, shown, known, axis)


def _sketch(
    name: str, folder: Folder, cells: Sequence[Cell], costs: Mapping[str, Cost], axis: _Axis
) -> Sketch:
    looks = marks([cell.id for cell in folder.cells_of(*TABLES)])
    figure = page(PAGE, 2.5 + 0.14 * -(-len(cells) // 4))
    panels = figure.subplots(1, len(OVERVIEW))
    fronts: list[str] = []
    for axes, measure in zip(panels, measures(OVERVIEW), strict=True):
        best = _panel(axes, folder, cells, costs, measure, looks)
        axes.set(xlabel=axis.label, title=measure.axis)
        fronts.append(f"{measure.label}: {', '.join(best) or 'none'}")
    legend(figure, [(cell.label, looks[cell.id]) for cell in cells])
    left = [c.label for c in folder.cells_of(*TABLES) if c not in cells]
    return Sketch(
        name=name,
        title=f"Quality against {axis.title}",
        caption=and_gaps(
            f"{axis.label[0].upper()}{axis.label[1:]}, measured alone on the machine (median, "
            "quartiles), against three scores (mean, 95 % interval over videos and seeds). Filled "
            "marks and the stepped line are the Pareto front: no other variant is at least as "
            "good in both. Neighbours on it may differ by less than their intervals.",
            left,
            folder,
        ),
        alt=f"Scatter plots of three scores over {axis.title}. On the front of "
        + "; ".join(fronts)
        + ".",
        figure=figure,
    )


def _panel(
    axes: Axes,
    folder: Folder,
    cells: Sequence[Cell],
    costs: Mapping[str, Cost],
    measure: Measure,
    looks: Mapping[str, Mark],
) -> list[str]:
    """Draws one panel; returns the labels of the front, from cheap to dear."""
    found: dict[str, Estimate] = {}
    for cell in cells:
        value = estimate(folder.records_of(cell.id), measure.key)
        if value is not None:
            found[cell.id] = value
    if not found:
        nothing(axes, f"no record has {measure.label}")
        return []
    ids = list(found)
    on = front([costs[i].value for i in ids], [measure.badness(found[i].value) for i in ids])
    best = sorted((i for i, good in zip(ids, on, strict=True) if good), key=lambda i: costs[i].value)
    axes.step(
        [costs[i].value for i in best], [found[i].value for i in best],
        where="post", color="0.6", linewidth=1, zorder=1,
    )  # fmt: skip
    for i in ids:
        cost, value, mark = costs[i], found[i], looks[i]
        axes.errorbar(
            cost.value, value.value,
            xerr=[[cost.value - cost.low], [cost.high - cost.value]], yerr=value.reach,
            color=mark.colour, marker=mark.marker, markersize=5, elinewidth=0.6, alpha=0.9,
            markerfacecolor=mark.colour if i in best else "white",
        )  # fmt: skip
    return [folder.cells[i].label for i in best]


def _cost(costs: Mapping[str, Any] | None, axis: _Axis) -> Cost | None:
    step = ((costs or {}).get("profile") or {}).get("forward")
    if not step:
        return None
    if axis is _LATENCY:
        latency = step["latency_s"]
        return Cost(*(1e3 * latency[key] for key in ("median", "low", "high")))
    memory = step["peak_memory_bytes"]
    return None if memory is None else Cost(*(memory / 2**20,) * 3)
