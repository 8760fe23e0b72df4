"""What every variant costs: time, memory and arithmetic of a denoising and of a training step."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes

from attnzoo.report.costs import STAGE_1, Timed, in_stage_2, rounds_said
from attnzoo.report.folder import Cell, Folder
from attnzoo.report.plots.data import Data
from attnzoo.report.plots.intervals import beside, places_of
from attnzoo.report.plots.plot import Drawn, LeftOut, Sketch
from attnzoo.report.plots.style import PAGE, legend, log_ticks, marks, page
from attnzoo.report.plots.words import wrapped

NAME = "costs"
TABLES = ("table1", "table2", "table3", "table5")
_PANELS = (
    ("latency [ms]", "latency_s", 1e3),
    ("peak memory [MiB]", "peak_memory_bytes", 2.0**-20),
    ("GFLOP", "flops", 1e-9),
)
_LOGARITHMIC = ("latency_s", "flops")
"""Or one variant that takes many times as long would hide what the others' rounds span."""
_STEPS = {"forward": "one denoising step", "training": "one training step"}


def draw(data: Data) -> Iterator[Drawn]:
    """A panel a cost, a line a variant, a mark for denoising and one for training."""
    folder = data.folder
    cells = [cell for cell in folder.cells_of(*TABLES) if _profile(folder, cell)]
    if not cells:
        yield LeftOut(NAME, "no cost was measured (costs/)")
        return
    texts = [wrapped(cell.label, 30) for cell in cells]
    places = places_of(texts)
    figure = page(PAGE, 0.75 + 0.165 * (places[-1] + 0.5))
    panels = figure.subplots(1, len(_PANELS), sharey=True)
    for axes, (label, key, unit) in zip(panels, _PANELS, strict=True):
        _panel(axes, [_profile(folder, cell) for cell in cells], places, key, unit)
        axes.set_xlabel(label)
    panels[0].set_yticks(places, texts)
    panels[0].set_ylim(places[-1] + 0.7, places[0] - 0.7)
    looks = marks(list(_STEPS))
    legend(figure, [(label, looks[step]) for step, label in _STEPS.items()], lines=False)
    left = [c.label for c in folder.cells_of(*TABLES) if c not in cells]
    yield Sketch(
        name=NAME,
        title="Cost of every variant",
        caption=data.and_gaps(_said([_profile(folder, cell) for cell in cells]), left),
        alt=f"Dot plot of costs. {_ends(folder, cells)}",
        figure=figure,
    )


def _said(profiles: Sequence[Mapping[str, Any]]) -> str:
    """What is drawn, in words."""
    steps = (profile.get(step) or {} for profile in profiles for step in _STEPS)
    timed = [Timed.of(step["latency_s"]) for step in steps if step.get("latency_s")]
    stages = f"A training step is one of {STAGE_1}"
    if any(map(in_stage_2, profiles)):
        stages += "; open, one of stage 2 where stage 1 has nothing to train: it does not compare"
    return (
        f"Latency (median over {rounds_said(timed)}), peak memory beyond what was held before, and "
        "counted products, of one clip; each measured once a variant, alone on the machine. "
        f"{stages}. Latency and products are logarithmic."
    )


def _panel(
    axes: Axes,
    profiles: Sequence[Mapping[str, Any]],
    places: Sequence[float],
    key: str,
    unit: float,
) -> None:
    looks = marks(list(_STEPS))
    for step, look in looks.items():
        for y, profile in zip(places, profiles, strict=True):
            value = (profile.get(step) or {}).get(key)
            if value is None:
                beside(axes, 0.02, y, "–", "left")
                continue
            middle, low, high = _ends_of(value)
            other = step == "training" and in_stage_2(profile)
            axes.errorbar(
                middle * unit, y, xerr=[[(middle - low) * unit], [(high - middle) * unit]],
                color=look.colour, marker=look.marker, linestyle="none", markersize=3.5,
                markerfacecolor="white" if other else look.colour,
            )  # fmt: skip
    if key in _LOGARITHMIC:
        axes.set_xscale("log")
        log_ticks(axes.xaxis)
    else:
        axes.set_xlim(left=0)
        axes.locator_params(axis="x", nbins=5)


def _ends_of(value: Any) -> tuple[float, float, float]:
    """Middle and ends of a latency in seconds, or thrice another value."""
    if not isinstance(value, dict):
        return value, value, value
    one = Timed.of(value)
    return one.median / 1e3, one.low / 1e3, one.high / 1e3


def _profile(folder: Folder, cell: Cell) -> Mapping[str, Any]:
    return folder.costs.get(cell.id, {}).get("profile") or {}


def _ends(folder: Folder, cells: Sequence[Cell]) -> str:
    times = {
        cell.label: 1e3 * step["latency_s"]["median"]
        for cell in cells
        if (step := _profile(folder, cell).get("forward"))
    }
    if not times:
        return ""
    low, high = min(times, key=times.__getitem__), max(times, key=times.__getitem__)
    return f"A denoising step takes {times[low]:.0f} ms with {low}, {times[high]:.0f} with {high}."
