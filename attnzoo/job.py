"""What a run's record is given beside its settings: the machine, the code, the way to profile."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

import torch

from attnzoo import registry
from attnzoo.train.plain import plain
from attnzoo.train.settings import Experiment, Precision

if TYPE_CHECKING:
    from attnzoo.data.clip import Batch
    from attnzoo.models.dance import DanceModel

_AUTOCAST = {Precision.fp32: None, Precision.bf16: torch.bfloat16, Precision.fp16: torch.float16}


def environment_of(experiment: Experiment) -> dict[str, Any]:
    """Hardware, versions, the variant's code, its model and what weights it stands on, as they
    stand in a record.

    Raises:
        UserError: this machine lacks what the experiment asks for.
    """
    from attnzoo.bench.hardware import hardware, versions
    from attnzoo.train.device import check_machine

    return {
        "hardware": hardware(check_machine(experiment)),
        "versions": versions(),
        "code": code_of(experiment.variant),
        "model": plain(experiment.model),
        "based_on": experiment.based_on(),
    }


def code_of(variant: str) -> dict[str, str | None]:
    """The file that holds the variant, and the SHA-256 of it as it was loaded."""
    entry = registry.get(variant)
    return {"file": entry.place.rpartition(":")[0], "sha256": entry.sha256}


def profiler(
    experiment: Experiment, **settings: Any
) -> Callable[[DanceModel, Batch], dict[str, Any]]:
    """`attnzoo.bench.profile.profile` in the experiment's arithmetic."""
    from attnzoo.bench.profile import profile

    return partial(profile, precision=_AUTOCAST[experiment.precision], **settings)
