"""The Pareto front: what nothing else beats in both cost and quality."""

from __future__ import annotations

from collections.abc import Sequence


def front(costs: Sequence[float], badness: Sequence[float]) -> list[bool]:
    """Whether each point is on the front; of both numbers less is better.

    A point is off it where another is at least as good in both and better in one. Equal points are
    all on it or all off it.

    Raises:
        ValueError: the two lists differ in length.
    """
    if len(costs) != len(badness):
        raise ValueError(f"{len(costs)} costs and {len(badness)} values of quality")
    on = [False] * len(costs)
    reached = float("inf")
    order = sorted(range(len(costs)), key=lambda i: (costs[i], badness[i]))
    start = 0
    while start < len(order):
        end = start
        while end < len(order) and costs[order[end]] == costs[order[start]]:
            end += 1
        # Of one cost only the best counts, and only if no lower cost has reached as much.
        best = badness[order[start]]
        if best < reached:
            for i in order[start:end]:
                on[i] = badness[i] == best
            reached = best
        start = end
    return on
