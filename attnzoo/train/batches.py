"""Which clips a stage sees, in which order, and every other random choice of training.

Each choice has a generator of its own, seeded by what it is for and where it stands: nothing has
to be drawn again to resume, a batch split into accumulated parts draws the same, and every variant
gets the same from the same seed.
"""

from __future__ import annotations

import itertools
import time
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from enum import IntEnum
from functools import lru_cache
from threading import Lock

import numpy as np
import torch

from attnzoo.data.clip import Batch, Clip, collate
from attnzoo.errors import UserError


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
class Share:
    """What one of several processes does of each optimiser step.

    A step has `step` clips whatever the number of processes, so that each random choice, keyed by a
    clip's number, stays what it is. batch: clips of a forward pass of this process; accumulate: its
    passes; offsets: the first clip of each pass, counted from the step's first.
    """

    step: int
    batch: int
    accumulate: int
    offsets: tuple[int, ...]

    @classmethod
    def of(cls, batch: int, accumulate: int, index: int, count: int) -> Share:
        """That of process `index` of `count`: some of the passes, or else a part of each.

        Raises:
            UserError: neither passes nor clips of a pass can be divided among so many.
        """
        step, parts = batch * accumulate, accumulate
        if accumulate % count == 0:
            parts = accumulate // count
            starts = [(index * parts + part) * batch for part in range(parts)]
        elif batch % count == 0:
            batch //= count
            starts = [part * batch * count + index * batch for part in range(parts)]
        else:
            raise UserError(
                f"train.batch={batch} train.accumulate={accumulate}: one of them must be a "
                f"multiple of the {count} processes, which share each step's clips"
            )
        return cls(step, batch, parts, tuple(starts))

    def firsts(self, start: int, stop: int) -> Iterator[int]:
        """The number of the first clip of each pass of steps `start` to `stop` (exclusive)."""
        return (number * self.step + at for number in range(start, stop) for at in self.offsets)


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
        yield from self.starting(range(start * self.batch, stop * self.batch, self.batch))

    def starting(self, firsts: Iterable[int]) -> Iterator[tuple[int, Batch]]:
        """Batches that begin at these numbers, each with its own; no more of them than are due."""
        firsts, ahead = itertools.tee(firsts)
        made = self._made(first + i for first in ahead for i in range(self.batch))
        for first in firsts:
            yield first, collate([next(made) for _ in range(self.batch)])

    def _made(self, numbers: Iterable[int]) -> Iterator[Clip]:
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
