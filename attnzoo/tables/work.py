"""What a worker process does: one run, or one profile."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from attnzoo import config
from attnzoo.composing import composed
from attnzoo.data.clip import collate
from attnzoo.job import environment_of, profiler
from attnzoo.tables.folder import publish, working
from attnzoo.tables.jobs import Job
from attnzoo.tables.watching import Keeper
from attnzoo.train import experiment as training
from attnzoo.train.device import choose_device


def run_job(folder: Path, job: Job) -> None:
    """Runs a job, from its checkpoint where there is one, and puts what it makes into its places.

    Raises:
        UserError: what `attnzoo.train.experiment.run` raises.
    """
    cfg = composed(job.overrides)
    experiment, source = config.experiment_of(cfg), config.source_of(cfg)
    work = working(folder, job)
    cell = Path(job.place).parent.name
    record = training.run(
        experiment,
        source,
        work,
        resume=True,
        environment={
            **environment_of(experiment),
            "overrides": list(job.overrides),
            "key": job.key,
            "reused": False,
        },
        watch=Keeper(work, cell, experiment, job.clips is not None, job.curves),
        pictures=False,
    )
    publish(folder, job, record)


def profile_cell(overrides: Sequence[str], rounds: int) -> dict[str, Any]:
    """What the model of these overrides costs, and where that was measured; nothing is trained."""
    cfg = composed(overrides)
    experiment, source = config.experiment_of(cfg), config.source_of(cfg)
    device = choose_device(experiment.device)
    model = training.inflated(experiment, experiment.model.build).to(device)
    batch = collate([source.test[0]]).to(device)
    return {
        "profile": profiler(experiment, rounds=rounds)(model, batch),
        "environment": environment_of(experiment),
    }
