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

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import pandas as pd
from scipy import stats

from attnzoo.metrics.statistics import Interval, mean_interval, sign_flip_test
from attnzoo.report.measures import MEASURES, Array, Measure

LEVEL = 0.95

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

    values: `[n]`, their mean is the gain.
    """

    keys: tuple[Key, ...]
    values: Array

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

    def by_seed(self) -> list[float]:
        """The mean of each seed's values."""
        seeds = np.array([seed for seed, _ in self.keys])
        return [float(self.values[seeds == seed].mean()) for seed in sorted({*seeds.tolist()})]


class Scores:
    """All scores of a results folder, looked up by cell and measure."""

    def __init__(self, frame: pd.DataFrame) -> None:
        columns = [
            "seed",
            "index",
            "clip",
            "scenario",
            "total",
            "real",
            "reason",
            "value",
            "influence",
        ]
        groups = frame.groupby(["cell", "score"], observed=True, sort=False)
        self._parts = {key: part[columns] for key, part in groups}
        # A sample is asked for again by every table and claim.
        self.sample = cache(self._sample)
        self.gain = cache(self._gain)

    def _sample(self, cell: str, key: str, scenario: str | None = None) -> Sample:
        """A cell's values of the measure `key`, of one scenario's clips if it is given.

        Videos without a value (a logo that is not seen) are left out. A distance has no value by
        scenario; one of records without influences has one value a seed.
        """
        measure, part = MEASURES[key], self._parts.get((cell, key))
        if part is None:
            return _nothing(measure, "no record")
        if scenario is not None:
            if measure.distance:
                return _nothing(measure, "a distance of sets is not split by scenario")
            part = part[part["scenario"] == scenario]
        if measure.distance:
            part = _pseudo_values(part)
        known = part[part["value"].notna()]
        if not len(known):
            reasons = part["reason"].dropna()
            return _nothing(measure, str(reasons.iloc[0]) if len(reasons) else "no value")
        # A whole column of floats, `real` may still be missing.
        real = known["real"].mean()
        places = known["index"].astype(str) + " " + known["clip"].astype(str)
        keys = tuple(zip(known["seed"].tolist(), places.tolist(), strict=True))
        values = known["value"].to_numpy(np.float64)
        return Sample(measure, keys, values, None if np.isnan(real) else float(real))

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
    return Gain(tuple(sample.keys[i] for i in one), values)


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


def _pseudo_values(part: pd.DataFrame) -> pd.DataFrame:
    if part["influence"].isna().any():
        firsts = part.groupby("seed", sort=False).head(1)
        return firsts.assign(value=firsts["total"], clip="all of the seed's")
    n = part.groupby("seed")["influence"].transform("size")
    return part.assign(value=part["total"] + n * part["influence"])


def _nothing(measure: Measure, reason: str) -> Sample:
    return Sample(measure, (), np.empty(0), reason=reason)


def rank(badness: Sequence[float | None]) -> list[int | None]:
    """1 for the smallest; equal ones share the better rank; None stays."""
    known = [b for b in badness if b is not None]
    return [None if b is None else 1 + sum(other < b for other in known) for b in badness]
