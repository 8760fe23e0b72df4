"""What a table of ratios says: one figure a line, what must be reached, and whether it was."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from attnzoo.bench.measure import Measurement, Spread


@dataclass(frozen=True)
class Must:
    """What a figure must not exceed: a number, or a share of a floor of the same rounds."""

    at_most: float
    floor: str | None = None
    over_floor: float = 1.05

    def __str__(self) -> str:
        floor = f" or floor + {self.over_floor - 1:.0%}" if self.floor else ""
        return f"{self.at_most:g}{floor}"

    def reached(self, value: Spread, over_floor: Spread | None = None) -> bool:
        """Whether the median is no more than that."""
        near = over_floor is not None and over_floor.median <= self.over_floor
        return value.median <= self.at_most or near


@dataclass(frozen=True)
class Line:
    """A figure to be taken from a measurement: time of `candidate` over that of `baseline`.

    Without a baseline it is milliseconds. peer: stands beside ours, to be compared with it.
    """

    text: str
    candidate: str
    baseline: str | None
    must: Must | None = None
    peer: bool = False


@dataclass(frozen=True)
class Figure:
    """A figure with its value, or with the reason why there is none.

    seconds: of the candidate itself; unit: of the value, empty for a ratio.
    """

    text: str
    value: Spread | None
    unit: str = ""
    seconds: Spread | None = None
    must: str = ""
    reached: bool | None = None
    peer: bool = False
    note: str = ""

    @property
    def plain(self) -> dict[str, Any]:
        """Plain values, one column each."""
        spreads = {"": self.value, "seconds_": self.seconds}
        found: dict[str, Any] = {"figure": self.text, "peer": self.peer, "unit": self.unit}
        for prefix, spread in spreads.items():
            for key in ("median", "low", "high", "n"):
                found[prefix + key] = getattr(spread, key) if spread else None
        return found | {"must": self.must, "reached": self.reached, "note": self.note}


def timed_figure(line: Line, measured: Measurement | None, refused: Mapping[str, str]) -> Figure:
    """The figure of one line; `refused` has why candidates were not timed."""
    must = str(line.must) if line.must else ""
    floor = line.must.floor if line.must else None
    needed = [name for name in (line.candidate, line.baseline, floor) if name is not None]
    missing = [name for name in needed if name in refused]
    if measured is None or missing:
        reached = False if must else None
        note = refused[missing[0]] if missing else "nothing was timed"
        if missing and missing[0] != line.candidate:
            note = f"{missing[0]}: {note}"
        return Figure(line.text, None, "", None, must, reached, line.peer, note)
    seconds = measured.spread(line.candidate)
    if line.baseline is None:
        value = Spread(1e3 * seconds.median, 1e3 * seconds.low, 1e3 * seconds.high, seconds.n)
    else:
        value = measured.ratio(line.candidate, line.baseline)
    over = measured.ratio(line.candidate, floor) if floor else None
    note = f"{over.median:.2f} of its floor" if over else ""
    reached = line.must.reached(value, over) if line.must else None
    unit = "ms" if line.baseline is None else ""
    return Figure(line.text, value, unit, seconds, must, reached, line.peer, note)
