"""The Pareto front: what nothing else beats in both cost and quality."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Cost:
    """A cost as it was measured: its middle and its range, in one unit."""

    value: float
    low: float
    high: float

    def equals(self, other: Cost, share: float) -> bool:
        """Whether the two cannot be told apart: ranges overlap, or middles differ by less.

        share: of the larger, below which a difference is none.
        """
        if self.low <= other.high and other.low <= self.high:
            return True
        return abs(self.value - other.value) < share * max(self.value, other.value)


def front(costs: Sequence[Cost], badness: Sequence[float], share: float = 0.0) -> list[bool]:
    """Whether each point is on the front; of both numbers less is better.

    A point is off it where another is better in one and at least as good in the other, of which
    costs that equal each other are. Points that are equal in both are all on it or all off it.

    Raises:
        ValueError: the two lists differ in length.
    """
    if len(costs) != len(badness):
        raise ValueError(f"{len(costs)} costs and {len(badness)} values of quality")
    points = list(zip(costs, badness, strict=True))
    return [not any(_beats(other, one, share) for other in points) for one in points]


def _beats(one: tuple[Cost, float], other: tuple[Cost, float], share: float) -> bool:
    (cost, bad), (other_cost, other_bad) = one, other
    equal = cost.equals(other_cost, share)
    if not equal and cost.value > other_cost.value:
        return False
    return bad < other_bad or (bad == other_bad and not equal)
