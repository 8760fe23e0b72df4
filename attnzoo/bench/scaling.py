"""Fitted exponents of a grid beside those of the declared formulas."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from attnzoo import registry
from attnzoo.bench.cell import Cell, What, digest_of
from attnzoo.bench.growth import Fit, fit
from attnzoo.bench.row import Row, Status
from attnzoo.bench.table import aligned

TOLERANCE = 0.15
"""An exponent that lies farther outside of what is declared, its interval counted, disagrees."""

_PROJECTIONS = {"channels": 2.0}
"""Exponents of a mechanism's projections; along every other axis they are linear in tokens."""


@dataclass(frozen=True)
class Growth:
    """One series along one axis. declared: the exponent of the entry's formula at these sizes.

    grid: the axis is height x width; size: the number of tokens in a window.
    """

    cell: Cell
    axis: str
    rows: Sequence[Row]
    sizes: Sequence[float]
    latency: Fit
    memory: Fit | None
    declared: float | None

    @property
    def disagrees(self) -> bool:
        """Whether latency grows neither as projections, nor as the formula, nor between them.

        Told of at least three points, since two have no interval.
        """
        if self.declared is None or self.latency.error is None:
            return False
        between = sorted((self.declared, _PROJECTIONS.get(self.axis, _linear(self.axis))))
        slack = TOLERANCE + self.latency.error
        return not between[0] - slack <= self.latency.exponent <= between[1] + slack


def _linear(axis: str) -> float:
    return 0.0 if axis == "size" else 1.0


AXES = ("frames", "grid", "batch", "channels", "size")


def growths(rows: Sequence[Row]) -> list[Growth]:
    """Every series of at least two sizes along one axis, all else being equal."""
    found = []
    for axis in AXES:
        series: dict[str, list[Row]] = defaultdict(list)
        for row in rows:
            if row.status is Status.ok and row.latency and size_of(row.cell, axis):
                series[_others(row.cell, axis)].append(row)
        for members in series.values():
            members.sort(key=lambda row: size_of(row.cell, axis))
            sizes = [size_of(row.cell, axis) for row in members]
            if len(set(sizes)) > 1:
                found.append(_growth(axis, members, sizes))
    return found


def _growth(axis: str, rows: Sequence[Row], sizes: Sequence[float]) -> Growth:
    latencies = [row.latency or 0.0 for row in rows]
    peaks = [float(row.facts.peak_memory or 0) for row in rows]
    formula = [_declared(row.cell) for row in rows]
    declared = fit(sizes, formula).exponent if all(formula) else None
    memory = fit(sizes, peaks) if all(peaks) else None
    return Growth(rows[0].cell, axis, rows, sizes, fit(sizes, latencies), memory, declared)


def size_of(cell: Cell, axis: str) -> float:
    """Where a cell lies along an axis; 0 where it has none."""
    if axis == "grid":
        return cell.height * cell.width
    if axis == "size":
        size = cell.options.get("size")
        return float(size[0] * size[1] * size[2]) if size else 0.0
    return float(getattr(cell, axis))


def _others(cell: Cell, axis: str) -> str:
    """The address of a cell without an axis."""
    values: dict[str, Any] = dict(cell.plain)
    if axis == "grid":
        del values["height"], values["width"]
    elif axis == "size":
        values["options"] = {k: v for k, v in cell.options.items() if k != "size"}
    else:
        del values[axis]
    if axis == "grid":
        values["level"] = cell.level.split("@")[0]
    return digest_of(values)


def _declared(cell: Cell) -> float:
    """FLOPs by the entry's formula; 0 where there is none for the cell."""
    if cell.peer or cell.what not in (What.module, What.level):
        return 0.0
    b, f, h, w = cell.shape
    return float(registry.cost(cell.name, b=b, f=f, h=h, w=w, c=cell.channels, **cell.options))


_SYMBOLS: Mapping[str, str] = {
    "frames": "f", "grid": "hw", "batch": "b", "channels": "c", "size": "window",
}  # fmt: skip


_HEAD = (
    "variant", "what", "smallest", "manner", "axis", "latency", "R2", "peak memory", "formula", "",
)  # fmt: skip


def growth_table(found: Sequence[Growth]) -> str:
    """Exponents with their 95 % intervals; what disagrees with the formula is marked."""
    lines: list[tuple[str, ...]] = [_HEAD]
    for one in found:
        symbol = _SYMBOLS[one.axis]
        declared = "" if one.declared is None else f"{symbol}^{one.declared:.2f}"
        lines.append(
            (
                one.cell.variant,
                one.cell.where,
                one.cell.sizes,
                one.cell.manner,
                f"{symbol} " + ",".join(f"{size:g}" for size in one.sizes),
                _exponent(symbol, one.latency),
                f"{one.latency.r2:.3f}",
                "" if one.memory is None else _exponent(symbol, one.memory),
                declared,
                "disagrees" if one.disagrees else "",
            )
        )
    return aligned(lines, set(range(len(_HEAD))) - {6})


def _exponent(symbol: str, fitted: Fit) -> str:
    error = "" if fitted.error is None else f" +-{fitted.error:.2f}"
    return f"{symbol}^{fitted.exponent:.2f}{error}"
