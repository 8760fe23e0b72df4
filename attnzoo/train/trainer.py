"""Trains one stage: accelerate, AdamW, a learning-rate schedule, averages, checkpoints."""

from __future__ import annotations

import logging
import math
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from accelerate import Accelerator
from diffusers.optimization import get_scheduler
from diffusers.training_utils import EMAModel
from torch import Tensor, nn
from tqdm import tqdm

from attnzoo.data.clip import Batch
from attnzoo.data.source import Source
from attnzoo.errors import UserError
from attnzoo.models.dance import DanceModel
from attnzoo.models.finite import NotFinite
from attnzoo.train.batches import Batches, Purpose, Share, key
from attnzoo.train.checkpoint import Checkpoints, Progress, Snapshot
from attnzoo.train.objective import Objective
from attnzoo.train.passes import Loss, Pass
from attnzoo.train.processes import ALONE, Processes
from attnzoo.train.settings import Experiment, Nonfinite, Schedule
from attnzoo.train.spikes import FACTOR, WINDOW, is_spike
from attnzoo.train.stages import enter_stage, parameter_groups
from attnzoo.train.stopping import Stopping

_LOG = logging.getLogger(__name__)

WAITING = 0.2
"""The share of a stage's time from which on waiting for clips is worth a word."""

_SCHEDULES = {Schedule.constant: "constant_with_warmup", Schedule.cosine: "cosine"}


SKIPPED_AT_MOST = 10
"""Steps in a row that may be left out; after them nothing will come right by itself."""


OVERFLOWS_AT_MOST = 40
"""Steps in a row that loss scaling may leave out; from 65536 its scale is then below 1e-7."""


class Diverged(NotFinite):
    """Loss or gradient is no number any more."""


@dataclass(frozen=True)
class Run:
    """What both stages share.

    due: whether somebody wants to look at the averaged weights after this step of this stage;
    look: does it; processes: this one among those that share the run.
    """

    model: DanceModel
    experiment: Experiment
    source: Source
    accelerator: Accelerator
    checkpoints: Checkpoints
    progress: Progress
    due: Callable[[int, int], bool] = lambda stage, step: False
    look: Callable[[], None] = lambda: None
    processes: Processes = ALONE

    @property
    def share(self) -> Share:
        """What this process does of each step."""
        training, processes = self.experiment.training, self.processes
        return Share.of(training.batch, training.accumulate, processes.index, processes.count)


class Denoising(nn.Module):
    """The objective as a module, whose gradients accelerate brings together among processes."""

    def __init__(self, objective: Objective) -> None:
        """`objective.model` is its one part."""
        super().__init__()
        self.model = objective.model
        self.objective = objective

    def forward(self, batch: Batch, first: int) -> Tensor:
        """As `Objective`."""
        return self.objective(batch, first)


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
        self.share = run.share
        self._loss: Loss = self.objective
        if run.processes.count > 1:
            self._loss = run.accelerator.prepare(Denoising(self.objective))
        self._stopping = Stopping(launched=run.processes.count > 1)
        self._due = self._changing = self._spoiled = self._overflowed = False

    def _prepared(self) -> tuple[Any, Any]:
        # In stage 1 alone, where it makes up for the rates of modules, which differ by variant.
        # What a module or a method says of its own parameters holds in both.
        positions = self.settings.positions_rate if self.stage == 1 else 1.0
        groups = parameter_groups(
            self.run.model, self.parameters, self.plan.learning_rate, positions
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
        self._count_parts()  # there may have been more or fewer processes

    def save(self) -> None:
        """Writes a checkpoint, by the first process; the others wait for it."""
        self._count_parts()
        if self.run.processes.first:
            averages = dict(zip(self.parameters, self.ema.shadow_params, strict=True))
            weights: dict[str, Tensor] = {**self.parameters}
            self.run.checkpoints.save(self.run.progress, weights, averages, self.run.accelerator)
        self.run.processes.wait()

    def _count_parts(self) -> None:
        # A step that was broken off has counted some of its parts; it will be done from its start.
        self.run.accelerator.step = self.run.progress.steps * self.share.accumulate

    def train(self) -> None:
        """Does what is left of the stage.

        A first Ctrl-C or SIGTERM leaves a checkpoint of the last whole step and goes upwards as
        KeyboardInterrupt or SystemExit; so do these if they come in any other way. A second signal
        stops at once.

        Raises:
            Diverged: loss or gradient is not finite; the message names stage, step, the first layer
                whose output is not, and the last checkpoint.
        """
        progress = self.run.progress
        if progress.steps < self.plan.steps:
            listening = self._stopping.listening(says=self.run.processes.first)
            with listening, self._saved_when_interrupted():
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
        except (KeyboardInterrupt, SystemExit) as interrupt:
            # While weights, optimiser and averages change they do not belong to one step, and a
            # checkpoint of them would not be one: the last one stands. So it does if this process
            # alone was interrupted, or if there was no patience for a step's end.
            agreed = isinstance(interrupt, _Stop)
            hasty = self._stopping.wanted is not None or self.run.processes.count > 1
            if not self._changing and (agreed or not hasty):
                self.save()
            if agreed:
                raise self._stopping.error() from None
            raise
        except BrokenPipeError:
            # Whoever read the bar got the same Ctrl-C, as `tee` does, and is gone.
            alone = self.run.processes.count == 1
            if self._stopping.wanted is None or self._changing or not alone:
                raise
            self.save()
            raise self._stopping.error() from None

    def _steps(self) -> None:
        run, progress = self.run, self.run.progress
        batches = Batches(
            run.source.train,
            run.experiment.seed,
            self.stage,
            self.share.batch,
            run.experiment.workers,
        )
        parts = batches.starting(self.share.firsts(progress.steps, self.plan.steps))
        frames = self.share.step * run.source.frames
        history, before = progress.history, progress.steps
        began, made, making = history.seconds, history.made, history.making
        with progress_bar(
            f"stage {self.stage}", self.plan.steps, progress.steps, run.processes.first
        ) as bar:
            while progress.steps < self.plan.steps:
                started = time.perf_counter()
                loss = self._step(parts)
                history.seconds += time.perf_counter() - started
                history.made, history.making = (
                    made + batches.meter.clips, making + batches.meter.seconds
                )  # fmt: skip
                speed = frames * (progress.steps - before) / (history.seconds - began)
                self._log(loss, speed)
                if run.due(self.stage, progress.steps):
                    self._shown()
                if self._due or progress.steps == self.plan.steps:
                    self.save()
                # Last, since it may find nobody who reads it.
                bar.set_postfix_str(f"loss {loss:.4f}, {speed:.1f} frames/s", refresh=False)
                bar.update()
        # All is saved; a wish of the last step's must not be lost with this stage.
        if run.processes.agreed(0.0, self._stopping.wanted is not None)[1][0]:
            raise self._stopping.error()

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
        accelerator, losses = self.run.accelerator, []
        passes: list[Pass] = []
        self._spoiled = self._overflowed = False
        for part in range(self.share.accumulate):
            asked = time.perf_counter()
            first, batch = next(parts)
            self.run.progress.history.waited += time.perf_counter() - asked
            batch = batch.to(accelerator.device)
            this = Pass(self.objective, accelerator, batch, first, self._seed(part))
            passes.append(this)
            with accelerator.accumulate(self._loss):
                with this.seeded():
                    loss = this.loss(self._loss)
                    losses.append(self._agreed(float(loss.detach())))
                    if math.isfinite(losses[-1]):
                        accelerator.backward(loss)
                    else:
                        self._bad("loss", losses[-1], this.origin)
                if accelerator.sync_gradients:
                    self._update(passes)
        self._done(math.fsum(losses) / len(losses))
        self._changing = False
        return self.run.progress.history.losses[-1]

    def _agreed(self, loss: float) -> float:
        """The mean loss of all processes, which agree here on stopping and on checkpoints, too."""
        wanted, due = self._stopping.wanted is not None, self.run.checkpoints.due
        mean, (stop, self._due) = self.run.processes.agreed(loss, wanted, due)
        if stop:
            raise _Stop
        return mean

    def _done(self, loss: float) -> None:
        """Counts a step, and tells of a loss that is far above the others."""
        progress, history = self.run.progress, self.run.progress.history
        progress.steps += 1
        if self._spoiled:
            history.skipped.append(progress.steps)
        elif self.run.processes.first:
            self.run.checkpoints.went_on()
        if self._overflowed:
            history.overflowed.append(progress.steps)
        if is_spike(loss, history.losses, history.spikes):
            history.spikes.append(progress.steps)
            _LOG.warning(
                "stage %d, step %d: loss %.4g, more than %g times all of the %d before",
                self.stage, progress.steps, loss, FACTOR, WINDOW,
            )  # fmt: skip
        history.losses.append(loss)

    def _seed(self, part: int) -> int:
        number = self.run.progress.steps * self.settings.accumulate + part
        # The first process draws what a single one does.
        others = [self.run.processes.index] if not self.run.processes.first else []
        return key(self.run.experiment.seed, Purpose.dropout, self.stage, number, *others)

    def _update(self, passes: Sequence[Pass]) -> None:
        """Changes the weights by the gradients that these passes have made."""
        accelerator, norm = self.run.accelerator, math.nan
        if not self._spoiled:
            norm = float(accelerator.clip_grad_norm_(self.trainable, self.settings.clip_norm))
            # Loss scaling looks for its scale by overflowing.
            if accelerator.scaler is None and not math.isfinite(norm):
                self._bad("gradient's norm", norm, lambda: self._gradients_origin(passes))
        self._changing = True
        if self._spoiled:
            # Without gradients the optimiser changes nothing, but rate and averages go on: they
            # depend on how many steps were done.
            self.optimizer.zero_grad()
        if self._spoiled and accelerator.scaler is not None:
            # Accelerate's would ask whether the step before was left out by loss scaling.
            self.schedule.scheduler.step()
        else:
            self.optimizer.step()
            self._overflowed = accelerator.scaler is not None and self.optimizer.step_was_skipped
            if self._overflowed:
                self._check_overflows(norm, passes)
            self.schedule.step()
        self.ema.step(self.trainable)
        self.optimizer.zero_grad()

    def _check_overflows(self, norm: float, passes: Sequence[Pass]) -> None:
        """Loss scaling halves its scale at each overflow; one that goes on is of no scale's."""
        step = self.run.progress.steps + 1
        before = set(range(step - OVERFLOWS_AT_MOST, step))
        if before <= set(self.run.progress.history.overflowed):
            self._bad(
                f"gradient's norm, after {OVERFLOWS_AT_MOST} steps that loss scaling left out,",
                norm,
                lambda: self._gradients_origin(passes),
            )

    def _bad(self, what: str, value: float, origin: Callable[[], str | None]) -> None:
        """Stops the run, or has this step skipped; weights and averages are those before it.

        origin: says where in this process it began, None if not here.
        """
        run, step = self.run, self.run.progress.steps + 1
        skipped = run.progress.history.skipped
        where = run.processes.any_of(origin())
        text = f"stage {self.stage}, step {step} of {self.plan.steps}: the {what} is {value}" + (
            f", first in {where}" if where else ""
        )
        if self.settings.nonfinite is Nonfinite.skip:
            in_a_row = set(range(step - SKIPPED_AT_MOST, step)) <= set(skipped)
            if not in_a_row:
                if not self._spoiled:
                    _LOG.warning("%s; the step is skipped, %d so far", text, len(skipped) + 1)
                self._spoiled = True
                return
            text += f", after {SKIPPED_AT_MOST} steps that were skipped"
        rate = f"train.stage{self.stage}.learning_rate"
        raise Diverged(
            f"{text}; the last good checkpoint: {run.checkpoints.last}; try a {rate} below "
            f"{self.plan.learning_rate:g}, precision=fp32, or to begin with train.nonfinite=skip"
        )

    def _gradients_origin(self, passes: Sequence[Pass]) -> str | None:
        origins = (one.gradients_origin(self.parameters) for one in passes)
        return next((origin for origin in origins if origin is not None), None)

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


class _Stop(KeyboardInterrupt):
    """All processes have agreed to stop here, at somebody's wish."""


def progress_bar(what: str, total: int, done: int, shown: bool = True) -> Any:
    """A bar that stands at `done` of `total` steps, on the standard error."""
    # In a log file each refresh is a line.
    seconds = 0.2 if sys.stderr.isatty() else 10.0
    return tqdm(
        total=total, initial=done, desc=what, unit="step", mininterval=seconds, disable=not shown
    )
