"""How latency and memory grow with frames and with the picture, from the bench's rows.

A line a mechanism: of all that the bench varied only what most of them were measured with is drawn.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes

from attnzoo.bench.growth import fit
from attnzoo.errors import UserError
from attnzoo.paths import regular
from attnzoo.report.plots.data import Data
from attnzoo.report.plots.plot import Drawn, LeftOut, Sketch
from attnzoo.report.plots.style import PAGE, Mark, legend, log_ticks, marks, nothing, page
from attnzoo.results import written
from attnzoo.train.record import check_json

AXES = {"frames": "frames", "tokens": "tokens per frame"}
_FIXED = ("batch", "channels", "heads", "dtype", "compiled", "device", "unet", "level")
_NUMBERS = ("frames", "height", "width", "latency")
_TEXTS = ("name", "dtype", "unet", "level")
_NEEDED = (*_NUMBERS, *_TEXTS, "what", "options", "backward", "peak_memory", *_FIXED)
_WHAT = {
    "module": "one module",
    "level": "one module at a level of the U-Net",
    "unet": "the whole U-Net, forward",
    "training": "the whole U-Net, forward and backward",
    "flow": "flow between a clip's neighbours",
    "maps": "index maps of all levels",
}

Row = Mapping[str, Any]
"""A line of the bench's file."""


@dataclass(frozen=True)
class Series:
    """One variant along one axis.

    what: one of `_WHAT`; options: the mechanism's, in words; setting: what does not change, in
    words; machine: where it was measured; backward: of a single module, whether that was measured
    with it; fixed: the size of the other axis; rounds: whose median latency is, 0 unknown; latency
    in ms, memory in MiB, None where it was not measured.
    """

    name: str
    options: str
    what: str
    setting: str
    machine: str
    backward: bool
    fixed: float
    rounds: int
    axis: str
    sizes: tuple[float, ...]
    latency: tuple[float, ...]
    memory: tuple[float | None, ...]


def draw(data: Data) -> Iterator[Drawn]:
    """A plot for each axis and kind of subject that has at least two sizes."""
    files = sorted((data.folder.path / "bench").glob("*.jsonl"))
    if not files:
        yield LeftOut("growth", "no rows of `python -m attnzoo.bench` lie in bench/")
        return
    groups: dict[tuple[str, str], list[Series]] = defaultdict(list)
    for series in longest(series_of(rows_of(file)) for file in files):
        groups[series.what, series.axis].append(series)
    if not groups:
        yield LeftOut("growth", "no variant in bench/ was measured at two sizes of one axis")
    for (what, axis), found in sorted(groups.items()):
        yield _sketch(what, axis, chosen(found), len(found))


def chosen(found: Sequence[Series]) -> list[Series]:
    """A series a mechanism, all of one machine and setting: more could not be told apart.

    Of modules forward alone, where that was measured. The setting is the one that most mechanisms
    and sizes were measured with, of equals the largest; options are the first by name, as
    `shift=false`, so that sizes of windows are the mechanisms' own.
    """
    forward = [one for one in found if not one.backward] or found
    groups: dict[tuple[str, str], list[Series]] = defaultdict(list)
    for one in forward:
        groups[one.setting, one.machine].append(one)

    def much(group: Sequence[Series]) -> tuple[int, int, float]:
        sizes = {size for one in group for size in one.sizes}
        return len({one.name for one in group}), len(sizes), group[0].fixed

    best = max(groups.values(), key=much)
    by_name = {one.name: one for one in sorted(best, key=lambda o: o.options, reverse=True)}
    return [by_name[name] for name in dict.fromkeys(one.name for one in best)]


def rows_of(path: Path) -> list[Row]:
    """The rows of a file that have a measured speed.

    Raises:
        UserError: it cannot be read, or a line is not a row of the bench.
    """
    try:
        lines = regular(path).read_bytes().splitlines()
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from error
    rows = []
    for number, line in enumerate(lines, 1):
        try:
            row = json.loads(line.decode())
            measured = row["status"] == "ok" and not row["predicted"] and not row["peer"]
            if measured:
                _check(row)
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise UserError(f"{path}, line {number}: not a row of the bench: {error!r}") from error
        if measured:
            rows.append(row)
    return rows


def _check(row: Row) -> None:
    """ValueError, or what a missing part raises, unless a measured row can be drawn."""
    check_json(row, "row")
    if missing := [key for key in _NEEDED if key not in row]:
        raise ValueError(f"it lacks {', '.join(missing)}")
    if row["what"] not in _WHAT:
        raise ValueError(f"what is {row['what']!r:.60}, not {', '.join(_WHAT)}")
    for key in _TEXTS:
        if not isinstance(row[key], str):
            raise ValueError(f"{key} is {row[key]!r:.60}, not a text")
    for key, value in (("options", row["options"]), ("environment", row.get("environment") or {})):
        if not isinstance(value, dict):
            raise ValueError(f"{key} is {value!r:.60}, not an object")
    for key in _NUMBERS:
        if not _number(row[key]) or row[key] <= 0:
            raise ValueError(f"{key} is {row[key]!r:.60}, not a number above 0")
    if row["peak_memory"] is not None and not _number(row["peak_memory"]):
        raise ValueError(f"peak_memory is {row['peak_memory']!r:.60}, not a number")


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def longest(files: Iterable[Mapping[str, Series]]) -> list[Series]:
    """Of each series the one of most sizes, the first of equals: files are other sessions."""
    found: dict[str, Series] = {}
    for series in files:
        for key, one in series.items():
            if key not in found or len(one.sizes) > len(found[key].sizes):
                found[key] = one
    return list(found.values())


def series_of(rows: Sequence[Row]) -> dict[str, Series]:
    """The rows of a file that differ in one size alone, gathered; of equal rows the last counts.

    By all that they have in common, the machine with its threads too.
    """
    found: dict[str, Series] = {}
    for axis in AXES:
        groups: dict[str, dict[float, Row]] = defaultdict(dict)
        for row in rows:
            sizes = _sizes(row)
            own = sizes.pop(axis)
            same = [axis, row["what"], row["name"], row["backward"], row["options"], sizes]
            same += [_machine(row), *(row[key] for key in _FIXED)]
            groups[json.dumps(same, sort_keys=True)][own] = row
        found |= {key: _series(axis, sized) for key, sized in groups.items() if len(sized) > 1}
    return found


def _machine(row: Row) -> str:
    """The processor that a row was measured on, and the threads."""
    found = row.get("environment") or {}
    processor = found.get("cpu") if row["device"] == "cpu" else found.get("gpu")
    threads = found.get("threads")
    return f"{processor or row['device']}, {threads or 'unknown'} thread{'s' * (threads != 1)}"


def _sizes(row: Row) -> dict[str, float]:
    return {"frames": row["frames"], "tokens": row["height"] * row["width"]}


def _series(axis: str, by_size: Mapping[float, Row]) -> Series:
    ordered = sorted(by_size)
    first = by_size[ordered[0]]
    others = [f"{size:g} {AXES[key]}" for key, size in _sizes(first).items() if key != axis]
    channels = [f"{first['channels']} channels"] if first["channels"] else []
    model = [first[key] for key in ("unet", "level") if first[key]]
    compiled = ["compiled"] if first["compiled"] else []
    backward = ["with backward"] if first["what"] == "module" and first["backward"] else []
    return Series(
        name=first["name"],
        options=" ".join(f"{key}={written(value)}" for key, value in first["options"].items()),
        what=first["what"],
        setting=", ".join([*others, *channels, *model, first["dtype"], *compiled, *backward]),
        machine=_machine(first),
        backward=bool(backward),
        fixed=next(size for key, size in _sizes(first).items() if key != axis),
        rounds=min(_rounds(row) for row in by_size.values()),
        axis=axis,
        sizes=tuple(ordered),
        latency=tuple(1e3 * by_size[size]["latency"] for size in ordered),
        memory=tuple(_mib(by_size[size]["peak_memory"]) for size in ordered),
    )


def _rounds(row: Row) -> int:
    """How many rounds a row's latency is of; 0 where it does not say."""
    found = row.get("rounds")
    return found if isinstance(found, int) and found > 0 else 0


def _mib(size: float | None) -> float | None:
    return None if size is None else size / 2**20


def _sketch(what: str, axis: str, found: Sequence[Series], measured: int) -> Sketch:
    names = [series.name for series in found]
    looks = marks(names)
    figure = page(PAGE, 2.2)
    left, right = figure.subplots(1, 2)
    slopes = {}
    for name, series in zip(names, found, strict=True):
        slopes[name] = _draw(left, series.sizes, series.latency, looks[name])
        _draw(right, series.sizes, series.memory, looks[name])
    sizes = sorted({size for series in found for size in series.sizes})
    for axes, label in ((left, "latency [ms]"), (right, "peak memory [MiB]")):
        axes.set(xscale="log", xlabel=AXES[axis], title=label)
        axes.set_xticks(sizes, [f"{size:g}" for size in sizes])
        axes.set_xticks([], minor=True)
        if not axes.lines:
            nothing(axes, "not measured")
            continue
        axes.set_yscale("log")
        log_ticks(axes.yaxis)
    entries = [(f"{name} ({slope})", looks[name]) for name, slope in slopes.items()]
    legend(figure, entries, columns=5)
    subject = _WHAT[what]
    told = "; ".join(f"{name} {slope}" for name, slope in slopes.items())
    return Sketch(
        name=f"growth-{what}-{axis}",
        title=f"Cost by {AXES[axis]}: {subject}",
        caption=_said(subject, axis, found, measured),
        alt=f"Latency and memory over {AXES[axis]}. Exponents of latency: {told}.",
        figure=figure,
    )


def _said(subject: str, axis: str, found: Sequence[Series], measured: int) -> str:
    """What is drawn, in words, and how much is not."""
    first = found[0]
    forward = ", forward" if first.what == "module" and not first.backward else ""
    options = [f"{one.name} with {one.options}" for one in found if one.options]
    setting = "; ".join([first.setting, *options, first.machine])
    rounds = sorted({one.rounds for one in found if one.rounds})
    least = f"at least {rounds[0]} " if rounds else ""
    rest = measured - len(found)
    left = (
        f" {rest} other series (other options, sizes, with backward) lie in bench/." if rest else ""
    )
    return (
        f"Latency (median of {least}interleaved rounds) and peak memory of {subject}{forward} over "
        f"{AXES[axis]} ({setting}), as the bench measured them; all axes logarithmic. In brackets "
        f"the fitted exponent of latency; lines that cannot be told apart are equal.{left}"
    )


def _draw(axes: Axes, sizes: Sequence[float], values: Sequence[float | None], look: Mark) -> str:
    """Draws one series and returns its fitted exponent in words."""
    known = [(s, v) for s, v in zip(sizes, values, strict=True) if v is not None and v > 0]
    if not known:
        return "unknown"
    at, costs = zip(*known, strict=True)
    axes.plot(at, costs, color=look.colour, marker=look.marker, linestyle=look.line)
    return f"{fit(at, costs).exponent:.2f}" if len(known) > 1 else "unknown"
