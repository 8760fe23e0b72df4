"""Scores as samples over pairs of video and seed, and how much better one cell is than another.

Each seed is scored on videos of its own, so a pair is one generated video. A distance of sets has
no value of each video; in its place stands the jackknife's pseudo-value, the seed's distance plus n
times the video's influence, whose mean is the distance and whose spread gives its standard error
(Efron, 1982).

How much better is one number for all measures: the *gain*, the share of the reference's mean
badness that is gone, `1 - mean(b) / mean(b_ref)`, over the pairs that both have. Its interval and
test take the ratio's linearised values, which sum up to it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from attnzoo.metrics.statistics import Interval, mean_interval, sign_flip_test
from attnzoo.report.measures import MEASURES, Array, Measure

LEVEL = 0.95

COLUMNS = ("seed", "index", "clip", "scenario", "total", "real", "reason", "value", "influence")
"""What is taken of a data frame of results, beside cell and score."""

Key = tuple[int, str]
"""Seed, and the clip by its place among the seed's and its name: names need not be unique."""


@dataclass(frozen=True)
class Sample:
    """A cell's values of one measure, `[n]`, and whose they are. real: of the real clips, or None.

    reason: why there are none.
    """

    measure: Measure
    keys: tuple[Key, ...]
    values: Array
    real: float | None = None
    reason: str = ""

    @property
    def badness(self) -> Array:
        """See `Measure.badness`; of a distance the values themselves."""
        return self.measure.badness(self.values)


@dataclass(frozen=True)
class Gain:
    """How much better a cell is than a reference, over `keys`; see the module.

    values: `[n]`, their mean is the gain; seeds: the gain of each seed's videos by themselves, nan
    where the reference has nothing to gain on.
    """

    keys: tuple[Key, ...]
    values: Array
    seeds: Mapping[int, float]

    @property
    def value(self) -> float:
        """The gain itself."""
        return float(self.values.mean())

    def interval(self, level: float = LEVEL) -> Interval:
        """Its interval over pairs."""
        return mean_interval(self.values.tolist(), level)

    def p(self) -> float:
        """Two-sided, of the sign-flip test that the gain is zero."""
        return sign_flip_test(self.values.tolist())


class Scores:
    """All scores of a results folder, looked up by cell and measure."""

    def __init__(self, frame: pd.DataFrame) -> None:
        # Arrays, and the places of each cell's score in them: a frame of its own for each of
        # thousands costs far more than what is then done with it.
        self._rows = frame.groupby(["cell", "score"], observed=True, sort=False).indices
        self._columns = {name: frame[name].to_numpy() for name in COLUMNS}
        # A sample is asked for again by every table and claim.
        self.sample = cache(self._sample)
        self.gain = cache(self._gain)

    def _sample(self, cell: str, key: str, scenario: str | None = None) -> Sample:
        """A cell's values of the measure `key`, of one scenario's clips if it is given.

        Videos without a value (a logo that is not seen) are left out. A distance has no value by
        scenario; one of records without influences has one value a seed.
        """
        measure, rows = MEASURES[key], self._rows.get((cell, key))
        if rows is None:
            return _nothing(measure, "no record")
        if scenario is not None:
            if measure.distance:
                return _nothing(measure, "a distance of sets is not split by scenario")
            rows = rows[self._columns["scenario"][rows] == scenario]
        part = {name: column[rows] for name, column in self._columns.items()}
        if measure.distance:
            part = _pseudo_values(part)
        known = ~np.isnan(part["value"].astype(np.float64))
        if not known.any():
            reasons = [reason for reason in part["reason"] if isinstance(reason, str)]
            return _nothing(measure, reasons[0] if reasons else "no value")
        part = {name: column[known] for name, column in part.items()}
        places = zip(part["seed"].tolist(), part["index"], part["clip"], strict=True)
        keys = tuple((seed, f"{index} {clip}") for seed, index, clip in places)
        # A whole column of floats, `real` may still be missing.
        reals = part["real"].astype(np.float64)
        reals = reals[~np.isnan(reals)]
        real = float(reals.mean()) if len(reals) else None
        return Sample(measure, keys, part["value"].astype(np.float64), real)

    def no_gain(self, cell: str, reference: str, key: str, labels: tuple[str, str]) -> str:
        """Why there is none, in words."""
        samples = self.sample(cell, key), self.sample(reference, key)
        reasons = [
            f"{label}: {sample.reason}"
            for label, sample in zip(labels, samples, strict=True)
            if not len(sample.values)
        ]
        if reasons:
            return "; ".join(reasons)
        if len({*samples[0].keys} & {*samples[1].keys}) < 2:
            return "fewer than two videos that both have"
        return f"{labels[1]}: nothing is bad, so there is nothing to gain"

    def _gain(
        self, cell: str, reference: str, key: str, scenario: str | None = None
    ) -> Gain | None:
        """How much better a cell is than another by a measure; None without common pairs."""
        return gain(self.sample(cell, key, scenario), self.sample(reference, key, scenario))


def gain(sample: Sample, reference: Sample) -> Gain | None:
    """How much better a sample is than a reference; None without two common pairs."""
    places = {key: i for i, key in enumerate(reference.keys)}
    common = [(i, places[key]) for i, key in enumerate(sample.keys) if key in places]
    if len(common) < 2:
        return None
    one, other = (list(part) for part in zip(*common, strict=True))
    ours, theirs = sample.badness[one], reference.badness[other]
    if theirs.mean() <= 0:
        return None
    ratio = ours.mean() / theirs.mean()
    values = 1 - ratio - (ours - ratio * theirs) / theirs.mean()
    keys = tuple(sample.keys[i] for i in one)
    return Gain(keys, values, _by_seed(keys, ours, theirs))


def _by_seed(keys: Sequence[Key], ours: Array, theirs: Array) -> dict[int, float]:
    """The gain of each seed, from its own videos alone: other seeds' may be harder."""
    seeds = np.array([seed for seed, _ in keys])
    means = {
        seed: (ours[seeds == seed].mean(), theirs[seeds == seed].mean())
        for seed in sorted({*seeds.tolist()})
    }
    return {s: float(1 - a / b) if b > 0 else float("nan") for s, (a, b) in means.items()}


def student(values: Sequence[float], level: float = LEVEL) -> Interval:
    """A mean's interval by Student's t, for one of many tests: a bootstrap's tails are thin."""
    n, mean = len(values), float(np.mean(values))
    error = float(stats.sem(values)) if n > 1 else 0.0
    if np.ptp(values) == 0:
        return Interval(mean, None, None, n, "no interval: all values are equal")
    half = float(stats.t.ppf((1 + level) / 2, n - 1)) * error
    return Interval(mean, mean - half, mean + half, n, f"Student's t over {n} videos")


def estimate(sample: Sample, level: float = LEVEL) -> Interval:
    """A sample's mean with its interval over pairs; of a distance on the scale of its logarithm.

    Raises:
        ValueError: for an empty sample.
    """
    if not sample.measure.distance or len(sample.values) < 2:
        return mean_interval(sample.values.tolist(), level)
    n, mean = len(sample.values), float(sample.values.mean())
    error = float(stats.sem(sample.values))
    if mean <= 0 or error == 0:
        return Interval(mean, None, None, n, "no interval: the distance or its spread is zero")
    half = float(stats.t.ppf((1 + level) / 2, n - 1)) * error / mean
    method = f"distance, jackknife over {n} videos, Student's t of the logarithm"
    return Interval(mean, mean * np.exp(-half), mean * np.exp(half), n, method)


def _pseudo_values(part: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    influence = part["influence"].astype(np.float64)
    _, first, seed, n = np.unique(
        part["seed"], return_index=True, return_inverse=True, return_counts=True
    )
    if np.isnan(influence).any():
        first.sort()
        firsts = {name: column[first] for name, column in part.items()}
        return firsts | {
            "value": firsts["total"],
            "clip": np.full(len(first), "all of the seed's", object),
        }
    return {**part, "value": part["total"] + n[seed] * influence}


def _nothing(measure: Measure, reason: str) -> Sample:
    return Sample(measure, (), np.empty(0), reason=reason)


def rank(badness: Sequence[float | None]) -> list[int | None]:
    """1 for the smallest; equal ones share the better rank; None stays."""
    known = [b for b in badness if b is not None]
    return [None if b is None else 1 + sum(other < b for other in known) for b in badness]
