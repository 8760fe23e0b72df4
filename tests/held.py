"""What a process holds, and what rounds of work in it leave behind."""

from __future__ import annotations

import gc
import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from unittest.mock import patch

import psutil
import torch
from torch import nn

import attnzoo
from attnzoo import job, registry, run
from attnzoo.testing.small_unet import FRAMES, inputs, motion, stock

RUN = (
    "attn=stsa", "size=[2,4,4]", "data.size=32", "data.frames=4", "data.clips=2",
    "train.stage1.steps=1", "train.stage1.warmup=0", "train.stage2.steps=1",
    "train.stage2.warmup=0", "sample.steps=1", "sample.clips=2", "device=cpu",
)  # fmt: skip
"""The smallest whole run."""
PROFILED = 25


@dataclass(frozen=True)
class Held:
    """Open files, threads, Python objects, storage of tensors and resident memory, in bytes."""

    files: int
    threads: int
    objects: int
    tensors: int
    resident: int

    @classmethod
    def now(cls) -> Held:
        """After all that can go has gone."""
        gc.collect()
        everything = gc.get_objects()
        storages: dict[int, int] = {}
        for one in everything:
            # Those of torch's transforms have no storage of their own.
            with suppress(NotImplementedError):
                if type(one) in (torch.Tensor, torch.nn.Parameter):
                    storages[one.untyped_storage().data_ptr()] = one.untyped_storage().nbytes()
        process = psutil.Process()
        return cls(
            len(os.listdir("/proc/self/fd")),
            process.num_threads(),
            len(everything),
            sum(storages.values()),
            process.memory_info().rss,
        )

    def __sub__(self, other: Held) -> Held:
        return Held(*(getattr(self, name) - getattr(other, name) for name in vars(self)))


def grown(work: Callable[[int], None], warm: int, rounds: int) -> Held:
    """How much more is held after `rounds` of `work` than after `warm` ones before them."""
    for i in range(warm):
        work(i)
    # The first look makes a few objects of its own.
    Held.now()
    before = Held.now()
    for i in range(warm, warm + rounds):
        work(i)
    return Held.now() - before


def attach_rounds(warm: int, rounds: int) -> tuple[Held, int]:
    """Attaches each variant in its turn, uses it forward and back, and detaches.

    Also how many hooks of any kind the model, and torch, have that they had not before.
    """
    unet, follows = stock(), motion(1)
    given, names = inputs(1), registry.list_variants()

    def hooks() -> int:
        own = (kept for m in unet.modules() for name, kept in vars(m).items() if _is_hooks(name))
        of_all = (kept for name, kept in vars(nn.modules.module).items() if _is_hooks(name))
        return sum(map(len, (*own, *of_all)))

    def work(i: int) -> None:
        attnzoo.attach(unet, names[i % len(names)], frames=FRAMES)
        with attnzoo.motion(follows):
            unet(*given).sample.sum().backward()
        unet.zero_grad()
        attnzoo.detach(unet)

    before = hooks()
    return grown(work, warm, rounds), hooks() - before


def _is_hooks(name: str) -> bool:
    return name.endswith(("_hooks", "_hooks_with_kwargs", "_hooks_always_called"))


def runs(folder: Path, warm: int, rounds: int) -> Held:
    """Whole runs, one after another in this process; one of `PROFILED` is profiled, as all are
    by the command, since that takes most of the time.
    """
    profiler = job.profiler

    def work(i: int) -> None:
        profiled = i % PROFILED == PROFILED - 1
        with patch.object(job, "profiler", profiler if profiled else lambda experiment: None):
            run.command([*RUN, f"seed={i}", f"hydra.run.dir={folder}/{i}"])
        assert (folder / str(i) / "record.json").is_file()

    return grown(work, warm, rounds)
