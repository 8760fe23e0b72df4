"""Quality against cost, with the Pareto front, for latency and for memory."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.axes import Axes

from attnzoo.report.folder import Cell
from attnzoo.report.measures import Measure
from attnzoo.report.plots.data import Data, measures, reach
from attnzoo.report.plots.overview import OVERVIEW
from attnzoo.report.plots.pareto import front
from attnzoo.report.plots.plot import Drawn, LeftOut, Sketch
from attnzoo.report.plots.style import PAGE, Mark, legend, marks, nothing, page
from attnzoo.report.plots.words import axis, wrapped

TABLES = ("table1", "table2", "table3", "table5")
"""Whose cells share one kind of data, so that their qualities compare."""


@dataclass(frozen=True)
class Cost:
    """A cost: its middle and range, in the unit of its axis."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Kind:
    """A kind of cost: its key, its name, and how an axis calls it."""

    key: str
    name: str
    label: str


LATENCY = Kind("latency", "latency", "one denoising step of a clip [ms]")
MEMORY = Kind("memory", "peak memory", "peak memory of a denoising step [MiB]")


def draw(data: Data) -> Iterator[Drawn]:
    """One plot for latency and one for memory; a panel for picture, video and coherence each."""
    cells = data.folder.cells_of(*TABLES)
    for kind in (LATENCY, MEMORY):
        found = {c.id: cost(data.folder.costs.get(c.id), kind) for c in cells}
        costs = {cell: value for cell, value in found.items() if value is not None}
        shown = [c for c in cells if c.id in costs and data.folder.records_of(c.id)]
        if not shown:
            reason = f"no cell has both a measured {kind.name} and a record"
            yield LeftOut(f"quality-{kind.key}", reason)
            continue
        yield _sketch(data, shown, costs, kind)


def _sketch(data: Data, cells: Sequence[Cell], costs: Mapping[str, Cost], kind: Kind) -> Sketch:
    everything = data.folder.cells_of(*TABLES)
    looks = marks([cell.id for cell in everything])
    figure = page(PAGE, 2.5)
    panels = figure.subplots(1, len(OVERVIEW))
    fronts: list[str] = []
    for axes, measure in zip(panels, measures(OVERVIEW), strict=True):
        best = _panel(axes, data, cells, costs, measure, looks)
        axes.set_xlabel(kind.label)
        axes.set_title(wrapped(axis(measure), 34))
        fronts.append(f"{measure.name}: {', '.join(best) or 'none'}")
    legend(figure, [(cell.label, looks[cell.id]) for cell in cells], lines=False)
    return Sketch(
        name=f"quality-{kind.key}",
        title=f"Quality against {kind.name}",
        caption=data.and_gaps(
            f"{kind.label[0].upper()}{kind.label[1:]}, measured alone on the machine (median, "
            "quartiles), against three scores (mean, 95 % interval over seeds). Filled "
            "marks and the stepped line are the Pareto front: no other variant is at least as "
            "good in both. Neighbours on it may differ by less than their intervals.",
            [c.label for c in everything if c not in cells],
        ),
        alt=f"Scatter plots of three scores over {kind.name}. On the front of "
        + "; ".join(fronts)
        + ".",
        figure=figure,
    )


def _panel(
    axes: Axes,
    data: Data,
    cells: Sequence[Cell],
    costs: Mapping[str, Cost],
    measure: Measure,
    looks: Mapping[str, Mark],
) -> list[str]:
    """Draws one panel; returns the labels of the front, from cheap to dear."""
    found = {c: v for c in cells if (v := data.estimate(c.id, measure.key)) is not None}
    if not found:
        nothing(axes, f"no record has {measure.name}")
        return []
    on = front(
        [costs[cell.id].value for cell in found],
        [float(data.scores.badness(cell.id, measure.key) or 0.0) for cell in found],
    )
    best = [cell for cell, good in zip(found, on, strict=True) if good]
    best.sort(key=lambda cell: costs[cell.id].value)
    axes.step(
        [costs[cell.id].value for cell in best], [found[cell].value for cell in best],
        where="post", color="0.6", linewidth=1, zorder=1,
    )  # fmt: skip
    for cell, value in found.items():
        cost_of, look = costs[cell.id], looks[cell.id]
        axes.errorbar(
            cost_of.value, value.value, yerr=reach(value),
            xerr=[[cost_of.value - cost_of.low], [cost_of.high - cost_of.value]],
            color=look.colour, marker=look.marker, markersize=5, elinewidth=0.6, alpha=0.9,
            markerfacecolor=look.colour if cell in best else "white",
        )  # fmt: skip
    return [cell.label for cell in best]


def cost(costs: Mapping[str, Any] | None, kind: Kind) -> Cost | None:
    """The cost of a denoising step from a cell's file of costs; None if it was not measured."""
    step = ((costs or {}).get("profile") or {}).get("forward")
    if not step:
        return None
    if kind is LATENCY:
        middle, low, high = (1e3 * step["latency_s"][key] for key in ("median", "low", "high"))
        return Cost(middle, low, high)
    memory = step["peak_memory_bytes"]
    return None if memory is None else Cost(*(memory / 2**20,) * 3)
