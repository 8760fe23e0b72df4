"""The one place where time is measured.

All candidates run once in each round, in an order that changes from round to round, so that what
disturbs the machine for a while disturbs them all; ratios are taken within a round. Stated are
medians and quartiles, and how many rounds stand behind them.
"""

from __future__ import annotations

import gc
import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from scipy.stats import binom

Run = Callable[[], object]
"""What is timed: everything it needs is already made; its result is dropped."""

LEAST_ROUNDS = 5
"""Rounds before which no interval is believed."""


@runtime_checkable
class Clocked(Protocol):
    """A candidate that is timed elsewhere, by `timed` in another process, or as a difference."""

    def seconds(self) -> float:
        """Seconds of one run."""
        ...


Candidate = Run | Clocked


@dataclass(frozen=True)
class Spread:
    """Median and quartiles (linear interpolation) of `n` values, in the values' unit."""

    median: float
    low: float
    high: float
    n: int

    @staticmethod
    def of(values: Sequence[float]) -> Spread:
        """The spread of at least one value."""
        low, median, high = np.quantile(values, (0.25, 0.5, 0.75)).tolist()
        return Spread(median, low, high, len(values))


def interval(values: Sequence[float], level: float = 0.95) -> tuple[float, float]:
    """Confidence interval of the median by order statistics, for any distribution.

    Of fewer than 6 values it is their range, which covers less than 95 %.
    """
    k = _rank(len(values), level)
    ordered = sorted(values)
    return ordered[k - 1], ordered[-k]


@cache
def _rank(n: int, level: float) -> int:
    """The median lies below the k-th least of n values with the probability that a fair coin
    shows heads fewer than k times.
    """
    return max(1, int(np.sum(binom.cdf(np.arange(n // 2), n, 0.5) <= (1 - level) / 2)))


@dataclass(frozen=True)
class Measurement:
    """Seconds of each candidate, a value per round, the first round the same for all.

    A candidate that was known well enough before the others has fewer.
    """

    seconds: Mapping[str, tuple[float, ...]]

    @property
    def rounds(self) -> int:
        """How many rounds were timed."""
        return max(map(len, self.seconds.values()))

    def spread(self, name: str) -> Spread:
        """Spread of one candidate's seconds over the rounds."""
        return Spread.of(self.seconds[name])

    def ratio(self, name: str, baseline: str) -> Spread:
        """Spread over the rounds of this candidate's time divided by the baseline's."""
        return Spread.of(self.ratios(name, baseline))

    def ratios(self, name: str, baseline: str) -> list[float]:
        """This candidate's time divided by the baseline's, of every round that has both."""
        pairs = zip(self.seconds[name], self.seconds[baseline], strict=False)
        return [mine / base for mine, base in pairs]


def measure(
    candidates: Mapping[str, Candidate],
    *,
    rounds: int = 5,
    warmup: int = 1,
    limit: float | None = None,
    width: float | None = None,
    earlier: Mapping[str, Sequence[float]] | None = None,
    told: Callable[[Mapping[str, float]], None] | None = None,
    device: torch.device | None = None,
    seed: int = 0,
) -> Measurement:
    """Times every candidate `rounds` times, interleaved, after `warmup` rounds that do not count.

    Args:
        candidates: runs by name.
        rounds: at most so many; `earlier` ones are among them.
        warmup: rounds that do not count, of the candidates that will be timed.
        limit: seconds after which no further round begins; one is always finished.
        width: a candidate rests once the interval of its median is known to +- this share of it;
            None: all stay to the last round, so that ratios have every round.
        earlier: seconds that a run that was cut short has left.
        told: is told the seconds of each round when it is done.
        device: what the candidates run on; a CUDA device is waited for before each reading.
        seed: of the order within the rounds.

    Python's garbage collector rests meanwhile.

    Raises:
        ValueError: without candidates, with rounds < 1 or warmup < 0.
    """
    if not candidates or rounds < 1 or warmup < 0:
        raise ValueError(
            f"{len(candidates)} candidates, rounds={rounds}, warmup={warmup}: "
            "at least one candidate, one round and no negative warm-up are needed"
        )
    order = random.Random(seed)
    seconds = {name: list((earlier or {}).get(name, ())) for name in candidates}
    names = [name for name in candidates if not _known(seconds[name], rounds, width)]
    with _no_collection():
        for _ in range(warmup):
            for name in names:
                timed(candidates[name], device)
        start = time.perf_counter()
        first = True
        while names and (first or limit is None or time.perf_counter() - start <= limit):
            first = False
            order.shuffle(names)
            taken = {name: timed(candidates[name], device) for name in names}
            for name, value in taken.items():
                seconds[name].append(value)
            if told is not None:
                told(taken)
            names = [name for name in names if not _known(seconds[name], rounds, width)]
    return Measurement({name: tuple(seconds[name]) for name in candidates})


def _known(seconds: Sequence[float], rounds: int, width: float | None) -> bool:
    """Whether no further round is needed."""
    if len(seconds) >= rounds:
        return True
    if width is None or len(seconds) < LEAST_ROUNDS:
        return False
    low, high = interval(seconds)
    return high - low <= 2 * width * Spread.of(seconds).median


def timed(candidate: Candidate, device: torch.device | None = None) -> float:
    """Seconds of one run."""
    if isinstance(candidate, Clocked):
        return candidate.seconds()
    wait = _waiter(device)
    wait()
    start = time.perf_counter()
    candidate()
    wait()
    return time.perf_counter() - start


def _waiter(device: torch.device | None) -> Callable[[], None]:
    if device is not None and device.type == "cuda":
        return lambda: torch.cuda.synchronize(device)
    return lambda: None


@contextmanager
def _no_collection() -> Iterator[None]:
    gc.collect()
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
