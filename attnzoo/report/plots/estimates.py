"""A score of a cell over all its videos and seeds, with its interval."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import stats

Records = Mapping[int, Mapping[str, Any]]
"""A cell's records by seed."""
LEVEL = 0.95


@dataclass(frozen=True)
class Estimate:
    """A mean and its 95 % interval; low and high are None where the values are too few.

    n: videos, over all seeds.
    """

    value: float
    low: float | None
    high: float | None
    n: int

    @property
    def reach(self) -> list[list[float]]:
        """How far the interval reaches below and above, as matplotlib takes it; 0 without one."""
        low = self.value if self.low is None else self.low
        high = self.value if self.high is None else self.high
        return [[self.value - low], [high - self.value]]


def estimate(records: Records, score: str, scenario: str | None = None) -> Estimate | None:
    """A score over the records of one cell; of one scenario's clips if it is given.

    The interval of a mean is Student's t over all videos of all seeds, each seed having videos of
    its own; that of a distance of sets, Student's t of its logarithm from each clip's first-order
    influence, of the distance at this number of videos. None where no record has the score, or
    where it is a distance of sets and a scenario is asked for.
    """
    found = [record["scores"][score] for record in records.values() if score in record["scores"]]
    found = [one for one in found if one["value"] is not None]
    if not found:
        return None
    if all("influence" in one or not one["clips"] for one in found):
        return None if scenario is not None else _distance(found)
    return of_clips(_clips(records.values(), score, scenario))


def of_clips(values: Sequence[float]) -> Estimate | None:
    """The mean of one value a video; None of no values."""
    if not len(values):
        return None
    n, mean = len(values), float(np.mean(values))
    if n == 1 or float(np.ptp(values)) == 0:
        return Estimate(mean, None, None, n)
    half = float(stats.t.ppf((1 + LEVEL) / 2, n - 1) * stats.sem(values))
    return Estimate(mean, mean - half, mean + half, n)


def _clips(
    records: Iterable[Mapping[str, Any]], score: str, scenario: str | None
) -> list[float]:
    """The known values of all clips, or of one scenario's."""
    values: list[float] = []
    for record in records:
        one = record["scores"].get(score)
        if one is None or one["value"] is None:
            continue
        scenarios = record["sampling"]["scenarios"]
        for value, where in zip(one["clips"], scenarios, strict=True):
            if value is not None and scenario in (None, where):
                values.append(float(value))
    return values


def _distance(found: Sequence[Mapping[str, Any]]) -> Estimate:
    value = float(np.mean([one["value"] for one in found]))
    influences = [np.asarray(one.get("influence", []), np.float64) for one in found]
    n = sum(len(one) for one in influences)
    if value <= 0 or any(len(one) < 2 for one in influences):
        return Estimate(value, None, None, n)
    variance = sum(float((one**2).sum()) * len(one) / (len(one) - 1) for one in influences)
    error = math.sqrt(variance) / len(found)
    half = float(stats.t.ppf((1 + LEVEL) / 2, n - len(found))) * error / value
    return Estimate(value, value * math.exp(-half), value * math.exp(half), n)


def change(records: Records, base: Records, score: str) -> Estimate | None:
    """By which share of the base's mean a score differs from it, over pairs of video and seed.

    The interval is that of the mean difference of pairs, the base's mean taken as given. None where
    they share no pair or the base's mean is 0.
    """
    both = sorted(set(records) & set(base))
    mine, theirs = ({seed: side[seed] for seed in both} for side in (records, base))
    before = estimate(theirs, score)
    if before is None or before.value == 0:
        return None
    differences: list[float] = []
    for seed in both:
        a, b = mine[seed]["scores"].get(score), theirs[seed]["scores"].get(score)
        if a is None or b is None or a["value"] is None or b["value"] is None:
            continue
        if mine[seed]["sampling"]["clips"] != theirs[seed]["sampling"]["clips"]:
            continue
        if a["clips"] and b["clips"]:
            pairs = zip(a["clips"], b["clips"], strict=True)
            differences += [x - y for x, y in pairs if x is not None and y is not None]
        else:
            differences += _influences(a, b)
    found = of_clips(differences)
    if found is None:
        return None
    scale = abs(before.value)
    low, high = (None if end is None else end / scale for end in (found.low, found.high))
    return Estimate(found.value / scale, low, high, found.n)


def _influences(a: Mapping[str, Any], b: Mapping[str, Any]) -> list[float]:
    """The difference of two distances as one number a clip, whose mean is the difference.

    A clip's influence is its part of the distance, 1 / n of what a value of its own would be.
    """
    difference = a["value"] - b["value"]
    one, two = a.get("influence", []), b.get("influence", [])
    if len(one) != len(two) or len(one) < 2:
        return [difference]
    return [difference + len(one) * (x - y) for x, y in zip(one, two, strict=True)]
