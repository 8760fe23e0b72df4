"""What a table of ratios says: one figure a line, what must be reached, and whether it was."""

from __future__ import annotations

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


def timed_figure(line: Line, measured: Measurement, refused: dict[str, str]) -> Figure:
    """The figure of one line; `refused` has why candidates were not timed."""
    must = str(line.must) if line.must else ""
    if line.candidate in refused:
        return Figure(
            line.text, None, must=must, reached=False if must else None, peer=line.peer,
            note=refused[line.candidate],
        )  # fmt: skip
    seconds = measured.spread(line.candidate)
    if line.baseline is None:
        value = Spread(*(1e3 * s for s in (seconds.median, seconds.low, seconds.high)), seconds.n)
    else:
        value = measured.ratio(line.candidate, line.baseline)
    reached = note = None
    if line.must is not None:
        over = None
        if line.must.floor is not None:
            over = measured.ratio(line.candidate, line.must.floor)
            note = f"{over.median:.2f} of its floor"
        reached = line.must.reached(value, over)
    unit = "ms" if line.baseline is None else ""
    return Figure(line.text, value, unit, seconds, must, reached, line.peer, note or "")
