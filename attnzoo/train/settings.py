"""What decides a run, as plain dataclasses; names are those of the command line."""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from attnzoo import registry
from attnzoo.data.flow_settings import Estimation, FlowSource
from attnzoo.errors import UserError
from attnzoo.models.choice import Embedded, Model
from attnzoo.models.methods import Method
from attnzoo.models.noise import Noise
from attnzoo.models.slots import Slots, Stack
from attnzoo.train.plain import plain

SEEDS = 2**63 - 1
"""The largest seed that every generator takes."""
TIMES = 1000
"""Of the noise schedule: more steps than that cannot be taken."""
GUIDANCE = 1000
"""Of the difference between two predictions: far beyond what any picture is made with."""
BATCH = 65536
"""Clips of one forward pass."""
ACCUMULATED = 65536
"""Forward passes of one optimiser step."""
STEPS = 10**9
"""Optimiser steps of a stage: one of a millisecond would take eleven days."""
RATE = 1000
"""Frames a second of a video: more than any screen shows."""
WORKERS = 256
"""Threads that make clips; more of them than any machine keeps busy."""
LARGEST_MULTIPLE = 1e6
"""Of a learning rate."""
LARGEST_RATE = 1e30
"""A learning rate whose multiples are still numbers of single precision."""
UNLIMITED = ("train.clip_norm", "train.checkpoint_seconds")
"""Settings of which infinity means: never."""


class Precision(Enum):
    """Arithmetic of forward and backward; weights, averages and optimiser stay float32."""

    fp32 = "fp32"
    bf16 = "bf16"
    fp16 = "fp16"


class Tracker(Enum):
    """Where loss and speed are logged beside the record."""

    none = "none"
    tensorboard = "tensorboard"
    wandb = "wandb"


class Schedule(Enum):
    """The learning rate after its warm-up: level, or down to zero along half a cosine."""

    constant = "constant"
    cosine = "cosine"


class Nonfinite(Enum):
    """What to do about a loss or a gradient that is no number: stop, or leave that step out."""

    stop = "stop"
    skip = "skip"


@dataclass
class Stage:
    """One stage: optimiser steps, peak learning rate, and how many of the steps are warm-up."""

    steps: int = 80
    learning_rate: float = 3e-3
    warmup: int = 10


@dataclass
class Training:
    """Both stages.

    batch: clips of one forward pass; accumulate: such passes to an optimiser step; clip_norm:
    largest norm of the gradient; ema: the averages' largest decay (they start at less);
    null_tokens: how often a clip is trained without its person, for guidance; high_noise: the share
    of clips that are drawn from the noisiest 30 % of times alone, where the picture's layout is
    decided; positions_rate: the frame positions' learning rate as a multiple of stage 1's;
    gradient_checkpointing: whether blocks make their activations again for the backward pass, which
    costs a second forward pass and saves most of the memory; checkpoint_seconds: longest time
    between two checkpoints; nonfinite: stop the run at a loss or gradient that is no number, or
    skip that step, with a count in the record; deterministic: refuse operations that need not give
    the same twice (on a GPU; on a CPU none is used).
    """

    stage1: Stage = field(default_factory=Stage)
    stage2: Stage = field(default_factory=lambda: Stage(steps=15, learning_rate=2e-5, warmup=5))
    batch: int = 1
    accumulate: int = 1
    clip_norm: float = 1.0
    weight_decay: float = 0.01
    schedule: Schedule = Schedule.constant
    ema: float = 0.99
    null_tokens: float = 0.1
    high_noise: float = 0.0
    positions_rate: float = 1.0
    gradient_checkpointing: bool = False
    checkpoint_seconds: float = 15.0
    nonfinite: Nonfinite = Nonfinite.stop
    deterministic: bool = False

    def stage(self, number: int) -> Stage:
        """Stage 1 or 2."""
        return {1: self.stage1, 2: self.stage2}[number]


@dataclass
class Sampling:
    """How test clips are made.

    noise None means that of training; first: which test clip is the first of those that are scored,
    counted from 0; fps is that of `sample.mp4`.
    """

    steps: int = 10
    guidance: float = 1.0
    noise: Noise | None = None
    clips: int = 8
    first: int = 0
    fps: int = 8


@dataclass
class Experiment:
    """One run.

    method: of the paper's first table; those that go frame by frame take variant `none` and
    independent noise alone; options: the variant's own; noise: None for that of the method; flow,
    motion: where the motion that it follows was taken from when the source was opened; device:
    auto, cpu or cuda; workers: threads that make clips ahead; data: the settings from which the
    source was opened, for the record; model: what the variant is put into.
    """

    variant: str
    options: dict[str, Any] = field(default_factory=dict)
    slots: Slots = Slots.all
    stack: Stack = Stack.declared
    method: Method = Method.video
    seed: int = 0
    noise: Noise | None = None
    flow: FlowSource = FlowSource.auto
    motion: Estimation = field(default_factory=Estimation)
    training: Training = field(default_factory=Training)
    sampling: Sampling = field(default_factory=Sampling)
    device: str = "auto"
    precision: Precision = Precision.fp32
    tracker: Tracker = Tracker.none
    workers: int = 0
    data: dict[str, Any] = field(default_factory=dict)
    model: Model = field(default_factory=Embedded)

    @property
    def training_noise(self) -> Noise:
        """What the frames of a clip share of the noise in training."""
        return self.method.noise if self.noise is None else self.noise

    @property
    def sampling_noise(self) -> Noise:
        """The noise that sampling starts from."""
        return self.training_noise if self.sampling.noise is None else self.sampling.noise

    def check(self) -> None:
        """UserError for the first setting that no run can have, under its command-line name."""
        self._check_method()
        train, sample = self.training, self.sampling
        least: list[tuple[str, float, float]] = [
            ("seed", self.seed, 0),
            ("workers", self.workers, 0),
            ("train.batch", train.batch, 1),
            ("train.accumulate", train.accumulate, 1),
            ("train.weight_decay", train.weight_decay, 0),
            ("train.checkpoint_seconds", train.checkpoint_seconds, 0),
            ("sample.steps", sample.steps, 1),
            ("sample.guidance", sample.guidance, 0),
            ("sample.clips", sample.clips, 1),
            ("sample.first", sample.first, 0),
            ("sample.fps", sample.fps, 1),
        ]
        above = [
            ("train.clip_norm", train.clip_norm),
            ("train.positions_rate", train.positions_rate),
        ]
        for number in (1, 2):
            stage = train.stage(number)
            least.append((f"train.stage{number}.steps", stage.steps, 0))
            least.append((f"train.stage{number}.warmup", stage.warmup, 0))
            above.append((f"train.stage{number}.learning_rate", stage.learning_rate))
        for name, value, bound in least:
            if not value >= bound:
                raise UserError(f"{name}={value}: must be at least {bound:g}")
        for name, value in above:
            if not value > 0:
                raise UserError(f"{name}={value}: must be above 0")
        for name, value in [*((name, value) for name, value, _ in least), *above]:
            if isinstance(value, float) and math.isinf(value) and name not in UNLIMITED:
                raise UserError(f"{name}={value}: must be finite")
        for name, value, most in (
            ("seed", self.seed, SEEDS),
            ("workers", self.workers, WORKERS),
            ("train.batch", train.batch, BATCH),
            ("train.accumulate", train.accumulate, ACCUMULATED),
            ("train.stage1.steps", train.stage1.steps, STEPS),
            ("train.stage1.warmup", train.stage1.warmup, STEPS),
            ("train.stage2.steps", train.stage2.steps, STEPS),
            ("train.stage2.warmup", train.stage2.warmup, STEPS),
            ("sample.steps", sample.steps, TIMES),
            ("sample.guidance", sample.guidance, GUIDANCE),
            ("sample.fps", sample.fps, RATE),
            ("train.stage1.learning_rate", train.stage1.learning_rate, LARGEST_RATE),
            ("train.stage2.learning_rate", train.stage2.learning_rate, LARGEST_RATE),
            ("train.positions_rate", train.positions_rate, LARGEST_MULTIPLE),
            ("train.weight_decay", train.weight_decay, LARGEST_MULTIPLE),
        ):
            if value > most:
                raise UserError(f"{name}={value}: must be at most {most}")
        if not 0 <= train.ema < 1:
            raise UserError(f"train.ema={train.ema}: must be at least 0 and below 1")
        for name in ("null_tokens", "high_noise"):
            if not 0 <= getattr(train, name) <= 1:
                raise UserError(f"train.{name}={getattr(train, name)}: must be from 0 to 1")

    def _check_method(self) -> None:
        if not self.method.frame_by_frame:
            return
        name = self.method.name
        if self.variant != "none":
            raise UserError(
                f"attn={self.variant}: method={name} makes each frame by itself and takes attn=none"
            )
        for key, noise in (("noise", self.noise), ("sample.noise", self.sampling.noise)):
            if noise is not None and noise is not Noise.independent:
                raise UserError(
                    f"{key}={noise.name}: method={name} makes each frame by itself, from noise of "
                    f"its own: {key}=independent, or leave it out"
                )

    def based_on(self) -> dict[str, str]:
        """SHA-256 of the files that a run stands on and whose paths say nothing, by their setting.

        Of published models, which lie in many files, there is none.
        """
        found = {}
        if isinstance(self.model, Embedded):
            found["model"] = self.model.digest()
        if self.motion.weights is not None:
            found["motion"] = self.motion.digest()
        return found

    def identity(self, split_hash: str) -> str:
        """SHA-256 of all that decides the weights; equal for runs that may continue each other.

        The file of a plug-in belongs to it: it may be edited between two parts of a run.
        """
        decides = plain(self) | {"noise": self.training_noise.name}
        entry = registry.get(self.variant)
        if not entry.built_in:
            decides["code"] = entry.sha256
        for name in ("device", "tracker", "workers", "sampling"):
            del decides[name]
        # Of these, what changes a run's numbers is told by its record.
        for name in ("checkpoint_seconds", "nonfinite", "deterministic"):
            del decides["training"][name]
        decides["model"].pop("download", None)
        for setting, sha256 in self.based_on().items():
            # A path stays the same when another training of the base writes there.
            decides[setting]["weights"] = sha256
        decides["data"].pop("prepared", None)  # where the same numbers are read from
        text = json.dumps([decides, split_hash], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()
