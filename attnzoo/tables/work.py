"""What a worker process does: one run, or one profile."""

from __future__ import annotations

import errno
import json
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from attnzoo import config
from attnzoo.bench.environment import Load
from attnzoo.composing import composed
from attnzoo.data.clip import collate
from attnzoo.files import remove
from attnzoo.job import environment_of, profiler
from attnzoo.tables.folder import publish, working
from attnzoo.tables.jobs import Job
from attnzoo.tables.watching import ON_THE_WAY, Keeper
from attnzoo.train import experiment as training
from attnzoo.train.device import choose_device
from attnzoo.train.record import NAME as RECORD
from attnzoo.train.record import read_record

_LOG = logging.getLogger(__name__)


def run_job(folder: Path, job: Job) -> None:
    """Runs a job, from its checkpoint where there is one, and puts what it makes into its places.

    Raises:
        UserError: what `attnzoo.train.experiment.run` raises.
    """
    cfg = composed(job.overrides)
    experiment, source = config.experiment_of(cfg), config.source_of(cfg)
    work = working(folder, job)
    _drop_damaged(work)
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


def _drop_damaged(work: Path) -> None:
    """What a disk has damaged of an unfinished run costs this run, and not the cell for ever.

    Scores on the way cannot be had again without the training before them.
    """
    for path in (work / RECORD, *work.glob(ON_THE_WAY.format("*"))):
        try:
            _read(path)
        except (OSError, ValueError, RecursionError) as error:
            lies = error if isinstance(error, OSError) else error.__cause__
            if isinstance(lies, FileNotFoundError):
                continue
            # What a disk cannot read is damaged, as of checkpoints; the rest may pass.
            if isinstance(lies, OSError) and lies.errno != errno.EIO:
                raise
            _LOG.warning("%s is damaged (%s): its run begins anew", path, error)
            remove(work)
            return


def _read(path: Path) -> None:
    if path.name == RECORD:
        read_record(path)
    else:
        json.loads(path.read_text())


def profile_cell(overrides: Sequence[str], rounds: int) -> dict[str, Any]:
    """What the model of these overrides costs, and where that was measured; nothing is trained.

    load: how busy others kept the machine meanwhile.
    """
    load = Load()
    cfg = composed(overrides)
    experiment, source = config.experiment_of(cfg), config.source_of(cfg)
    device = choose_device(experiment.device)
    model = training.inflated(experiment, experiment.model.build).to(device)
    batch = collate([source.test[0]]).to(device)
    return {
        "profile": profiler(experiment, rounds=rounds)(model, batch),
        "environment": environment_of(experiment),
        "load": load.found(),
    }
