"""One step on random weights on this machine, for comparison with what was worked out."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from attnzoo.bench.cost import peak_memory
from attnzoo.models.dance import DanceModel
from attnzoo.planning.trace import HALF, Sizes, motion, trace, trace_sampling
from attnzoo.train.device import check_machine
from attnzoo.train.experiment import inflated
from attnzoo.train.settings import Experiment
from attnzoo.train.stages import enter_stage

MIB = 2**20


@dataclass(frozen=True)
class Measured:
    """A step's peak beyond weights and optimiser states, as measured and as worked out, in bytes;
    seconds: of the second of two equal steps.
    """

    what: str
    found: int
    expected: int
    seconds: float

    def __str__(self) -> str:
        off = self.expected / self.found - 1
        return (
            f"{self.what}: {self.found / MIB:,.1f} MiB at the peak beyond weights and averages, "
            f"worked out {self.expected / MIB:,.1f} MiB ({off:+.1%}); {self.seconds:.3g} s"
        )


def measured(experiment: Experiment, sizes: Sizes, what: str) -> Measured:
    """Runs `stage1`, `stage2` (one pass forward and backward) or `sample` (one denoising step).

    The first of two runs warms up. Adam and averages are left out, since they need no measuring.

    Raises:
        UserError: what the machine or the variant cannot do.
    """
    device = check_machine(experiment)
    model = inflated(experiment, experiment.model.shape).to(device)
    step = _Step(model, experiment, sizes, device)
    run: Callable[[], object]
    if what == "sample":
        model.eval().requires_grad_(False)
        run = step.denoise
        sampled = trace_sampling(experiment, sizes)
        expected = sampled.denoising
    else:
        stage = int(what[-1])
        enter_stage(model, stage)
        run = step.train
        checkpointing = experiment.training.gradient_checkpointing
        traced = trace(experiment, sizes, stage, checkpointing=checkpointing)
        expected = traced.activations + traced.gradients
    run()
    started = time.perf_counter()
    found = peak_memory(run, device, partial(model.zero_grad, set_to_none=True))
    return Measured(what, found, expected, time.perf_counter() - started)


class _Step:
    """Passes on random clips."""

    def __init__(
        self, model: DanceModel, experiment: Experiment, sizes: Sizes, device: torch.device
    ) -> None:
        self.model, self.device = model, device
        self.half = HALF[experiment.precision]
        self.guided = experiment.sampling.guidance != 1
        b, f, s = sizes.batch, sizes.frames, sizes.size
        self.video, self.pose = _rand(device, b, f, 3, s, s), _rand(device, b, f, 6, s, s)
        self.background, self.mask = _rand(device, b, 3, s, s), sizes.mask.to(device)
        still = motion(experiment, sizes)
        self.motion = None if still is None else still.device_to(device)
        with torch.no_grad(), self._autocast():
            codec: Any = model.codec
            self.clean: Tensor = codec.encode(self.video).float()
            self.tokens: Tensor = model.image_encoder(self.background, self.mask, self.pose[:, 0])

    def _autocast(self) -> torch.autocast:
        return torch.autocast(self.device.type, self.half, enabled=self.half is not None)

    def train(self) -> None:
        """Forward, loss and backward."""
        noise = torch.randn_like(self.clean)
        times = torch.full((self.clean.shape[0],), 500, device=self.device)
        with self._autocast():
            predicted = self.model(
                self.clean + noise, times, self.tokens, self.pose, self.background, self.motion
            )
            loss = F.mse_loss(predicted.float(), noise)
        loss.backward()

    def denoise(self) -> Tensor:
        """One denoising step of the first clip, with guidance's second half where there is one."""
        twice = 2 if self.guided else 1
        given = (self.clean, self.tokens, self.pose, self.background)
        noisy, tokens, pose, background = (torch.cat([t[:1]] * twice) for t in given)
        times = torch.full((twice,), 500, device=self.device)
        with torch.no_grad(), self._autocast():
            found: Tensor = self.model(noisy, times, tokens, pose, background, self.motion)
        return found.float()


def _rand(device: torch.device, *shape: int) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(0)).to(device)
