"""How time grows with frames, grid and window, beside what the formulas say."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from attnzoo import registry
from attnzoo.bench.growth import Fit, fit
from attnzoo.bench.measure import Candidate, measure
from attnzoo.bench.mechanisms.candidates import Modules, with_events
from attnzoo.bench.mechanisms.setting import Setting

ROUNDS = 3


@dataclass(frozen=True)
class Axis:
    """Sizes along one axis for one entry: each point a setting and options.

    by: what the exponents refer to.
    """

    name: str
    by: str
    values: Sequence[int]
    points: Sequence[tuple[Setting, Mapping[str, Any]]]


@dataclass(frozen=True)
class Growth:
    """Fitted exponents of one entry along one axis.

    time: of the whole module, measured, medians in seconds; work: of its FLOPs, projections
    included; attention: of the entry's own formula, scores and values alone, None if constant.
    """

    entry: str
    by: str
    values: tuple[int, ...]
    seconds: tuple[float, ...]
    time: Fit
    work: float
    attention: float

    @property
    def plain(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


def growth(setting: Setting) -> list[Growth]:
    """Every entry along the axes that its formula has, from small to large."""
    found = []
    for name in ("stsa", "temporal", "crossframe_first", "crossframe_all"):
        found += [_grown(name, axis) for axis in axes(name, setting)]
    return found


def axes(name: str, setting: Setting) -> list[Axis]:
    """Frames 4 to 64, sides 8 to 64, windows 2 to 16; a fourth as far where it is to be quick.

    Attention to all tokens begins at a grid of 8x8 and two frames, else it takes minutes.
    """
    dense = name == "crossframe_all"
    far = (4, 8, 16) if setting.quick else (4, 8, 16, 32, 64)
    wide = (4, 8, 16) if setting.quick else (8, 16, 32, 64)
    base = replace(setting, side=8 if dense or setting.quick else 16)
    found = [_axis("frames", "f", far, [replace(base, frames=f) for f in far])]
    few = replace(setting, frames=2 if dense else 4)
    found.append(_axis("side", "h*w", wide, [replace(few, side=side) for side in wide]))
    if name == "stsa":
        sizes = (2, 4, 8) if setting.quick else (2, 4, 8, 16)
        options = [{"size": (n, n, n)} for n in sizes]
        found.append(_axis("window", "tokens of a window", sizes, [setting] * len(sizes), options))
    return found


def _axis(
    name: str,
    by: str,
    values: Sequence[int],
    at: Sequence[Setting],
    options: Sequence[Mapping[str, Any]] = (),
) -> Axis:
    given = options or [{}] * len(at)
    return Axis(name, by, values, list(zip(at, given, strict=True)))


def _grown(name: str, axis: Axis) -> Growth:
    runs: dict[str, Candidate] = {}
    sizes, attention, work = [], [], []
    for value, (setting, options) in zip(axis.values, axis.points, strict=True):
        runs[str(value)] = Modules(setting).mechanism_run(name, **options)
        b, f, h, w, c = setting.shape
        sizes.append(_size(axis, setting, options))
        attention.append(registry.cost(name, b=b, f=f, h=h, w=w, c=c, **options))
        work.append(attention[-1] + 8 * b * f * h * w * c**2)
    device = axis.points[0][0].device
    rounds = min(ROUNDS, axis.points[0][0].rounds)
    timed = measure(with_events(runs, device), rounds=rounds, device=device)
    seconds = [timed.spread(run).median for run in runs]
    return Growth(
        name, axis.by, tuple(axis.values), tuple(seconds), fit(sizes, seconds),
        fit(sizes, work).exponent, fit(sizes, attention).exponent,
    )  # fmt: skip


def _size(axis: Axis, setting: Setting, options: Mapping[str, Any]) -> float:
    """Frames, tokens of a frame, or tokens of a whole window of this clip."""
    if axis.name == "window":
        return float(math.prod(map(min, options["size"], setting.shape[1:4])))
    return float(setting.frames if axis.name == "frames" else setting.side**2)
