"""One run from start to record: both stages, sampling, scores, pictures."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from attnzoo import registry
from attnzoo.data.clip import Batch, Clip, collate
from attnzoo.data.source import Source
from attnzoo.errors import UserError
from attnzoo.files import PARTIAL, sweep
from attnzoo.metrics.networks.weights import sha256
from attnzoo.metrics.score import score
from attnzoo.models.choice import Embedded
from attnzoo.models.dance import DanceModel
from attnzoo.models.dreampose import DreamPoseModel
from attnzoo.models.fingerprint import fingerprint
from attnzoo.models.finite import NotFinite
from attnzoo.models.methods import Method
from attnzoo.models.sampling import sample
from attnzoo.models.slots import Stack
from attnzoo.tensors import write_tensors
from attnzoo.train.batches import Purpose, Share, generator
from attnzoo.train.checkpoint import Checkpoints, Progress, Snapshot
from attnzoo.train.description import (
    describe_data,
    describe_flow,
    describe_noise,
    describe_options,
    describe_parameters,
    describe_sampling,
    describe_trained,
    describe_training,
)
from attnzoo.train.device import check_machine, determinism, make_accelerator
from attnzoo.train.outputs import Shown, write_loss, write_strip, write_video
from attnzoo.train.plain import plain
from attnzoo.train.processes import ALONE, Processes
from attnzoo.train.record import NAME, SCHEMA, Record, read_record, write_record
from attnzoo.train.settings import Experiment
from attnzoo.train.stages import STAGES, trained_parameters
from attnzoo.train.trainer import Run, StageTrainer, progress_bar
from attnzoo.train.watch import Look, Watch

_LOG = logging.getLogger(__name__)
PICTURES = ("loss.png", "strip.png", "sample.mp4")
WEIGHTS = "weights.safetensors"
"""All that was trained, averaged, by its names in the model: U-Net with slots, projection, and a
method's own parts."""

OTHER_BASE = "put back what it was, or take a new folder"

Profile = Callable[[DanceModel, Batch], dict[str, Any]]
Scores = Callable[[Tensor, Tensor, Sequence[Clip]], Mapping[str, Any]]


def run(
    experiment: Experiment,
    source: Source,
    folder: Path,
    *,
    resume: bool = False,
    build: Callable[[], DanceModel] | None = None,
    scores: Scores = score,
    profile: Profile | None = None,
    environment: Mapping[str, Any] | None = None,
    watch: Watch | None = None,
    pictures: bool = True,
    processes: Processes = ALONE,
) -> dict[str, Any]:
    """Trains, samples, scores and describes one variant; returns what stands in `record.json`.

    Everything lies in `folder`, the record last. With `resume` it goes on from the newest
    checkpoint there, or starts over without one; after both stages only sampling is done again,
    and a finished run's record is returned as it is. A finished run keeps its averaged weights and
    no checkpoints.

    Args:
        experiment: what decides the run.
        source: the opened data.
        folder: made if need be.
        resume: see above.
        build: makes the image-level model; that of `experiment.model` if not given.
        scores: of real and generated clips `[n, f, 3, H, W]` and the clips themselves.
        profile: measures the trained model on one batch, for the record.
        environment: hardware and versions, for the record.
        watch: looks at the model on the way and at the end; changes nothing of the result.
        pictures: whether `PICTURES` are drawn.
        processes: this one among those that each call this function for the same run. All but the
            first return `{}` when they have sampled their share of the clips, and write nothing.

    Raises:
        UserError: settings that cannot be, before any training; a folder that holds a run, finished
            or not (without `resume`), or a checkpoint of another; a loss or sample that is not
            finite.
    """
    if watch is not None and processes.count > 1:
        raise ValueError("a run of several processes cannot be watched")
    started = time.perf_counter()
    if not resume:
        _refuse_used(folder)
    elif (folder / NAME).is_file():
        _LOG.info("%s: this run is finished, its record stands", folder)
        return read_record(folder)
    check(experiment, source, processes)
    with determinism(experiment.training.deterministic):
        state, snapshot = _begun(
            experiment, source, folder, resume, build or experiment.model.build, processes
        )
        clips = _scored(experiment, source)
        if watch is not None:
            state = replace(state, due=watch.due, look=lambda: watch.look(_look(state, clips)))
        _train(state, snapshot)
        generated, seconds = _sample(state, clips)
    if generated is None:
        return {}
    if watch is not None:
        watch.finished(_look(state, clips), generated)
    real = torch.stack([clip.video for clip in clips])
    found = plain(scores(real, generated, clips))
    trained = trained_parameters(state.model, STAGES[-1])
    about = {"variant": experiment.variant, "method": experiment.method.name}
    if state.progress.base is not None:
        about["base"] = state.progress.base
    write_tensors(folder / WEIGHTS, trained, about)
    kept = {"weights_sha256": sha256(folder / WEIGHTS)}
    if pictures:
        _pictures(folder, state.progress, clips, generated, experiment.sampling.fps)
    measured = None
    if profile is not None:
        batch = collate(clips[:1]).to(state.accelerator.device)
        measured = plain(profile(state.model, batch))
    record = replace(
        _described(state, clips, seconds),
        scores=found,
        files=[*(PICTURES if pictures else ()), WEIGHTS],
        profile=measured,
        environment=plain(environment or {}) | kept,
        seconds=time.perf_counter() - started,
    )
    content = write_record(record, folder)
    state.checkpoints.clear()
    return content


def _begun(
    experiment: Experiment,
    source: Source,
    folder: Path,
    resume: bool,
    build: Callable[[], DanceModel],
    processes: Processes,
) -> tuple[Run, Snapshot | None]:
    """The run as it starts or goes on, with the checkpoint that it goes on from."""
    if processes.first:
        _prepare(folder)
    processes.wait()
    found: list[str] = []

    def built() -> DanceModel:
        model = build()
        found.append(base_of(experiment, model))
        return model

    model = inflated(experiment, built)
    training = experiment.training
    share = Share.of(training.batch, training.accumulate, processes.index, processes.count)
    accelerator = make_accelerator(experiment, folder, share.accumulate)
    checkpoints = Checkpoints(folder, every=training.checkpoint_seconds)
    identity = experiment.identity(source.split_hash)
    snapshot = checkpoints.newest(identity) if resume else None
    if snapshot is None and processes.first:
        checkpoints.clear()
    (base,) = found
    if snapshot is not None and snapshot.progress.base not in (None, base):
        raise UserError(f"{snapshot.folder} was made upon other weights of the base: {OTHER_BASE}")
    new = Progress(identity, base, describe_trained(experiment))
    progress = snapshot.progress if snapshot is not None else new
    start = (progress.stage, progress.steps)
    if processes.told(start) != start:
        raise UserError(f"{folder}: another process sees another checkpoint there than {start}")
    model.to(accelerator.device)
    run = Run(model, experiment, source, accelerator, checkpoints, progress, processes=processes)
    return run, snapshot


def _described(state: Run, clips: Sequence[Clip], seconds: float) -> Record:
    """All of the record that says what was done; what was found is still empty."""
    experiment, source = state.experiment, state.source
    return Record(
        schema=SCHEMA,
        method=experiment.method.name,
        variant=experiment.variant,
        options=describe_options(experiment),
        kind=registry.get(experiment.variant).kind.name,
        slots=experiment.slots.name,
        stack=experiment.stack.name,
        seed=experiment.seed,
        device=state.accelerator.device.type,
        precision=experiment.precision.name,
        noise=describe_noise(experiment),
        flow=describe_flow(source, clips),
        data=describe_data(experiment, source),
        parameters=describe_parameters(state.model),
        training=describe_training(
            experiment, state.progress, source.frames, state.processes.count
        ),
        sampling=describe_sampling(experiment, clips, source.frames, seconds),
        scores={},
        profile=None,
        environment={},
        seconds=0.0,
        files=[],
    )


def check(experiment: Experiment, source: Source, processes: Processes = ALONE) -> None:
    """UserError for what cannot run, before anything expensive is made.

    Settings out of range, a variant or noise that the method does not take, a model whose files are
    missing, an unknown variant or option, a missing device or tracker, data without the flow or the
    frames that the variant needs, clips that cannot be shared among the processes.
    """
    experiment.check()
    training = experiment.training
    Share.of(training.batch, training.accumulate, processes.index, processes.count)
    experiment.model.check()
    check_machine(experiment)
    check_variant(experiment, source.frames)
    if experiment.sampling.first >= len(source.test):
        raise UserError(
            f"sample.first={experiment.sampling.first}: there are {len(source.test)} test clips, "
            "counted from 0"
        )
    if registry.get(experiment.variant).needs_flow and source.train[0].motion is None:
        raise UserError(
            f"attn={experiment.variant} needs flow and data={source.name} has none: "
            "use data with motion, or a variant that needs no flow"
        )


def check_variant(experiment: Experiment, frames: int) -> None:
    """UserError for options that the variant cannot have, or clips of too few frames for it."""
    entry = registry.get(experiment.variant)
    modules = entry.modules if experiment.stack is Stack.declared else entry.modules[:1]
    with torch.device("meta"):  # for what only the constructor can say, without memory
        made = [
            registry.create(entry.name, 64, 1, **{**experiment.options, **m})
            for m in modules or ({},)
        ]
    if entry.needs_flow and not any(getattr(module, "follows", True) for module in made):
        raise UserError(
            f"attn={entry.name}: with stack={experiment.stack.name} no module follows the motion; "
            "aligned=all or stack=declared"
        )
    if frames < entry.min_frames:
        raise UserError(
            f"attn={entry.name} needs clips of at least {entry.min_frames} frames, not {frames}"
        )


def _refuse_used(folder: Path) -> None:
    """A run that begins anew takes nobody's place."""
    if (folder / NAME).is_file():
        raise UserError(f"{folder} holds a finished run: take another folder")
    if there := Checkpoints(folder, every=0).newest_first():
        raise UserError(
            f"{folder} holds an unfinished run ({there[0].name}): go on with it, or take another "
            "folder"
        )


def _prepare(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for place in (folder, folder / "checkpoints"):
            sweep(place)
        trial = folder / f"{PARTIAL}trial"
        trial.touch()
        trial.unlink()
    except OSError as error:
        raise UserError(f"{folder} cannot be written: {error.strerror}") from error


def base_of(experiment: Experiment, model: DanceModel) -> str:
    """What tells the weights of a base, as it was built, from others.

    SHA-256 of the embedded one's file; of published parts, which lie in many files or a hub's
    cache, their fingerprint.
    """
    if isinstance(experiment.model, Embedded):
        return experiment.model.digest()
    return fingerprint(model)


def inflated(experiment: Experiment, build: Callable[[], DanceModel]) -> DanceModel:
    """What `build` makes with the experiment's method and variant in it, ready for a stage.

    Raises:
        UserError: more steps of sampling than the model was trained with; what `inflate` says.
    """
    model = build()
    if experiment.training.gradient_checkpointing:
        model.checkpoint_gradients()
    if experiment.method is Method.dreampose:
        model = DreamPoseModel.of(model, seed=experiment.seed)
    trained = int(model.scheduler_config["num_train_timesteps"])
    steps = experiment.sampling.steps
    if steps > trained:
        raise UserError(f"sample.steps={steps}: a whole number from 1 to {trained} is needed")
    model.inflate(
        experiment.variant,
        options=experiment.options,
        slots=experiment.slots,
        stack=experiment.stack,
        # An image of its own has no place among others.
        positions=not experiment.method.frame_by_frame,
        seed=experiment.seed,
    )
    return model


def _train(state: Run, snapshot: Snapshot | None) -> None:
    """What is left of both stages; the averaged weights are in the model then."""
    accelerator = state.accelerator
    accelerator.init_trackers("attnzoo", config=_flat(plain(state.experiment)))
    try:
        for stage in STAGES[state.progress.stage - 1 :]:
            if not trained_parameters(state.model, stage):
                continue
            trainer = StageTrainer(state, stage)
            if snapshot is not None:
                trainer.restore(snapshot)
                state.progress.resumed += 1
                snapshot = None
            trainer.train()
    finally:
        for tracker in accelerator.trackers:  # `end_training` would part the processes, too
            tracker.finish()


def _flat(settings: Any, prefix: str = "") -> dict[str, Any]:
    """Trackers take one level of plain values."""
    if not isinstance(settings, dict):
        kept = isinstance(settings, bool | int | float | str)
        return {prefix: settings if kept else str(settings)}
    flat: dict[str, Any] = {}
    for name, value in settings.items():
        flat |= _flat(value, f"{prefix}.{name}" if prefix else name)
    return flat


def _scored(experiment: Experiment, source: Source) -> list[Clip]:
    """The test clips that are scored."""
    first, last = experiment.sampling.first, experiment.sampling.first + experiment.sampling.clips
    return [source.test[i] for i in range(first, min(last, len(source.test)))]


def _look(state: Run, clips: Sequence[Clip]) -> Look:
    """What a watch is given of the run as it stands."""

    def made(count: int, steps: int) -> Tensor:
        generated, _ = _sample(state, clips[:count], steps)
        if generated is None:
            raise ValueError("only the first of several processes has what all have sampled")
        return generated

    return Look(state.progress.stage, state.progress.steps, clips, made)


def _sample(
    state: Run, clips: Sequence[Clip], steps: int | None = None
) -> tuple[Tensor | None, float]:
    """Generated clips `[n, f, 3, H, W]` on the CPU, and the seconds that they took.

    Each process makes its share, and the first has them all; the others have None. `clips` are the
    first of those that are scored; steps: denoising steps, None: the settings'.

    Raises:
        NotFinite: a prediction is not, with clip, denoising step, layer and checkpoint.
    """
    experiment, accelerator, processes = state.experiment, state.accelerator, state.processes
    settings, videos = experiment.sampling, []
    steps = steps or settings.steps
    mine = list(enumerate(clips, start=settings.first))[processes.index :: processes.count]
    started = time.perf_counter()
    with (
        progress_bar("sampling", len(mine) * steps, 0, processes.first) as bar,
        accelerator.autocast(),
    ):
        for i, clip in mine:
            try:
                made = sample(
                    state.model,
                    collate([clip]).to(accelerator.device),
                    steps=steps,
                    guidance=settings.guidance,
                    noise=experiment.sampling_noise,
                    # Each clip's own, so that it does not depend on how many are made, or where.
                    generator=generator(experiment.seed, Purpose.sample, i),
                    progress=lambda done, steps: bar.update(),
                )
            except NotFinite as error:
                raise NotFinite(
                    f"sampling {clip.name}: {error}; the last good checkpoint: "
                    f"{state.checkpoints.last}; try precision=fp32"
                ) from error
            videos.append(made[0].cpu())
            speed = len(videos) * clip.video.shape[0] / (time.perf_counter() - started)
            bar.set_postfix_str(f"{speed * processes.count:.1f} frames/s", refresh=False)
    gathered = processes.gathered(videos)
    seconds = time.perf_counter() - started
    return (None if gathered is None else torch.stack(gathered)), seconds


def _pictures(
    folder: Path, progress: Progress, clips: Sequence[Clip], generated: Tensor, fps: int
) -> None:
    shown = [Shown(clip, video) for clip, video in zip(clips, generated, strict=True)]
    losses = {f"stage {n}": progress.histories[n].losses for n in STAGES}
    write_loss(folder / PICTURES[0], losses)
    write_strip(folder / PICTURES[1], _first_of_each(shown))
    write_video(folder / PICTURES[2], shown, fps)


def _first_of_each(shown: Sequence[Shown], most: int = 4) -> list[Shown]:
    """The first clip of each scenario, in order: what a strip has room for."""
    firsts: dict[str, Shown] = {}
    for one in shown:
        firsts.setdefault(one.clip.scenario, one)
    return list(firsts.values())[:most]
