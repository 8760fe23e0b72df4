"""Which clips a stage sees, in which order, and every other random choice of training.

Each choice has a generator of its own, seeded by what it is for and where it stands: nothing has
to be drawn again to resume, a batch split into accumulated parts draws the same, and every variant
gets the same from the same seed.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from enum import IntEnum
from functools import lru_cache
from threading import Lock

import numpy as np
import torch

from attnzoo.data.clip import Batch, Clip, collate


class Purpose(IntEnum):
    """What is drawn; part of a generator's key, so the values stay as they are."""

    order = 1
    time = 2
    noise = 3
    null = 4
    sample = 5
    dropout = 6


def key(seed: int, purpose: Purpose, *place: int) -> int:
    """A seed of 63 bits for one purpose at one place (stage, number, ...)."""
    state = np.random.SeedSequence([seed, int(purpose), *place]).generate_state(1, np.uint64)
    return int(state[0] >> np.uint64(1))


def generator(seed: int, purpose: Purpose, *place: int) -> torch.Generator:
    """A generator on the CPU, so that every device gets the same numbers."""
    return torch.Generator().manual_seed(key(seed, purpose, *place))


@lru_cache(maxsize=4)
def _epoch(seed: int, stage: int, epoch: int, clips: int) -> list[int]:
    drawn = torch.randperm(clips, generator=generator(seed, Purpose.order, stage, epoch))
    order: list[int] = drawn.tolist()
    return order


@dataclass
class Meter:
    """How many clips were made, and the seconds that it took, of several threads each its share."""

    clips: int = 0
    seconds: float = 0.0
    _lock: Lock = field(default_factory=Lock, repr=False)

    def add(self, seconds: float) -> None:
        """One more clip, from any thread."""
        with self._lock:
            self.clips += 1
            self.seconds += seconds


@dataclass(frozen=True)
class Batches:
    """The batches of one stage.

    clips: the training clips; batch: how many a batch has; workers: threads that make clips ahead
    (then `clips` is indexed from several threads at once), 0 for none; meter: what they did.
    """

    clips: Sequence[Clip]
    seed: int
    stage: int
    batch: int
    workers: int = 0
    meter: Meter = field(default_factory=Meter, compare=False)

    def index(self, number: int) -> int:
        """Which clip stands at `number` of the stage's sequence: all once, then all again."""
        epoch, place = divmod(number, len(self.clips))
        return _epoch(self.seed, self.stage, epoch, len(self.clips))[place]

    def between(self, start: int, stop: int) -> Iterator[tuple[int, Batch]]:
        """Batches `start` to `stop` (exclusive), each with the number of its first clip."""
        numbers = range(start * self.batch, stop * self.batch)
        made = self._made(numbers)
        for first in numbers[:: self.batch]:
            yield first, collate([next(made) for _ in range(self.batch)])

    def _made(self, numbers: range) -> Iterator[Clip]:
        indices = (self.index(number) for number in numbers)
        if self.workers == 0:
            yield from map(self._one, indices)
            return
        # Threads, not processes: a clip's flow is a closure over its geometry, which cannot be
        # sent; rendering and decoding release the interpreter for most of their time.
        with ThreadPoolExecutor(self.workers, thread_name_prefix="clips") as pool:
            ahead: deque[Future[Clip]] = deque()
            try:
                for i in indices:
                    ahead.append(pool.submit(self._one, i))
                    if len(ahead) > 2 * self.workers:
                        yield ahead.popleft().result()
                while ahead:
                    yield ahead.popleft().result()
            finally:
                for future in ahead:
                    future.cancel()

    def _one(self, index: int) -> Clip:
        started = time.perf_counter()
        clip = self.clips[index]
        self.meter.add((time.perf_counter() - started) / max(self.workers, 1))
        return clip
