"""Trains one stage: accelerate, AdamW, a learning-rate schedule, averages, checkpoints."""

from __future__ import annotations

import logging
import math
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from accelerate import Accelerator
from diffusers.optimization import get_scheduler
from diffusers.training_utils import EMAModel
from torch import Tensor
from tqdm import tqdm

from attnzoo.data.clip import Batch
from attnzoo.data.source import Source
from attnzoo.errors import UserError
from attnzoo.models.dance import DanceModel
from attnzoo.train.batches import Batches, Purpose, key
from attnzoo.train.checkpoint import Checkpoints, Progress, Snapshot
from attnzoo.train.objective import Objective
from attnzoo.train.settings import Experiment, Schedule
from attnzoo.train.stages import enter_stage, parameter_groups

_LOG = logging.getLogger(__name__)

WAITING = 0.2
"""The share of a stage's time from which on waiting for clips is worth a word."""

_SCHEDULES = {Schedule.constant: "constant_with_warmup", Schedule.cosine: "cosine"}


class Diverged(UserError):
    """Loss or gradient is no number any more."""


@dataclass(frozen=True)
class Run:
    """What both stages share.

    due: whether somebody wants to look at the averaged weights after this step of this stage;
    look: does it.
    """

    model: DanceModel
    experiment: Experiment
    source: Source
    accelerator: Accelerator
    checkpoints: Checkpoints
    progress: Progress
    due: Callable[[int, int], bool] = lambda stage, step: False
    look: Callable[[], None] = lambda: None


class StageTrainer:
    """One stage of a run; `train` leaves its averaged weights in the model."""

    def __init__(self, run: Run, stage: int) -> None:
        """Readies model and optimiser; the run's progress enters the stage."""
        self.run, self.stage = run, stage
        self.settings = run.experiment.training
        self.plan = self.settings.stage(stage)
        self.parameters = enter_stage(run.model, stage)
        self.trainable = list(self.parameters.values())
        if run.progress.stage != stage:
            run.progress.stage, run.progress.steps = stage, 0
        run.progress.history.trained_parameters = sum(p.numel() for p in self.trainable)
        self.optimizer, self.schedule = self._prepared()
        self.ema = EMAModel(self.trainable, decay=self.settings.ema, foreach=True)
        experiment = run.experiment
        self.objective = Objective(
            run.model,
            noise=experiment.training_noise,
            seed=experiment.seed,
            stage=stage,
            null_tokens=self.settings.null_tokens,
            high_noise=self.settings.high_noise,
        )
        self._changing = False

    def _prepared(self) -> tuple[Any, Any]:
        groups = parameter_groups(
            self.run.model,
            self.parameters,
            self.plan.learning_rate,
            self.settings.positions_rate,
        )
        optimizer = torch.optim.AdamW(groups, weight_decay=self.settings.weight_decay)
        schedule = get_scheduler(
            _SCHEDULES[self.settings.schedule],
            optimizer,
            num_warmup_steps=self.plan.warmup,
            num_training_steps=self.plan.steps,
        )
        prepared: tuple[Any, Any] = self.run.accelerator.prepare(optimizer, schedule)
        return prepared

    def restore(self, snapshot: Snapshot) -> None:
        """Goes on from a checkpoint of this stage.

        Raises:
            UserError: it holds other parameters than this stage trains.
        """
        for tensors in (snapshot.weights, snapshot.averages):
            shapes = {name: tensor.shape for name, tensor in tensors.items()}
            if shapes != {name: p.shape for name, p in self.parameters.items()}:
                raise UserError(f"{snapshot.folder} does not fit this model: take a new folder")
        with torch.no_grad():
            for name, parameter in self.parameters.items():
                parameter.copy_(snapshot.weights[name])
        device = self.run.accelerator.device
        averages = [snapshot.averages[name].to(device) for name in self.parameters]
        # One average is taken at each step, so their number needs no place of its own.
        self.ema.load_state_dict(
            {"optimization_step": snapshot.progress.steps, "shadow_params": averages}
        )
        self.run.accelerator.load_state(str(snapshot.folder))

    def save(self) -> None:
        """Writes a checkpoint."""
        progress = self.run.progress
        # A step that was broken off has counted some of its parts; it will be done from its start.
        self.run.accelerator.step = progress.steps * self.settings.accumulate
        averages = dict(zip(self.parameters, self.ema.shadow_params, strict=True))
        weights: dict[str, Tensor] = {**self.parameters}
        self.run.checkpoints.save(progress, weights, averages, self.run.accelerator)

    def train(self) -> None:
        """Does what is left of the stage.

        An interrupt (KeyboardInterrupt, SystemExit) leaves a checkpoint and goes on upwards.

        Raises:
            Diverged: loss or gradient is not finite; the message names stage and step.
        """
        progress = self.run.progress
        if progress.steps < self.plan.steps:
            with self._saved_when_interrupted():
                self._steps()
            self._tell_of_waiting()
        self.ema.copy_to(self.trainable)
        self.optimizer.zero_grad()
        # The accelerator saves what it has prepared: the next stage starts without this one's.
        self.run.accelerator.free_memory()

    def _tell_of_waiting(self) -> None:
        found = self.run.progress.history
        if found.waited > WAITING * found.seconds:
            _LOG.warning(
                "stage %d waited for clips during %.0f %% of its time: a larger workers= makes "
                "more of them at once, `python -m attnzoo.prepare` makes them beforehand",
                self.stage,
                100 * found.waited / found.seconds,
            )

    @contextmanager
    def _saved_when_interrupted(self) -> Iterator[None]:
        try:
            yield
        except (KeyboardInterrupt, SystemExit):
            # While weights, optimiser and averages change they do not belong to one step, and a
            # checkpoint of them would not be one: the last one stands.
            if not self._changing:
                self.save()
            raise

    def _steps(self) -> None:
        run, progress, accumulate = self.run, self.run.progress, self.settings.accumulate
        batches = Batches(
            run.source.train,
            run.experiment.seed,
            self.stage,
            self.settings.batch,
            run.experiment.workers,
        )
        parts = batches.between(progress.steps * accumulate, self.plan.steps * accumulate)
        frames = self.settings.batch * accumulate * run.source.frames
        history = progress.history
        began, made, making = history.seconds, history.made, history.making
        with progress_bar(f"stage {self.stage}", self.plan.steps, progress.steps) as bar:
            while progress.steps < self.plan.steps:
                started = time.perf_counter()
                loss = self._step(parts)
                progress.history.seconds += time.perf_counter() - started
                history.made, history.making = (
                    made + batches.meter.clips, making + batches.meter.seconds
                )  # fmt: skip
                speed = frames * (bar.n + 1 - bar.initial) / (progress.history.seconds - began)
                bar.set_postfix_str(f"loss {loss:.4f}, {speed:.1f} frames/s", refresh=False)
                bar.update()
                self._log(loss, speed)
                if run.due(self.stage, progress.steps):
                    self._shown()
                if run.checkpoints.due or progress.steps == self.plan.steps:
                    self.save()

    def _shown(self) -> None:
        """Lets somebody look at the model with its averaged weights, and puts the others back."""
        # What an interrupt saved here would be taken for a step that was looked at.
        self._changing = True
        self.ema.store(self.trainable)
        self.ema.copy_to(self.trainable)
        try:
            self.run.look()
        finally:
            self.ema.restore(self.trainable)
        self._changing = False

    def _step(self, parts: Iterator[tuple[int, Batch]]) -> float:
        """One optimiser step from `accumulate` parts; the mean of their losses."""
        accelerator, progress = self.run.accelerator, self.run.progress
        losses = []
        for part in range(self.settings.accumulate):
            asked = time.perf_counter()
            first, batch = next(parts)
            progress.history.waited += time.perf_counter() - asked
            batch = batch.to(accelerator.device)
            with accelerator.accumulate(self.run.model):
                # Dropout, where a model has any, draws from the global state: seeded here, per
                # part, and put back.
                with _global_seed(self._seed(part), accelerator.device):
                    with accelerator.autocast():
                        loss = self.objective(batch, first)
                    losses.append(self._finite(float(loss.detach()), "loss"))
                    accelerator.backward(loss)
                if accelerator.sync_gradients:
                    self._update()
        progress.history.losses.append(math.fsum(losses) / len(losses))
        progress.steps += 1
        self._changing = False
        return progress.history.losses[-1]

    def _seed(self, part: int) -> int:
        number = self.run.progress.steps * self.settings.accumulate + part
        return key(self.run.experiment.seed, Purpose.dropout, self.stage, number)

    def _update(self) -> None:
        accelerator = self.run.accelerator
        norm = accelerator.clip_grad_norm_(self.trainable, self.settings.clip_norm)
        if accelerator.scaler is None:  # loss scaling looks for its scale by overflowing
            self._finite(float(norm), "gradient's norm")
        self._changing = True
        self.optimizer.step()
        self.schedule.step()
        self.ema.step(self.trainable)
        self.optimizer.zero_grad()

    def _finite(self, value: float, what: str) -> float:
        if math.isfinite(value):
            return value
        raise Diverged(
            f"stage {self.stage}, step {self.run.progress.steps + 1} of {self.plan.steps}: the "
            f"{what} is {value}; try a train.stage{self.stage}.learning_rate below "
            f"{self.plan.learning_rate:g}, or precision=fp32"
        )

    def _log(self, loss: float, speed: float) -> None:
        if not self.run.accelerator.trackers:
            return
        before = sum(self.settings.stage(s).steps for s in range(1, self.stage))
        name = f"stage{self.stage}"
        self.run.accelerator.log(
            {
                f"{name}/loss": loss,
                f"{name}/learning_rate": self.schedule.get_last_lr()[0],
                f"{name}/frames_per_second": speed,
            },
            step=before + self.run.progress.steps,
        )


def progress_bar(what: str, total: int, done: int) -> Any:
    """A bar that stands at `done` of `total` steps, on the standard error."""
    # In a log file each refresh is a line.
    seconds = 0.2 if sys.stderr.isatty() else 10.0
    return tqdm(total=total, initial=done, desc=what, unit="step", mininterval=seconds)


@contextmanager
def _global_seed(seed: int, device: torch.device) -> Iterator[None]:
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        yield
