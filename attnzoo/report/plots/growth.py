"""How latency and memory grow with frames and with the picture, from the bench's rows."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes

from attnzoo.bench.growth import fit
from attnzoo.errors import UserError
from attnzoo.report.folder import Folder
from attnzoo.report.plots.plot import Drawn, LeftOut, Sketch
from attnzoo.report.plots.style import PAGE, SMALL, Mark, legend, marks, nothing, page

AXES = {"frames": "frames", "tokens": "tokens per frame"}
_FIXED = ("batch", "channels", "heads", "dtype", "backward", "compiled", "device", "unet", "level")
_WHAT = {
    "module": "one module",
    "unet": "the whole U-Net, forward",
    "training": "the whole U-Net, forward and backward",
}


@dataclass(frozen=True)
class Series:
    """One variant along one axis. what: module, unet or training; setting: what does not change."""

    name: str
    what: str
    setting: str
    axis: str
    sizes: tuple[float, ...]
    latency: tuple[float, ...]
    memory: tuple[float | None, ...]


def draw(folder: Folder) -> Iterator[Drawn]:
    """A plot for each axis and kind of subject that has at least two sizes."""
    files = sorted((folder.path / "bench").glob("*.jsonl"))
    if not files:
        yield LeftOut("growth", "no rows of `python -m attnzoo.bench` lie in bench/")
        return
    groups: dict[tuple[str, str], list[Series]] = defaultdict(list)
    for series in series_of([row for file in files for row in rows_of(file)]):
        groups[series.what, series.axis].append(series)
    if not groups:
        yield LeftOut("growth", "no variant in bench/ was measured at two sizes of one axis")
    for (what, axis), found in sorted(groups.items()):
        yield _sketch(what, axis, found)


def rows_of(path: Path) -> list[Mapping[str, Any]]:
    """The rows of a file that have a measured speed.

    Raises:
        UserError: a line is not a row of the bench.
    """
    rows = []
    for number, line in enumerate(path.read_text().splitlines(), 1):
        try:
            row = json.loads(line)
            measured = row["status"] == "ok" and not row["predicted"] and row["latency"]
        except (ValueError, KeyError, TypeError) as error:
            raise UserError(f"{path}, line {number}: not a row of the bench: {error!r}") from error
        if measured:
            rows.append(row)
    return rows


def series_of(rows: Sequence[Mapping[str, Any]]) -> list[Series]:
    """Rows that differ in one size alone, gathered; of equal rows the last counts."""
    found: list[Series] = []
    for axis in AXES:
        groups: dict[tuple[Any, ...], dict[float, Mapping[str, Any]]] = defaultdict(dict)
        for row in rows:
            sizes = {"frames": row["frames"], "tokens": row["height"] * row["width"]}
            own = sizes.pop(axis)
            options = json.dumps(row["options"], sort_keys=True)
            fixed = tuple(str(row[key]) for key in _FIXED)
            groups[row["what"], row["name"], options, *sizes.items(), fixed][own] = row
        for (what, name, options, (other, size), fixed), by_size in groups.items():
            if len(by_size) < 2:
                continue
            ordered = sorted(by_size)
            own_options = json.loads(options)
            found.append(
                Series(
                    name=" ".join([name, *(f"{k}={v}" for k, v in own_options.items())]),
                    what=what,
                    setting=f"{size} {AXES[other]}, {fixed[1]} channels, {fixed[3]}"
                    if what == "module" else f"{size} {AXES[other]}, {fixed[3]}",
                    axis=axis,
                    sizes=tuple(ordered),
                    latency=tuple(1e3 * by_size[s]["latency"] for s in ordered),
                    memory=tuple(_mib(by_size[s]["peak_memory"]) for s in ordered),
                )  # fmt: skip
            )
    return found


def _mib(size: float | None) -> float | None:
    return None if size is None else size / 2**20


def _sketch(what: str, axis: str, found: Sequence[Series]) -> Sketch:
    names = [f"{s.name}, {s.setting}" if _settings(found) > 1 else s.name for s in found]
    looks = marks(names)
    figure = page(PAGE, 2.4 + 0.14 * -(-len(names) // 3))
    left, right = figure.subplots(1, 2)
    slopes = []
    for name, series in zip(names, found, strict=True):
        slopes.append(f"{name} {_draw(left, series, series.latency, looks[name])}")
        _draw(right, series, series.memory, looks[name])
    sizes = sorted({size for series in found for size in series.sizes})
    for axes, label in ((left, "latency [ms]"), (right, "peak memory [MiB]")):
        axes.set(xscale="log", xlabel=AXES[axis], ylabel=label)
        if axes.lines:
            axes.set_yscale("log")
        else:
            nothing(axes, "not measured")
        axes.set_xticks(sizes, [f"{size:g}" for size in sizes], fontsize=SMALL)
        axes.set_xticks([], minor=True)
    legend(figure, [(name, looks[name]) for name in names], columns=3)
    subject = _WHAT.get(what, what)
    same = "" if _settings(found) > 1 else f" ({found[0].setting})"
    return Sketch(
        name=f"growth-{what}-{axis}",
        title=f"Cost by {AXES[axis]}: {subject}",
        caption=(
            f"Latency (median of interleaved rounds) and peak memory of {subject} over "
            f"{AXES[axis]}{same}, both axes logarithmic, as the bench measured them. Fitted "
            f"exponents of latency: {'; '.join(slopes)}."
        ),
        alt=f"Latency and memory over {AXES[axis]}. Exponents of latency: {'; '.join(slopes)}.",
        figure=figure,
    )


def _settings(found: Sequence[Series]) -> int:
    return len({series.setting for series in found})


def _draw(axes: Axes, series: Series, values: Sequence[float | None], look: Mark) -> str:
    """Draws one series and returns its fitted exponent in words."""
    known = [(s, v) for s, v in zip(series.sizes, values, strict=True) if v is not None and v > 0]
    if not known:
        return "unknown"
    sizes, costs = zip(*known, strict=True)
    axes.plot(sizes, costs, color=look.colour, marker=look.marker, linestyle=look.line)
    return f"{fit(sizes, costs).exponent:.2f}" if len(known) > 1 else "unknown"
