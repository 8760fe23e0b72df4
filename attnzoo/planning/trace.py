"""One training step on the meta device: what it holds and what it computes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch
import torch.nn.functional as F
from diffusers.training_utils import EMAModel
from torch import Tensor

from attnzoo import registry
from attnzoo.bench.cost import flops
from attnzoo.models.dance import DanceModel
from attnzoo.models.dreampose import DreamPoseModel
from attnzoo.models.image_encoder import ImageEncoder
from attnzoo.motion import Motion
from attnzoo.planning.live import AsOnGPU, Live, backward
from attnzoo.train.experiment import inflated
from attnzoo.train.settings import Experiment, Precision
from attnzoo.train.stages import enter_stage, parameter_groups

HALF = {Precision.fp32: None, Precision.bf16: torch.bfloat16, Precision.fp16: torch.float16}


@dataclass(frozen=True)
class Sizes:
    """What a step is given: clips, frames, pixels of a side; mask: the persons' `[b, 1, H, W]`."""

    batch: int
    frames: int
    size: int
    mask: Tensor


@dataclass(frozen=True)
class Step:
    """One optimiser step of a stage. Bytes: weights (of all parts), gradients, optimiser (Adam's
    two averages), average (of the weights), activations (the peak of a forward and backward pass
    beyond all these), encoding (that of auto-encoder and image encoder, before there are
    activations), update (the peak of the optimiser's own step). parameters: by part;
    trained: number of them; flops: of all passes that make one step.
    """

    parameters: dict[str, int]
    trained: int
    weights: int
    gradients: int
    optimiser: int
    average: int
    encoding: int
    activations: int
    update: int
    flops: int

    @property
    def persistent(self) -> int:
        """What is there between two steps."""
        return self.weights + self.optimiser + self.average

    @property
    def total(self) -> int:
        """The peak of everything."""
        return self.persistent + max(
            self.encoding, self.activations + self.gradients, self.update + self.gradients
        )


@dataclass(frozen=True)
class Sampled:
    """Making one clip. Bytes: weights, and the peaks of a denoising step and of decoding beyond
    them; step, clip: operations of one denoising step, and of all and decoding.
    """

    weights: int
    denoising: int
    decoding: int
    step: int
    clip: int

    @property
    def total(self) -> int:
        """The peak of everything."""
        return self.weights + max(self.denoising, self.decoding)


def trace(experiment: Experiment, sizes: Sizes, stage: int, *, checkpointing: bool) -> Step:
    """What a step of `stage` needs on a GPU, whatever this machine has.

    Raises:
        UserError: the variant does not fit these clips, or has no such option.
    """
    model = meta_model(experiment, checkpointing=checkpointing)
    parameters = enter_stage(model, stage)
    trained = list(parameters.values())
    passes = _Passes(model, sizes, HALF[experiment.precision], motion(experiment, sizes))
    there = [*model.parameters(), *model.buffers(), *passes.inputs]
    gradients = sum(p.nbytes for p in trained)
    live = Live(there)
    with live, passes.gpu:
        clean, tokens = passes.encode()
        encoding = live.peak
        del clean, tokens
        # Later parts of an accumulated step begin with gradients.
        for _ in range(min(experiment.training.accumulate, 2)):
            clean, tokens = passes.encode()
            live.restart()
            passes.run(clean, tokens)
            del clean, tokens
        activations = live.peak - gradients
        update = _update(live, model, parameters, experiment)
    model.zero_grad(set_to_none=True)
    with passes.gpu:
        counted = flops(lambda: passes.run(*passes.encode()))["Global"]
    return Step(
        parameters={name: _count(part) for name, part in model.named_children()},
        trained=sum(p.numel() for p in trained),
        weights=sum(t.nbytes for t in (*model.parameters(), *model.buffers())),
        gradients=gradients,
        optimiser=2 * gradients,
        average=gradients,
        encoding=encoding,
        activations=activations,
        update=update,
        flops=counted * experiment.training.accumulate,
    )


def trace_sampling(experiment: Experiment, sizes: Sizes) -> Sampled:
    """What making one clip needs on a GPU: clips are sampled one by one."""
    one = replace(sizes, batch=1, mask=sizes.mask[:1])
    model = meta_model(experiment, checkpointing=False)
    model.eval().requires_grad_(False)
    passes = _Passes(model, one, HALF[experiment.precision], motion(experiment, one))
    guided = experiment.sampling.guidance != 1
    live = Live([*model.parameters(), *model.buffers(), *passes.inputs])
    with live, passes.gpu:
        clean, tokens = passes.encode()
        live.restart()
        passes.denoise(tokens, clean, guided)
        denoising = live.peak
        live.restart()
        model.codec.decode(clean)
        decoding = live.peak
    with passes.gpu:
        step = flops(lambda: passes.denoise(tokens, clean, guided))["Global"]
        decoded = flops(lambda: model.codec.decode(clean))["Global"]
    weights = sum(t.nbytes for t in (*model.parameters(), *model.buffers()))
    return Sampled(weights, denoising, decoding, step, step * experiment.sampling.steps + decoded)


def meta_model(experiment: Experiment, *, checkpointing: bool) -> DanceModel:
    """The experiment's model with its variant, without memory."""
    training = replace(experiment.training, gradient_checkpointing=checkpointing)
    with torch.device("meta"):
        return inflated(replace(experiment, training=training), experiment.model.shape)


def motion(experiment: Experiment, sizes: Sizes) -> Motion | None:
    """Stillness, for variants that follow motion: index maps are as large for any."""
    if not registry.get(experiment.variant).needs_flow:
        return None
    still = torch.zeros(sizes.batch, 2, sizes.size, sizes.size)
    return Motion(lambda k, r: still, batch=sizes.batch, frames=sizes.frames)


def with_person(model: DanceModel, tokens: Tensor, picture: Tensor) -> Tensor:
    """DreamPose's tokens with the latents of a person's picture in them; others' as they are."""
    if not isinstance(model, DreamPoseModel):
        return tokens
    with torch.no_grad():
        latents = model.codec.encode(picture)
    adapted: Tensor = model.adapter(tokens, latents)
    return adapted


class _Passes:
    """The passes of a step on inputs that have shapes only."""

    def __init__(
        self, model: DanceModel, sizes: Sizes, half: torch.dtype | None, motion: Motion | None
    ) -> None:
        self.model, self.sizes, self.motion = model, sizes, motion
        self.gpu = AsOnGPU(half)
        b, f, s = sizes.batch, sizes.frames, sizes.size
        self.video = torch.empty(b, f, 3, s, s, device="meta")
        self.pose = torch.empty(b, f, 6, s, s, device="meta")
        self.background = torch.empty(b, 3, s, s, device="meta")
        self.inputs = [self.video, self.pose, self.background]

    def encode(self) -> tuple[Tensor, Tensor]:
        """Latents and tokens."""
        model = self.model
        with torch.no_grad():
            clean = model.codec.encode(self.video).float()
            if isinstance(model.image_encoder, ImageEncoder):
                # It gives as many tokens as the mask has cells, and these have no values here.
                n, width = model.image_encoder.token_shape(self.sizes.mask)
                tokens = clean.new_empty(self.sizes.batch, n, width)
            else:
                mask = self.background[:, :1]
                tokens = model.image_encoder(self.background, mask, self.pose[:, 0])
        return clean, tokens

    def denoise(self, tokens: Tensor, clean: Tensor, guided: bool) -> Tensor:
        """One step of sampling; guidance doubles the clips."""
        twice = 2 if guided else 1
        still = self.motion
        times = torch.full((twice * self.sizes.batch,), 500, device="meta")
        given = (clean, tokens, self.pose, self.background)
        noisy, tokens, pose, background = (torch.cat([t] * twice) for t in given)
        with torch.no_grad():
            tokens = with_person(self.model, tokens, background)
            found: Tensor = self.model(noisy, times, tokens, pose, background, still)
            return found.float()

    def run(self, clean: Tensor, tokens: Tensor) -> None:
        """Noise, forward, loss and backward."""
        noise = torch.empty_like(clean)
        noisy = clean + noise
        times = torch.full((self.sizes.batch,), 500, device="meta")
        tokens = with_person(self.model, tokens, self.background)
        predicted = self.model(noisy, times, tokens, self.pose, self.background, self.motion)
        loss = F.mse_loss(predicted.float(), noise)
        if loss.requires_grad:
            backward(loss)


def _update(live: Live, model: DanceModel, parameters: Any, experiment: Experiment) -> int:
    """The most that the optimiser's step and the average's hold beyond gradients and states."""
    if not parameters:
        return 0
    groups = parameter_groups(model, parameters, 1e-3)
    optimizer = torch.optim.AdamW(
        groups, weight_decay=experiment.training.weight_decay, foreach=True
    )
    trained = list(parameters.values())
    ema = EMAModel(trained, decay=experiment.training.ema, foreach=True)
    optimizer.step()
    ema.step(trained)
    before = live.held
    live.restart()
    optimizer.step()
    ema.step(trained)
    return live.peak - before


def _count(module: Any) -> int:
    return sum(p.numel() for p in module.parameters())
