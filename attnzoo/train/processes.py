"""The processes of one run, as `accelerate launch` or torchrun starts them.

Each holds the whole model, trains on its share of every optimiser step, and makes its share of the
scored clips; the first alone writes and prints. What the processes tell each other beside gradients
goes over gloo, so it needs no GPU.
"""

from __future__ import annotations

import atexit
import contextlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

import torch
import torch.distributed

from attnzoo.errors import UserError
from attnzoo.signals import left_to_the_system

T = TypeVar("T")

MEET, WAIT = timedelta(minutes=10), timedelta(hours=2)
"""How long one process waits for another, at first and later: a checkpoint may take minutes."""

_CLAIM = "attnzoo/error"


@dataclass(frozen=True)
class Processes:
    """This process among those of its run: number `index` of `count`."""

    index: int = 0
    count: int = 1
    store: Any = None

    @property
    def first(self) -> bool:
        """Whether this is the one that writes and prints."""
        return self.index == 0

    def told(self, value: T | None) -> T:
        """What the first process gives here; the others give None."""
        values: list[Any] = [value]
        if self.count > 1:
            torch.distributed.broadcast_object_list(values, src=0)
        told: T = values[0]
        return told

    def agreed(self, value: float, *wishes: bool) -> tuple[float, tuple[bool, ...]]:
        """The mean of all values, not finite if one is not, and what any process wishes."""
        if self.count == 1:
            return value, wishes
        shared = torch.tensor([value, *map(float, wishes)], dtype=torch.float64)
        torch.distributed.all_reduce(shared)
        mean, *wished = shared.tolist()
        return mean / self.count, tuple(wish > 0 for wish in wished)

    def any_of(self, value: T | None) -> T | None:
        """The first of all processes' values that is not None, for each of them."""
        if self.count == 1:
            return value
        values: list[T | None] = [None] * self.count
        torch.distributed.all_gather_object(values, value)
        return next((v for v in values if v is not None), None)

    def gathered(self, mine: Sequence[T]) -> list[T] | None:
        """All of a list, in order, for the first process; None for the others.

        Process `i` has those at `i`, `i + count`, and so on.
        """
        if self.count == 1:
            return list(mine)
        parts: list[Any] | None = [None] * self.count if self.first else None
        torch.distributed.gather_object(list(mine), parts)
        if parts is None:
            return None
        total = sum(map(len, parts))
        return [parts[i % self.count][i // self.count] for i in range(total)]

    def wait(self) -> None:
        """Until all processes are here."""
        if self.count > 1:
            torch.distributed.barrier()

    def speaks(self) -> bool:
        """Whether this process is to say what went wrong: the first of all that asks.

        Where one fails the others lose their connection to it, which nobody wants to read.
        """
        if self.count == 1:
            return True
        try:
            who = self.store.compare_set(_CLAIM, "", str(self.index))
        except RuntimeError:  # the store is gone with a process that has spoken
            return False
        return bool(who == str(self.index).encode())

    def leave(self) -> None:
        """Ends the connections to the others."""
        if self.count > 1 and torch.distributed.is_initialized():
            with contextlib.suppress(RuntimeError):  # to those that are gone
                torch.distributed.destroy_process_group()


ALONE = Processes()


_JOINED: list[Processes] = []


def joined() -> Processes:
    """This process among those that it has joined, alone if it has not."""
    return _JOINED[0] if _JOINED else ALONE


def join() -> Processes:
    """This process among those that a launcher has started, connected; alone without a launcher.

    To be called once or more in a process's life.

    Raises:
        UserError: the launcher's variables are not whole, or the others cannot be reached.
    """
    if _JOINED or os.environ.get("WORLD_SIZE", "1") == "1":
        return joined()
    from torch.distributed.rendezvous import rendezvous

    try:
        # Waiting is not Python's, so that no handler would be called; nothing is there to be saved.
        with left_to_the_system():
            store, index, count = next(iter(rendezvous("env://", timeout=MEET)))
            # CUDA's own for gradients, gloo for all else.
            backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
            torch.distributed.init_process_group(
                backend, store=store, rank=index, world_size=count, timeout=WAIT
            )
    except (ValueError, RuntimeError) as error:
        raise UserError(
            f"WORLD_SIZE={os.environ['WORLD_SIZE']}: the processes cannot connect ({error}); start "
            "them by accelerate launch or torchrun"
        ) from error
    _JOINED.append(Processes(index, count, store))
    atexit.register(_JOINED[0].leave)
    return _JOINED[0]
