"""What a run needs on a GPU, how long it takes there, and what to change where it does not fit."""

from __future__ import annotations

import math
from dataclasses import dataclass

from attnzoo.planning.gpus import GPU, GPUS, USABLE
from attnzoo.planning.trace import Sampled, Sizes, Step, trace, trace_sampling
from attnzoo.train.settings import Experiment, Precision
from attnzoo.train.stages import STAGES

DAY_S = 86400
GIB = 2**30


@dataclass(frozen=True)
class Plan:
    """A run's needs. steps: of each stage, with and without gradient checkpointing; sampled: those
    of making one clip.
    """

    experiment: Experiment
    sizes: Sizes
    steps: dict[tuple[int, bool], Step]
    sampled: Sampled

    def step(self, stage: int) -> Step:
        """A step of the stage as the settings have it."""
        return self.steps[stage, self.experiment.training.gradient_checkpointing]


def plan(experiment: Experiment, sizes: Sizes) -> Plan:
    """Traces both stages and sampling on the meta device.

    Raises:
        UserError: the variant does not fit the model or the clips.
    """
    steps = {
        (stage, checkpointing): trace(experiment, sizes, stage, checkpointing=checkpointing)
        for stage in STAGES
        for checkpointing in (False, True)
    }
    return Plan(experiment, sizes, steps, trace_sampling(experiment, sizes))


def with_batch(step: Step, factor: float) -> float:
    """Bytes at the peak with `factor` times as many clips."""
    moving = max(step.encoding * factor, step.activations * factor + step.gradients)
    return step.persistent + max(moving, step.update + step.gradients)


def fits(needed: float, gpu: GPU) -> bool:
    """Whether so many bytes leave what a context and fragmentation need."""
    return needed <= USABLE * gpu.memory * GIB


def largest_batch(step: Step, batch: int, gpu: GPU) -> int:
    """The most clips of one pass that fit, 0 if none does."""
    least = step.persistent + step.gradients
    room = USABLE * gpu.memory * GIB - least
    per_clip = max(step.activations, step.encoding - step.gradients, 1) / batch
    if room < step.update:
        return 0
    return max(0, math.floor(room / per_clip))


def peak(gpu: GPU, precision: Precision) -> float | None:
    """Operations a second that the precision can reach, None where the GPU has none of it."""
    if precision is Precision.fp32:
        return gpu.full * 1e12
    if precision is Precision.bf16 and not gpu.bf16:
        return None
    return gpu.half * 1e12


def seconds(flops: int, gpu: GPU, precision: Precision, utilisation: float) -> float | None:
    """Time for so many operations at this share of the peak."""
    rate = peak(gpu, precision)
    return None if rate is None else flops / (rate * utilisation)


def advice(made: Plan, stage: int, gpu: GPU) -> str:
    """Whether the stage fits as it is set, and the nearest settings that do."""
    training = made.experiment.training
    step, batch = made.step(stage), training.batch
    if fits(step.total, gpu):
        return f"fits, up to train.batch={largest_batch(step, batch, gpu)}"
    changes = []
    checkpointed = made.steps[stage, True]
    if not training.gradient_checkpointing and fits(checkpointed.total, gpu):
        changes.append("train.gradient_checkpointing=true")
    for candidate, prefix in ((step, ""), (checkpointed, "train.gradient_checkpointing=true ")):
        smaller = largest_batch(candidate, batch, gpu)
        if 0 < smaller < batch:
            accumulate = math.ceil(batch * training.accumulate / smaller)
            changes.append(f"{prefix}train.batch={smaller} train.accumulate={accumulate}")
            break
    if made.experiment.precision is Precision.fp32:
        changes.append(f"precision={'bf16' if gpu.bf16 else 'fp16'}, which halves activations")
    larger = [name for name, other in GPUS.items() if fits(step.total, other)]
    if larger:
        changes.append(f"a GPU such as {larger[0]}")
    if not changes:
        changes.append("smaller data.size or data.frames")
    return "does not fit: " + "; or ".join(changes)
