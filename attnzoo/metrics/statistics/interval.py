"""An interval: a number, the range that it may stand for, and how the range was found."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Interval:
    """A value with its interval; plain numbers, ready for a record.

    value: what was measured. low, high: ends of the interval, both None where there is none, and
    then `method` says why. n: how many videos stand behind it (not clips, not frames). method: how
    the interval was found and what it is an interval of.
    """

    value: float
    low: float | None
    high: float | None
    n: int
    method: str
