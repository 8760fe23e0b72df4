"""The parts of a record that are read off settings, data, model and progress."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any

from torch import nn

from attnzoo import registry
from attnzoo.data.clip import Clip
from attnzoo.data.source import Source
from attnzoo.models.dance import DanceModel
from attnzoo.train.checkpoint import History, Progress
from attnzoo.train.plain import plain
from attnzoo.train.record import (
    Curve,
    DataRecord,
    LoaderRecord,
    NoiseRecord,
    ParameterRecord,
    SamplingRecord,
    StageRecord,
    TrainingRecord,
)
from attnzoo.train.settings import Experiment

CURVE_POINTS = 200


def describe_options(experiment: Experiment) -> dict[str, Any]:
    """All options of the variant, those not given at their defaults, as plain values."""
    entry = registry.get(experiment.variant)
    defaults = {option.name: option.default for option in entry.free}
    options: dict[str, Any] = plain(defaults | experiment.options)
    return options


def describe_trained(experiment: Experiment) -> dict[str, Any]:
    """The settings without which nobody knows what weights are: in a record they have places of
    their own.
    """
    return {
        "seed": experiment.seed,
        "slots": experiment.slots.name,
        "stack": experiment.stack.name,
        "noise": describe_noise(experiment).training,
        **describe_options(experiment),
    }


def describe_noise(experiment: Experiment) -> NoiseRecord:
    """That of training and that of sampling."""
    return NoiseRecord(experiment.training_noise.name, experiment.sampling_noise.name)


def describe_flow(source: Source, clips: Sequence[Clip]) -> str | None:
    """Where the motion comes from that variants follow, None where the clips have none."""
    if source.flow is None or not clips or clips[0].motion is None:
        return None
    return source.flow.name


def describe_data(experiment: Experiment, source: Source) -> DataRecord:
    """What the source says of itself, and from what it was opened."""
    return DataRecord(
        name=source.name,
        frames=source.frames,
        size=source.size,
        settings=plain(experiment.data),
        split=plain(source.split),
        split_hash=source.split_hash,
    )


def describe_parameters(model: DanceModel) -> ParameterRecord:
    """The numbers of an inflated model's parameters."""
    counts = model.inflated.parameter_counts()
    return ParameterRecord(
        total=_count(model),
        unet=counts.total,
        added=model.added_count(),
        slots=counts.slots,
        positions=counts.positions,
        replaced=counts.replaced,
    )


def describe_training(
    experiment: Experiment, progress: Progress, frames: int, processes: int
) -> TrainingRecord:
    """Both stages as they went; `frames` is that of a clip."""
    training = experiment.training
    return TrainingRecord(
        batch=training.batch,
        accumulate=training.accumulate,
        clip_norm=training.clip_norm,
        weight_decay=training.weight_decay,
        schedule=training.schedule.name,
        ema=training.ema,
        null_tokens=training.null_tokens,
        high_noise=training.high_noise,
        positions_rate=training.positions_rate,
        resumed=progress.resumed,
        stage1=_stage(experiment, progress, 1, frames),
        stage2=_stage(experiment, progress, 2, frames),
        processes=processes,
    )


def _stage(experiment: Experiment, progress: Progress, number: int, frames: int) -> StageRecord:
    training, history = experiment.training, progress.histories[number]
    stage = training.stage(number)
    steps = len(history.losses)  # none where there is nothing to train
    trained = steps * training.batch * training.accumulate * frames
    return StageRecord(
        steps=steps,
        learning_rate=stage.learning_rate,
        warmup=stage.warmup,
        trained_parameters=history.trained_parameters,
        seconds=history.seconds,
        frames_per_second=trained / history.seconds if history.seconds else None,
        loss=curve(history.losses, CURVE_POINTS),
        skipped=sorted({*history.skipped, *history.overflowed}),
        spikes=history.spikes,
        loader=loader(history, trained, frames),
    )


def loader(history: History, trained: int, frames: int) -> LoaderRecord | None:
    """How the loader kept up in a stage of `trained` frames; None where nothing was measured."""
    working = history.seconds - history.waited
    if not history.made or history.making <= 0 or working <= 0:
        return None
    return LoaderRecord(
        frames_per_second=history.made * frames / history.making,
        needed=trained / working,
        waited=history.waited,
    )


def describe_sampling(
    experiment: Experiment, clips: Sequence[Clip], frames: int, seconds: float
) -> SamplingRecord:
    """How `clips`, of so many frames each, were made in so many seconds."""
    sampling = experiment.sampling
    return SamplingRecord(
        steps=sampling.steps,
        guidance=sampling.guidance,
        fps=sampling.fps,
        clips=[clip.name for clip in clips],
        scenarios=[clip.scenario for clip in clips],
        seconds=seconds,
        frames_per_second=len(clips) * frames / seconds,
    )


def curve(losses: Sequence[float], points: int) -> Curve:
    """Losses of all steps as at most `points` means over stretches of nearly equal length.

    Those of skipped steps, which are no numbers, are left out; a stretch of them alone is none.
    """
    count = min(points, len(losses))
    edges = [round(i * len(losses) / count) for i in range(count + 1)] if count else [0]
    steps, means = [], []
    for a, b in itertools.pairwise(edges):
        known = [loss for loss in losses[a:b] if math.isfinite(loss)]
        if known:
            steps.append(b)
            means.append(math.fsum(known) / len(known))
    return Curve(steps, means)


def _count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())
