"""What every variant costs: time, memory and arithmetic of a denoising and of a training step."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes

from attnzoo.report.folder import Cell, Folder
from attnzoo.report.plots.data import Data
from attnzoo.report.plots.intervals import beside, places_of
from attnzoo.report.plots.plot import Drawn, LeftOut, Sketch
from attnzoo.report.plots.quality_cost import TABLES
from attnzoo.report.plots.style import PAGE, marks, page
from attnzoo.report.plots.words import wrapped

NAME = "costs"
_PANELS = (
    ("latency [ms]", "latency_s", 1e3),
    ("peak memory [MiB]", "peak_memory_bytes", 2.0**-20),
    ("GFLOP", "flops", 1e-9),
)
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
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=2, frameon=False)
    left = [c.label for c in folder.cells_of(*TABLES) if c not in cells]
    yield Sketch(
        name=NAME,
        title="Cost of every variant",
        caption=data.and_gaps(
            "Latency (median, quartiles), peak memory beyond what was held before, and counted "
            "products, of one clip; measured once a variant, alone on the machine.",
            left,
        ),
        alt=f"Dot plot of costs. {_ends(folder, cells)}",
        figure=figure,
    )


def _panel(
    axes: Axes,
    profiles: Sequence[Mapping[str, Any]],
    places: Sequence[float],
    key: str,
    unit: float,
) -> None:
    looks = marks(list(_STEPS))
    for step, label in _STEPS.items():
        look = looks[step]
        for y, profile in zip(places, profiles, strict=True):
            value = (profile.get(step) or {}).get(key)
            if value is None:
                beside(axes, 0.02, y, "–", "left")
                continue
            middle, low, high = (
                (value["median"], value["low"], value["high"])
                if isinstance(value, dict) else (value,) * 3
            )  # fmt: skip
            axes.errorbar(
                middle * unit, y, xerr=[[(middle - low) * unit], [(high - middle) * unit]],
                color=look.colour, marker=look.marker, linestyle="none", markersize=4,
                label=label if y == places[0] else None,
            )  # fmt: skip
    axes.set_xlim(left=0)
    axes.locator_params(axis="x", nbins=5)


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
