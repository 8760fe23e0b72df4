"""Scores as samples over pairs of video and seed, and how much better one cell is than another.

Each seed is scored on videos of its own, so a pair is one generated video. A distance of sets has
no value of each video; in its place stands the jackknife's pseudo-value, the seed's distance plus n
times the video's influence, whose mean is the distance and whose spread gives its standard error
(Efron, 1982).

Videos of one seed come from one training and vary together, so that seeds are the units of
intervals and tests. How much better is one number for all measures: the *gain*, the share of the
reference's badness that is gone, `1 - mean(b) / mean(b_ref)` over the pairs of a seed that both
have, and over seeds the geometric mean of these ratios. Its interval and test are Student's t of
the ratios' logarithm; the variance of few seeds is moderated by comparisons alike
(`attnzoo.report.moderation`).
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache, cached_property
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from attnzoo.metrics.statistics import Interval, mean_interval
from attnzoo.report.measures import MEASURES, Array, Measure
from attnzoo.report.moderation import Prior, Spread, fitted

LEVEL = 0.95

COLUMNS = ("seed", "index", "clip", "scenario", "total", "real", "reason", "value", "influence")
"""What is taken of a data frame of results, beside cell and score."""

Key = tuple[int, str]
"""Seed, and the clip by its place among the seed's and its name: names need not be unique."""


@dataclass(frozen=True)
class Sample:
    """A cell's values of one measure, `[n]`, and whose they are.

    real: of the real clips, or None; reason: why there are none; reals: the real clips' of each
    value's record, nan where there is none.
    """

    measure: Measure
    keys: tuple[Key, ...]
    values: Array
    real: float | None = None
    reason: str = ""
    reals: Array = field(default_factory=lambda: np.empty(0))

    @property
    def badness(self) -> Array:
        """See `Measure.badness`; of a distance the values themselves."""
        return self.measure.badness(self.values)


@dataclass(frozen=True)
class Family:
    """Comparisons, each a cell and its reference, whose seeds vary alike, and of which tables."""

    tables: tuple[str, ...]
    pairs: tuple[tuple[str, str], ...]

    @cached_property
    def cells(self) -> frozenset[str]:
        """All that are compared."""
        return frozenset(cell for pair in self.pairs for cell in pair)


@dataclass(frozen=True)
class Gain:
    """How much better a cell is than a reference; see the module.

    value: the gain. logs: of each seed the logarithm of the ratio of its own videos' mean badness;
    -inf where nothing of it is bad, nan where nothing of the reference's is. prior: what their
    variance may be, None without comparisons alike. by_videos: the variance that such a logarithm
    has from which videos a seed has, nan where that cannot be told.
    """

    value: float
    logs: Mapping[int, float]
    prior: Prior | None = None
    by_videos: float = math.nan

    @staticmethod
    def of(logs: Mapping[int, float], prior: Prior | None = None) -> Gain:
        """By the geometric mean of the seeds' ratios, which must be finite."""
        return Gain(1 - math.exp(float(np.mean([*logs.values()]))), logs, prior)

    def own(self) -> Spread:
        """Variance of the seeds' logarithms and its degrees of freedom; nan where there is none."""
        return _spread(self.logs.values())

    def spread(self) -> tuple[float, float]:
        """Variance of the seeds' logarithms, moderated, and its degrees of freedom.

        Both nan where it cannot be had.
        """
        variance, freedom = self.own()
        if math.isnan(variance):
            return math.nan, math.nan
        if self.prior is None:
            return variance, float(freedom)
        return self.prior.moderated(variance, freedom)

    def interval(self, level: float = LEVEL) -> Interval:
        """Its interval over seeds."""
        variance, freedom = self.spread()
        why = self._no_test(variance)
        if why:
            return Interval(self.value, None, None, len(self.logs), f"no interval: {why}")
        half = float(stats.t.ppf((1 + level) / 2, freedom)) * (variance / len(self.logs)) ** 0.5
        low, high = (1 - (1 - self.value) * math.exp(end) for end in (half, -half))
        method = f"Student's t of the logarithm over {len(self.logs)} seeds"
        return Interval(self.value, low, high, len(self.logs), method)

    def p(self) -> float | None:
        """Two-sided, that the gain is zero; None where that cannot be tested."""
        variance, freedom = self.spread()
        if self._no_test(variance):
            return None
        error = (variance / len(self.logs)) ** 0.5
        return float(2 * stats.t.sf(abs(math.log1p(-self.value)) / error, freedom))

    def _no_test(self, variance: float) -> str:
        """Why there is none, or nothing."""
        if len(self.logs) < 2:
            return "one seed"
        if math.isnan(variance) or self.value >= 1:
            return "nothing is bad in some seed"
        return "" if variance > 0 else "all seeds are equal"


class Scores:
    """All scores of a results folder, looked up by cell and measure.

    families: what is compared with a cell of one is moderated by it, as if its own variance were
    one of that family's.
    """

    def __init__(self, frame: pd.DataFrame, families: Sequence[Family] = ()) -> None:
        self._families = families
        # Arrays, and the places of each cell's score in them: a frame of its own for each of
        # thousands costs far more than what is then done with it.
        self._rows = frame.groupby(["cell", "score"], observed=True, sort=False).indices
        self._columns = {name: frame[name].to_numpy() for name in COLUMNS}
        # A sample is asked for again by every table and claim.
        self.sample = cache(self._sample)
        self.gain = cache(self._gain)
        self.estimate = cache(self._estimate)
        self._prior = cache(self._fitted)

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
        there = reals[~np.isnan(reals)]
        real = float(there.mean()) if len(there) else None
        return Sample(measure, keys, part["value"].astype(np.float64), real, reals=reals)

    def _estimate(
        self, cell: str, key: str, scenario: str | None = None, level: float = LEVEL
    ) -> Interval:
        """A cell's mean with its interval over seeds.

        By the variance of its own seeds: those of other cells, which are scored on the same clips,
        say the same again. Of a single seed it is over that seed's videos, and knows nothing of
        other trainings.

        Raises:
            ValueError: the cell has no value.
        """
        sample = self.sample(cell, key, scenario)
        of_seeds = levels(sample)
        if len(of_seeds) < 2:
            return of_one_seed(sample, level)
        variance, freedom = _spread(of_seeds.values())
        n, mean = len(sample.values), float(sample.values.mean())
        if not variance > 0:
            return Interval(mean, None, None, n, "no interval: all seeds are equal, or have none")
        half = float(stats.t.ppf((1 + level) / 2, freedom)) * (variance / len(of_seeds)) ** 0.5
        if sample.measure.distance:
            ends = mean * math.exp(-half), mean * math.exp(half)
            return Interval(mean, *ends, n, "distance, Student's t of the logarithm over seeds")
        least, most = sample.measure.bounds
        low, high = max(mean - half, least), min(mean + half, most)
        return Interval(mean, low, high, n, "mean, Student's t over seeds")

    def badness(self, cell: str, key: str) -> float | None:
        """A number that is smaller for the better of two cells, None without a value.

        The mean, but for measures whose best is zero, whose values of either sign would cancel.
        """
        sample = self.sample(cell, key)
        if not len(sample.values):
            return None
        if sample.measure.better == "zero":
            return float(sample.badness.mean())
        mean = float(sample.values.mean())
        return -mean if sample.measure.better == "higher" else mean

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
        found = self._bare(cell, reference, key, scenario)
        place = self._family(cell, reference)
        if found is None or place is None:
            return found
        return replace(found, prior=self._prior(place, key, scenario))

    def _family(self, cell: str, reference: str) -> int | None:
        """The first family that has both, or else the reference."""
        cells = [family.cells for family in self._families]
        both = (i for i, of in enumerate(cells) if cell in of and reference in of)
        one = (i for i, of in enumerate(cells) if reference in of)
        return next(both, next(one, None))

    def _bare(self, cell: str, reference: str, key: str, scenario: str | None) -> Gain | None:
        return gain(self.sample(cell, key, scenario), self.sample(reference, key, scenario))

    def _fitted(self, place: int, key: str, scenario: str | None) -> Prior | None:
        """What variances are of a family's comparisons."""
        found = (self._bare(*pair, key, scenario) for pair in self._families[place].pairs)
        return fitted([one.own() for one in found if one is not None])


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
    seeds = np.array([sample.keys[i][0] for i in one])
    of_seeds = [seeds == seed for seed in sorted({*seeds.tolist()})]
    logs = {int(seeds[of][0]): _log_ratio(ours[of].mean(), theirs[of].mean()) for of in of_seeds}
    found = Gain(float(1 - ours.mean() / theirs.mean()), logs)
    if np.isfinite([*logs.values()]).all():
        found = replace(Gain.of(logs), by_videos=_by_videos(ours, theirs, of_seeds))
    return found


def _log_ratio(ours: float, theirs: float) -> float:
    if theirs <= 0:
        return math.nan
    return math.log(ours / theirs) if ours > 0 else -math.inf


def _by_videos(ours: Array, theirs: Array, seeds: Sequence[Array]) -> float:
    """Variance of a seed's logarithm by its videos, from the ratio's linearised values.

    The first videos of all seeds are of one scenario, and so on: what that makes is taken off.
    """
    if len({int(of.sum()) for of in seeds}) > 1 or len(seeds) < 2 or seeds[0].sum() < 2:
        return math.nan
    values = np.stack([ours[of] / ours[of].mean() - theirs[of] / theirs[of].mean() for of in seeds])
    s, n = values.shape
    rest = values - values.mean(axis=0)  # each seed's own mean is zero
    return float((rest**2).sum() / ((s - 1) * (n - 1)) / n)


def of_one_seed(sample: Sample, level: float = LEVEL) -> Interval:
    """A sample's mean with its interval over videos; of a distance by its logarithm.

    Raises:
        ValueError: for an empty sample.
    """
    n, mean = len(sample.values), float(sample.values.mean())
    if not sample.measure.distance or n < 2:
        return mean_interval(sample.values.tolist(), level)
    error = float(stats.sem(sample.values))
    if mean <= 0 or error == 0:
        return Interval(mean, None, None, n, "no interval: the distance or its spread is zero")
    half = float(stats.t.ppf((1 + level) / 2, n - 1)) * error / mean
    method = f"distance, jackknife over {n} videos, Student's t of the logarithm"
    return Interval(mean, mean * np.exp(-half), mean * np.exp(half), n, method)


def levels(sample: Sample) -> dict[int, float]:
    """The mean of each seed's videos; of a distance its logarithm, nan of none."""
    seeds = np.array([seed for seed, _ in sample.keys])
    means = {int(s): float(sample.values[seeds == s].mean()) for s in np.unique(seeds)}
    if not sample.measure.distance:
        return means
    return {s: math.log(mean) if mean > 0 else math.nan for s, mean in means.items()}


def _spread(values: Collection[float]) -> Spread:
    """Variance and its degrees of freedom, nan where it cannot be had."""
    found = np.array([*values])
    known = len(found) > 1 and bool(np.isfinite(found).all())
    return (float(found.var(ddof=1)) if known else math.nan), len(found) - 1


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
