"""Pictures of a run: cost along each axis with fitted slopes, and the roofline."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import seaborn as sns
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullFormatter

from attnzoo.bench.growth import Fit
from attnzoo.bench.roofline import Roofline
from attnzoo.bench.row import Row, Status
from attnzoo.bench.scaling import Growth, growths
from attnzoo.files import replacing

_TITLES = {
    "frames": "frames",
    "grid": "tokens per frame",
    "batch": "clips",
    "channels": "channels",
    "size": "tokens in a window",
}
_MARKERS = "osD^vPX<>*hd"
_LINES = ("-", "--", ":", "-.")


def draw(rows: Sequence[Row], roof: Roofline, folder: Path) -> list[Path]:
    """Writes SVG and PNG of each picture there is something for; returns the PNGs."""
    folder.mkdir(parents=True, exist_ok=True)
    groups: dict[str, list[Growth]] = defaultdict(list)
    for growth in growths(rows):
        what = growth.cell.where.split(",")[0] if growth.cell.level else growth.cell.where
        groups[f"{growth.axis} {what} {growth.cell.manner}"].append(growth)
    files = [_write(_curves(found), folder / _slug(name)) for name, found in groups.items()]
    measured = [row for row in rows if row.status is Status.ok and row.roofline_share]
    if measured:
        files.append(_write(_roofline(measured, roof), folder / "roofline"))
    return files


def _curves(found: Sequence[Growth]) -> Figure:
    """Latency with quartiles and peak memory of several series along one axis, log-log."""
    figure = Figure(figsize=(11, 4.2 + 0.15 * len(found)), layout="constrained")
    first = found[0]
    left, right = figure.subplots(1, 2)
    for growth, color, marker, line in _styles(found):
        name = f"{growth.cell.variant} {_fixed(growth)}"
        style = {"color": color, "marker": marker, "markersize": 5, "linestyle": "none"}
        middle = [1e3 * (row.latency or 0) for row in growth.rows]
        low = [1e3 * ((row.latency or 0) - (row.latency_low or 0)) for row in growth.rows]
        high = [1e3 * ((row.latency_high or 0) - (row.latency or 0)) for row in growth.rows]
        left.errorbar(growth.sizes, middle, yerr=[low, high], capsize=2, **style)
        _line(left, growth, growth.latency, 1e3, color, line, name)
        if growth.memory is not None:
            peaks = [(row.facts.peak_memory or 0) / 2**20 for row in growth.rows]
            right.plot(growth.sizes, peaks, **style)
            _line(right, growth, growth.memory, 2.0**-20, color, line, name)
    sizes = sorted({size for growth in found for size in growth.sizes})
    for axes, label in ((left, "latency [ms]"), (right, "peak memory [MiB]")):
        axes.set(xscale="log", yscale="log", xlabel=_TITLES[first.axis], ylabel=label)
        axes.set_xticks(sizes, [f"{size:g}" for size in sizes], minor=False)
        axes.set_xticks([], minor=True)
        axes.grid(alpha=0.3, which="both")
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.yaxis.set_minor_formatter(NullFormatter())
        axes.legend(frameon=False, fontsize=7, loc="upper center", bbox_to_anchor=(0.5, -0.12))
    what = first.cell.where.split(",")[0] if first.cell.level else first.cell.where
    figure.suptitle(
        f"{what}, {first.cell.manner}; points with quartiles, lines fitted", fontsize=10
    )
    return figure


def _line(
    axes: Any, growth: Growth, fitted: Fit, unit: float, color: Any, line: str, name: str
) -> None:
    ends = np.array([min(growth.sizes), max(growth.sizes)])
    error = "" if fitted.error is None else f" ± {fitted.error:.2f}"
    label = f"{name}: slope {fitted.exponent:.2f}{error}"
    values = [unit * fitted(size) for size in ends]
    axes.plot(ends, values, color=color, linestyle=line, linewidth=1, label=label)


def _fixed(growth: Growth) -> str:
    """The sizes that do not change along the axis, and the level."""
    cell = growth.cell
    sizes = cell.level or cell.sizes
    return "" if cell.what.value in ("unet", "training") and growth.axis == "grid" else sizes


def _roofline(rows: Sequence[Row], roof: Roofline) -> Figure:
    """Achieved FLOP/s over intensity under the roof that was measured in the same run."""
    figure = Figure(figsize=(8, 5), layout="constrained")
    axes = figure.subplots()
    reach = [row.intensity or 1.0 for row in rows]
    peak = max(roof.flops_per_s.values())
    ridge = peak / roof.bytes_per_s
    x = np.geomspace(min(*reach, ridge) / 2, max(*reach, ridge) * 3, 100)
    for (dtype, flops), line in zip(roof.flops_per_s.items(), _LINES, strict=False):
        roofs = np.minimum(flops, x * roof.bytes_per_s) / 1e9
        axes.plot(x, roofs, color="black", linestyle=line, linewidth=1.2, label=f"roof, {dtype}")
    names = list(dict.fromkeys(row.cell.variant for row in rows))
    colors = sns.color_palette("colorblind", len(names))
    kinds = list(dict.fromkeys(row.cell.where.split(" ")[0] for row in rows))
    for row in rows:
        flops = (row.facts.flops_useful or 0) / (row.latency or 1) / 1e9
        axes.plot(
            row.intensity or 1.0, flops, linestyle="none", alpha=0.8, markersize=6,
            color=colors[names.index(row.cell.variant)],
            marker=_MARKERS[kinds.index(row.cell.where.split(" ")[0]) % len(_MARKERS)],
        )  # fmt: skip
    for name, color in zip(names, colors, strict=True):
        axes.plot([], [], color=color, marker="s", linestyle="none", label=name)
    for i, kind in enumerate(kinds):
        marker = _MARKERS[i % len(_MARKERS)]
        axes.plot([], [], color="grey", marker=marker, linestyle="none", label=kind)
    axes.set(
        xscale="log", yscale="log", xlabel="intensity [useful FLOP / byte moved]",
        ylabel="useful GFLOP/s", title="Roofline of this machine (own product and copy)",
    )  # fmt: skip
    axes.grid(alpha=0.3, which="both")
    axes.legend(frameon=False, fontsize=7, loc="upper left", bbox_to_anchor=(1, 1))
    return figure


def _styles(found: Sequence[Growth]) -> Iterator[tuple[Growth, Any, str, str]]:
    """A colour and a marker for each variant, a kind of line for its series."""
    names = list(dict.fromkeys(growth.cell.variant for growth in found))
    colors = sns.color_palette("colorblind", len(names))
    seen: dict[str, int] = defaultdict(int)
    for growth in found:
        index = names.index(growth.cell.variant)
        line = _LINES[seen[growth.cell.variant] % len(_LINES)]
        seen[growth.cell.variant] += 1
        yield growth, colors[index], _MARKERS[index % len(_MARKERS)], line


def _write(figure: Figure, stem: Path) -> Path:
    FigureCanvasAgg(figure)
    for suffix in (".svg", ".png"):
        with replacing(stem.with_name(stem.name + suffix)) as beside:
            figure.savefig(beside, dpi=120)
    return stem.with_name(stem.name + ".png")


def _slug(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")
