"""One of several processes that share runs, as a launcher starts it: `python sharing.py FOLDER`.

Its environment holds what torchrun sets. What it finds is in FOLDER, the runs' own files included.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from tiny_run import Interrupting, tiny_clip, tiny_experiment, tiny_run, tiny_source
from torch import Tensor

from attnzoo import commands
from attnzoo.data.clip import Clip
from attnzoo.data.source import Source
from attnzoo.errors import UserError
from attnzoo.train.processes import Processes, join
from attnzoo.train.settings import Experiment, Sampling, Schedule, Stage


class Terminated(Interrupting):
    """Clips; while the `at`-th one is made this process gets a SIGTERM."""

    def __init__(self, at: int) -> None:
        super().__init__(0, SystemExit())
        self.clip = at

    def __getitem__(self, index: Any) -> Any:
        self.clip -= 1
        if self.clip == 0:
            os.kill(os.getpid(), signal.SIGTERM)
        return super().__getitem__(index)


def shared(batch: int, accumulate: int) -> Experiment:
    """Three clips are sampled, of which the second process has one."""
    experiment = tiny_experiment("temporal", sampling=Sampling(steps=2, clips=3))
    # Warm-up and a falling rate: a schedule that goes on twice a step is another one.
    plan = replace(
        experiment.training, batch=batch, accumulate=accumulate, weight_decay=0.0,
        stage1=Stage(3, 1e-2, 2), schedule=Schedule.cosine,
    )  # fmt: skip
    return replace(experiment, training=plan)


def source(train: Sequence[Clip] | None = None) -> Source:
    test = [tiny_clip(100 + i) for i in range(3)]
    return replace(tiny_source(train), test=test)


def kept(found: dict[str, Tensor]) -> Callable[..., dict[str, Any]]:
    """Scores that keep what they were given, once."""

    def scores(real: Tensor, fake: Tensor, clips: Sequence[Clip]) -> dict[str, Any]:
        assert not found
        found["generated"] = fake
        return {"l1": {"value": float((real - fake).abs().mean()), "n": len(clips)}}

    return scores


def work(folder: Path, processes: Processes) -> None:
    """Runs that end, one that the second process alone is asked to stop, one whose clip is lost."""
    for name, batch, accumulate in (("batch", 2, 1), ("passes", 1, 2)):
        found: dict[str, Tensor] = {}
        experiment = shared(batch, accumulate)
        tiny_run(folder / name, experiment, source(), processes=processes, scores=kept(found))
        assert bool(found) == processes.first
        if found:
            torch.save(found["generated"], folder / f"{name}.pt")
    clips = None if processes.first else Terminated(2)
    try:
        tiny_run(folder / "stopped", shared(2, 1), source(clips), processes=processes)
    except (KeyboardInterrupt, SystemExit) as stop:
        (folder / f"stopped-{processes.index}").write_text(repr(stop))
    clips = None if processes.first else Interrupting(2, UserError("clip7 is lost"))
    tiny_run(folder / "lost", shared(2, 1), source(clips), processes=processes)


def main() -> None:
    """The process, with its exit status."""
    commands.execute(lambda _: work(Path(sys.argv[1]), join()))
