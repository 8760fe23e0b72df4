"""One step on random weights on this machine, for comparison with what was worked out."""

from __future__ import annotations

import resource
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from diffusers.training_utils import EMAModel
from torch import Tensor, nn

from attnzoo.bench.cost import peak_memory
from attnzoo.errors import UserError
from attnzoo.models.dance import DanceModel
from attnzoo.planning.trace import HALF, Sizes, motion, trace, trace_sampling, with_person
from attnzoo.train.device import check_machine
from attnzoo.train.experiment import inflated
from attnzoo.train.settings import Experiment
from attnzoo.train.stages import enter_stage, parameter_groups, trained_parameters

MIB = 2**20


@dataclass(frozen=True)
class Measured:
    """A step's peak beyond weights and optimiser states, as measured and as worked out, in bytes.

    parameters, trained: how many there are; seconds: of the pass that was measured; cold: whether
    that was the first one; whole: whether layers were called whole; update: seconds of the
    optimiser's and the averages' first step, None where none was taken; process: the most that the
    process held of the machine's memory so far, in bytes, weights and libraries included.
    """

    what: str
    found: int
    expected: int
    seconds: float
    parameters: int = 0
    trained: int = 0
    cold: bool = False
    whole: bool = False
    update: float | None = None
    process: int = 0

    def __str__(self) -> str:
        text = (
            f"{self.what}: {self.found / MIB:,.1f} MiB at the peak beyond weights and averages, "
            f"worked out {self.expected / MIB:,.1f} MiB ({self.off:+.1%}); {self.seconds:.3g} s"
        )
        if self.cold:
            text += ", the first pass"
        if self.update is not None:
            text += f"; optimiser and averages {self.update:.3g} s"
        return (
            f"{text}; {self.trained / 1e6:,.1f} M of {self.parameters / 1e6:,.1f} M parameters "
            f"trained; the process at its peak {self.process / MIB:,.0f} MiB"
        )

    @property
    def off(self) -> float:
        """What was worked out over what was measured, less one."""
        return self.expected / self.found - 1


def measured(
    experiment: Experiment,
    sizes: Sizes,
    what: str,
    *,
    cold: bool = False,
    update: bool = False,
    whole: bool = False,
) -> Measured:
    """Runs `stage1`, `stage2` (one pass forward and backward) or `sample` (one denoising step).

    Args:
        experiment: whose model, on random weights.
        sizes: of its clips.
        what: see above.
        cold: measures the first pass; else one before it warms up.
        update: takes the optimiser's and the averages' step after the pass. It is timed; its
            memory, whose size is exact, counts in `process` alone.
        whole: calls layers whole, as a GPU does and as plans have it, where a CPU would work piece
            by piece.

    Raises:
        UserError: what the machine or the variant cannot do; a stage that trains nothing.
    """
    device = check_machine(experiment)
    model = inflated(experiment, experiment.model.shape).to(device)
    if whole:
        for module in model.modules():  # a layer with a hook is never taken apart
            module.register_forward_pre_hook(_nothing)
    step = _Step(model, experiment, sizes, device)
    trained: dict[str, nn.Parameter] = {}
    run: Callable[[], object]
    if what == "sample":
        model.eval().requires_grad_(False)
        run = step.denoise
        sampled = trace_sampling(experiment, sizes)
        expected = sampled.denoising
    else:
        stage = int(what[-1])
        if not trained_parameters(model, stage):
            raise UserError(
                f"--measure {what}: method={experiment.method.name} trains nothing in stage "
                f"{stage}; its first step is --measure stage2"
            )
        trained = enter_stage(model, stage)
        run = step.train
        checkpointing = experiment.training.gradient_checkpointing
        # One pass is measured, which no gradients of others precede.
        once = replace(experiment, training=replace(experiment.training, accumulate=1))
        traced = trace(once, sizes, stage, checkpointing=checkpointing)
        expected = traced.activations + traced.gradients
    if not cold:
        run()
        model.zero_grad(set_to_none=True)
    started = time.perf_counter()
    found = peak_memory(run, device, partial(model.zero_grad, set_to_none=True))
    seconds = time.perf_counter() - started
    taken = _update(model, trained, experiment) if update and trained else None
    return Measured(
        what,
        found,
        expected,
        seconds,
        parameters=sum(p.numel() for p in model.parameters()),
        trained=sum(p.numel() for p in trained.values()),
        cold=cold,
        whole=whole,
        update=taken,
        process=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
    )


def _nothing(*_: object) -> None:
    """A hook that changes nothing."""


def _update(model: DanceModel, trained: dict[str, nn.Parameter], experiment: Experiment) -> float:
    """Seconds of a first step of AdamW and of the averages, with nothing made twice."""
    started = time.perf_counter()
    groups = parameter_groups(model, trained, 1e-4)
    optimizer = torch.optim.AdamW(groups, weight_decay=experiment.training.weight_decay)
    ema = EMAModel(trained.values(), decay=experiment.training.ema)
    optimizer.step()
    ema.step(trained.values())
    return time.perf_counter() - started


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
            tokens = with_person(self.model, self.tokens, self.background)
            predicted = self.model(
                self.clean + noise, times, tokens, self.pose, self.background, self.motion
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
            tokens = with_person(self.model, tokens, background)
            found: Tensor = self.model(noisy, times, tokens, pose, background, self.motion)
        return found.float()


def _rand(device: torch.device, *shape: int) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(0)).to(device)
