"""What the intervals are worth: how often they hold the true value, by simulation.

Each world is a distribution whose truth is known: means of five kinds of scores, Fréchet distances
of five kinds of features. The truth of a distance is its expectation at the same number of videos,
taken from draws of its own.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from attnzoo.metrics.frechet import factored, frechet_distance
from attnzoo.metrics.statistics.frechet import frechet_interval
from attnzoo.metrics.statistics.interval import Interval
from attnzoo.metrics.statistics.mean import bca, mean_interval, student
from attnzoo.metrics.statistics.paired import sign_flip_test

Array = NDArray[np.float64]

MEAN_VIDEOS = (2, 3, 5, 8, 10, 20, 50, 100)
FRECHET_VIDEOS = (4, 6, 10, 20, 50, 100)
TRUTH_DRAWS = 4


@dataclass(frozen=True)
class Coverage:
    """One row of the table.

    what: mean, distance or test. world: the distribution. n: videos. method: how the interval was
    found. nominal, actual: the share that should hold the truth and the share that did (of a test:
    the share of false alarms). error: the simulation's own standard error of `actual`.
    simulations: how many.
    """

    what: str
    world: str
    n: int
    method: str
    nominal: float
    actual: float
    error: float
    simulations: int


@dataclass(frozen=True)
class ScoreWorld:
    """Scores of videos: `draw(rng, shape)` and their true mean."""

    name: str
    mean: float
    draw: Callable[[np.random.Generator, tuple[int, int]], Array]


SCORE_WORLDS = (
    ScoreWorld("normal", 0.0, lambda rng, shape: rng.normal(size=shape)),
    ScoreWorld("beta(8, 2), as SSIM", 0.8, lambda rng, shape: rng.beta(8, 2, size=shape)),
    ScoreWorld("exponential", 1.0, lambda rng, shape: rng.exponential(size=shape)),
    ScoreWorld("log-normal", math.exp(0.5), lambda rng, shape: rng.lognormal(size=shape)),
    ScoreWorld(
        "1 of 10 fails",
        0.1 * 8,
        lambda rng, shape: rng.normal(size=shape) + 8 * (rng.uniform(size=shape) < 0.1),
    ),
)


@dataclass(frozen=True)
class FeatureWorld:
    """Features of n real and n generated videos.

    Directions have variances falling as 1/k. The generated ones differ by `shift` and `scale`.
    `heavy`: lengths as of Student's t with 4 degrees. `paired`: each generated video shares most
    of its features with a real one. `rows`: clips of a video, which share most of theirs.
    """

    name: str
    dimensions: int = 64
    shift: float = 0.3
    scale: float = 1.3
    heavy: bool = False
    paired: bool = False
    rows: int = 1

    def draw(self, rng: np.random.Generator, n: int) -> tuple[Tensor, Tensor]:
        """Features `[n * rows, dimensions]` of both."""
        size = (n, self.dimensions)
        deviations = np.arange(1, self.dimensions + 1) ** -0.5
        one = rng.normal(size=size)
        two = 0.8 * one + 0.6 * rng.normal(size=size) if self.paired else rng.normal(size=size)
        sets = []
        for values, scale, shift in ((one, 1.0, 0.0), (two, self.scale, self.shift)):
            if self.heavy:
                values = values / np.sqrt(rng.chisquare(4, size=(n, 1)) / 4)
            if self.rows > 1:
                own = rng.normal(size=(n, self.rows, self.dimensions))
                values = (0.8 * values[:, None] + 0.6 * own).reshape(-1, self.dimensions)
            sets.append(torch.from_numpy((scale * values + shift) * deviations))
        return sets[0], sets[1]

    def videos(self, n: int) -> tuple[Tensor, Tensor]:
        """Each row's video."""
        own = torch.arange(n).repeat_interleave(self.rows)
        return own, own if self.paired else own + n


FEATURE_WORLDS = (
    FeatureWorld("different"),
    FeatureWorld("equal", shift=0.0, scale=1.0),
    FeatureWorld("pairs", paired=True),
    FeatureWorld("4 clips a video", rows=4),
    FeatureWorld("heavy tails", heavy=True),
    FeatureWorld("2048 dimensions", dimensions=2048),
)


def simulate(simulations: int, level: float = 0.95, seed: int = 0) -> Iterator[Coverage]:
    """All rows of the table, each from `simulations` draws of its own."""
    for i, world in enumerate(SCORE_WORLDS):
        for n in MEAN_VIDEOS:
            rng = np.random.default_rng([seed, 1, i, n])
            yield from _means(world, n, simulations, level, rng)
    for i, features in enumerate(FEATURE_WORLDS):
        for n in FRECHET_VIDEOS:
            rng = np.random.default_rng([seed, 2, i, n])
            yield _distances(features, n, simulations, level, rng)
    for i, world in enumerate(SCORE_WORLDS):
        for n in MEAN_VIDEOS[2:]:
            rng = np.random.default_rng([seed, 3, i, n])
            yield _false_alarms(world, n, simulations, 1 - level, rng)


def rows_to_come() -> int:
    """How many rows `simulate` yields."""
    small = sum(n < 3 for n in MEAN_VIDEOS)
    means = len(SCORE_WORLDS) * (3 * len(MEAN_VIDEOS) - small)
    tests = len(SCORE_WORLDS) * len(MEAN_VIDEOS[2:])
    return means + len(FEATURE_WORLDS) * len(FRECHET_VIDEOS) + tests


def _row(
    what: str, world: str, n: int, method: str, nominal: float, hits: int, simulations: int
) -> Coverage:
    share = hits / simulations
    # At 0 or 1 the usual error would be nothing; one more of each kind keeps it honest.
    smoothed = (hits + 1) / (simulations + 2)
    error = math.sqrt(smoothed * (1 - smoothed) / simulations)
    return Coverage(what, world, n, method, nominal, share, error, simulations)


def _means(
    world: ScoreWorld, n: int, simulations: int, level: float, rng: np.random.Generator
) -> Iterator[Coverage]:
    methods = {"in use": lambda x, seed: _ends(mean_interval(x.tolist(), level, seed))}
    methods["Student's t"] = lambda x, seed: student(x, level)
    if n > 2:
        methods["BCa"] = lambda x, seed: bca(x, level, seed)
    draws = world.draw(rng, (simulations, n))
    for method, interval in methods.items():
        ends = [interval(x, k) for k, x in enumerate(draws)]  # type: ignore[no-untyped-call]
        hits = sum(low <= world.mean <= high for low, high in ends)
        yield _row("mean", world.name, n, method, level, hits, simulations)


def _distances(
    world: FeatureWorld, n: int, simulations: int, level: float, rng: np.random.Generator
) -> Coverage:
    truths = [_distance(*world.draw(rng, n)) for _ in range(TRUTH_DRAWS * simulations)]
    truth = float(np.mean(truths))
    hits = 0
    for _ in range(simulations):
        low, high = _ends(frechet_interval(*world.draw(rng, n), *world.videos(n), level))
        hits += low <= truth <= high
    return _row("distance", world.name, n, "in use", level, hits, simulations)


def _distance(real: Tensor, fake: Tensor) -> float:
    return frechet_distance(factored(real), factored(fake))


def _ends(found: Interval) -> tuple[float, float]:
    if found.low is None or found.high is None:
        raise ValueError(found.method)
    return found.low, found.high


def _false_alarms(
    world: ScoreWorld, n: int, simulations: int, alpha: float, rng: np.random.Generator
) -> Coverage:
    """Two variants whose scores are of one distribution, about a value that is the video's."""
    first, second = world.draw(rng, (simulations, n)), world.draw(rng, (simulations, n))
    hits = sum(
        sign_flip_test((a - b).tolist(), k) <= alpha
        for k, (a, b) in enumerate(zip(first, second, strict=True))
    )
    return _row("test", world.name, n, "sign flips", alpha, hits, simulations)
