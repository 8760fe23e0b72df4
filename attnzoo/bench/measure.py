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

import numpy as np
import torch

Run = Callable[[], object]
"""What is timed: everything it needs is already made; its result is dropped."""


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


@dataclass(frozen=True)
class Measurement:
    """Seconds of each candidate, a value per round; the rounds are the same for all."""

    seconds: Mapping[str, tuple[float, ...]]

    @property
    def rounds(self) -> int:
        """How many rounds were timed."""
        return len(next(iter(self.seconds.values())))

    def spread(self, name: str) -> Spread:
        """Spread of one candidate's seconds over the rounds."""
        return Spread.of(self.seconds[name])

    def ratio(self, name: str, baseline: str) -> Spread:
        """Spread over the rounds of this candidate's time divided by the baseline's."""
        pairs = zip(self.seconds[name], self.seconds[baseline], strict=True)
        return Spread.of([mine / base for mine, base in pairs])


def measure(
    candidates: Mapping[str, Run],
    *,
    rounds: int = 5,
    warmup: int = 1,
    limit: float | None = None,
    device: torch.device | None = None,
    seed: int = 0,
) -> Measurement:
    """Times every candidate `rounds` times, interleaved, after `warmup` rounds that do not count.

    limit: seconds after which no further round begins; one is always finished. device: what the
    candidates run on; a CUDA device is waited for before each reading of the clock. seed: of the
    order within the rounds. Python's garbage collector rests meanwhile.

    Raises:
        ValueError: without candidates, with rounds < 1 or warmup < 0.
    """
    if not candidates or rounds < 1 or warmup < 0:
        raise ValueError(
            f"{len(candidates)} candidates, rounds={rounds}, warmup={warmup}: "
            "at least one candidate, one round and no negative warm-up are needed"
        )
    order = random.Random(seed)
    names = list(candidates)
    wait = _waiter(device)
    seconds: dict[str, list[float]] = {name: [] for name in names}
    with _no_collection():
        for _ in range(warmup):
            for name in names:
                _timed(candidates[name], wait)
        start = time.perf_counter()
        for done in range(rounds):
            if done and limit is not None and time.perf_counter() - start > limit:
                break
            order.shuffle(names)
            for name in names:
                seconds[name].append(_timed(candidates[name], wait))
    return Measurement({name: tuple(seconds[name]) for name in candidates})


def _timed(run: Run, wait: Callable[[], None]) -> float:
    wait()
    start = time.perf_counter()
    run()
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
