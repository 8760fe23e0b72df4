"""Quality against cost, with the Pareto front, for latency and for memory of training."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.axes import Axes

from attnzoo.metrics.statistics import Interval
from attnzoo.report.costs import STAGE_1, Timed, in_stage_2, rounds_said
from attnzoo.report.folder import Cell
from attnzoo.report.measures import Measure
from attnzoo.report.plots.data import Data, in_percent, measures, reach
from attnzoo.report.plots.overview import OVERVIEW
from attnzoo.report.plots.pareto import Cost, front
from attnzoo.report.plots.plot import Drawn, LeftOut, Sketch
from attnzoo.report.plots.style import (
    FAINT,
    PAGE,
    SMALL,
    Mark,
    legend,
    log_ticks,
    marks,
    nothing,
    page,
)
from attnzoo.report.plots.words import percent, wrapped
from attnzoo.report.published import role

TABLES = ("table1", "table2", "table3")
"""Whose cells share one kind of data, so that their qualities compare. Those of the fifth are
settings of one variant, which cost and do nearly the same."""
SHARE = 0.03
"""Costs that differ by less are taken for equal."""
LOWEST = -25
"""Per cent of gain: what is worse is named in a corner, or all others would be one blob."""
BASE = "none"
"""The row whose badness the others' is set against, by its `role`."""


@dataclass(frozen=True)
class Kind:
    """A kind of cost: its key, its name, how an axis calls it, and what a caption says of it."""

    key: str
    name: str
    label: str
    said: str


LATENCY = Kind(
    "latency",
    "latency",
    "one denoising step of a clip [ms]",
    "Latency of one denoising step (median over {rounds}), logarithmic. Two are taken for equal "
    f"where their ranges overlap or they differ by less than {100 * SHARE:.0f} %",
)
MEMORY = Kind(
    "memory",
    "peak memory of training",
    "peak memory of a training step [MiB]",
    f"Peak memory of one training step of {STAGE_1}. (The peak of a denoising step is the U-Net's "
    f"own and hides the modules.) Two that differ by less than {100 * SHARE:.0f} % are taken for "
    "equal",
)


def draw(data: Data) -> Iterator[Drawn]:
    """One plot for latency and one for memory; a panel for picture, video and coherence each."""
    cells = data.folder.cells_of(*TABLES)
    base = next((cell for cell in cells if role(cell) == BASE), None)
    for kind in (LATENCY, MEMORY):
        found = {c.id: cost(data.folder.costs.get(c.id), kind) for c in cells}
        costs = {cell: value for cell, value in found.items() if value is not None}
        shown = [c for c in cells if c.id in costs and data.folder.records_of(c.id)]
        if base is None or not data.folder.records_of(base.id):
            yield LeftOut(f"quality-{kind.key}", f"{BASE} has no record, so nothing gains on it")
        elif not shown:
            reason = f"no cell has both a measured {kind.name} and a record"
            yield LeftOut(f"quality-{kind.key}", reason)
        else:
            yield _sketch(data, shown, base, costs, kind)


def _sketch(
    data: Data, cells: Sequence[Cell], base: Cell, costs: Mapping[str, Cost], kind: Kind
) -> Sketch:
    everything = data.folder.cells_of(*TABLES)
    looks = marks([cell.id for cell in everything])
    figure = page(PAGE, 2.6)
    panels = figure.subplots(1, len(OVERVIEW))
    fronts: list[str] = []
    for axes, measure in zip(panels, measures(OVERVIEW), strict=True):
        gains = {
            cell: gain for cell in cells if (gain := _gain(data, cell, base, measure)) is not None
        }
        best = _panel(axes, gains, costs, kind, looks)
        axes.set_xlabel(kind.label)
        axes.set_title(wrapped(measure.name, 34))
        fronts.append(f"{measure.name}: {', '.join(best) or 'none'}")
    panels[0].set_ylabel(f"gain over {base.label} [%] ↑")
    legend(figure, [(cell.label, looks[cell.id]) for cell in cells], lines=False)
    return Sketch(
        name=f"quality-{kind.key}",
        title=f"Quality against {kind.name}",
        caption=data.and_gaps(
            f"{kind.said.format(rounds=_rounds(data, cells))}. Upwards, by which share the badness "
            f"is less than that of {base.label} on the same videos (95 % interval over seeds, not "
            "corrected). Filled marks and the stepped line are the Pareto front: no other variant "
            "is better in one and at least equal in the other. Neighbours on it may differ in "
            "quality by less than their intervals. Gains below "
            f"{percent(LOWEST / 100)} stand in a corner, and intervals end there.",
            [_missing(data, cell) for cell in everything if cell not in cells],
        ),
        alt=f"Scatter plots of gains in three scores over {kind.name}. On the front of "
        + "; ".join(fronts)
        + ".",
        figure=figure,
    )


def _missing(data: Data, cell: Cell) -> str:
    why = in_stage_2((data.folder.costs.get(cell.id) or {}).get("profile") or {})
    return f"{cell.label} (trains in stage 2 alone)" if why else cell.label


def _rounds(data: Data, cells: Sequence[Cell]) -> str:
    """How many rounds latencies are of, and what their bars are."""
    steps = [data.folder.costs[cell.id]["profile"]["forward"]["latency_s"] for cell in cells]
    return rounds_said([Timed.of(step) for step in steps])


def _gain(data: Data, cell: Cell, base: Cell, measure: Measure) -> Interval | None:
    """In per cent; of the base itself 0, where it has the measure."""
    if cell.id == base.id:
        known = data.estimate(cell.id, measure.key)
        return None if known is None else Interval(0.0, None, None, known.n, "the base")
    found = data.gain(cell.id, base.id, measure.key)
    return None if found is None else in_percent(found)


def _panel(
    axes: Axes,
    gains: Mapping[Cell, Interval],
    costs: Mapping[str, Cost],
    kind: Kind,
    looks: Mapping[str, Mark],
) -> list[str]:
    """Draws one panel; returns the labels of the front, from cheap to dear."""
    if not gains:
        nothing(axes, "no gain is known")
        return []
    on = front([costs[cell.id] for cell in gains], [-one.value for one in gains.values()], SHARE)
    best = [cell for cell, good in zip(gains, on, strict=True) if good]
    best.sort(key=lambda cell: costs[cell.id].value)
    axes.axhline(0, color="0.4", linewidth=0.8, zorder=1)
    axes.step(
        [costs[cell.id].value for cell in best], [gains[cell].value for cell in best],
        where="post", color="0.6", linewidth=1, zorder=1,
    )  # fmt: skip
    below = {cell.label: gain.value for cell, gain in gains.items() if gain.value < LOWEST}
    for cell, gain in gains.items():
        if cell.label in below:
            continue
        cost_of, look = costs[cell.id], looks[cell.id]
        axes.errorbar(
            cost_of.value, gain.value, yerr=reach(gain),
            xerr=[[cost_of.value - cost_of.low], [cost_of.high - cost_of.value]],
            color=look.colour, marker=look.marker, markersize=5, elinewidth=0.6, alpha=0.9,
            markerfacecolor=look.colour if cell in best else "white",
        )  # fmt: skip
    _cut(axes, below)
    if kind is LATENCY:
        axes.set_xscale("log")
        log_ticks(axes.xaxis)
    return [cell.label for cell in best]


def _cut(axes: Axes, below: Mapping[str, float]) -> None:
    """Ends an axis of gains at the lowest shown, and names what lies below in a corner."""
    low, high = axes.get_ylim()
    axes.set_ylim(max(low, LOWEST), high)
    if below:
        said = [f"{label} {percent(value / 100)}" for label, value in below.items()]
        axes.text(
            0.98, 0.03, "\n".join(["below:", *said]), transform=axes.transAxes, ha="right",
            va="bottom", fontsize=SMALL, color=FAINT,
        )  # fmt: skip


def cost(costs: Mapping[str, Any] | None, kind: Kind) -> Cost | None:
    """A cost from a cell's file of costs; None if it was not measured.

    Memory of a training step of stage 2, which holds more, is none either.
    """
    profile = (costs or {}).get("profile") or {}
    if kind is LATENCY:
        step = profile.get("forward")
        if not step:
            return None
        timed = Timed.of(step["latency_s"])
        return Cost(timed.median, timed.low, timed.high)
    step = profile.get("training")
    memory = step["peak_memory_bytes"] if step and not in_stage_2(profile) else None
    return None if memory is None else Cost(*(memory / 2**20,) * 3)
