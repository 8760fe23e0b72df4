"""What a model costs: parameters, FLOPs, time, throughput and peak memory.

Three things are measured: the mechanism alone, at the finest grid that carries it; one denoising
step of the whole model (ControlNets and U-Net) for one batch; and one training step of stage 1,
or of stage 2 where stage 1 has nothing to train.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from attnzoo.bench.cost import flops, peak_memory
from attnzoo.bench.measure import Measurement, Spread, measure

if TYPE_CHECKING:
    from attnzoo.data.clip import Batch
    from attnzoo.models.dance import DanceModel
    from attnzoo.motion import Motion

LIMIT_S = 5.0
"""Seconds of timing after which no further round begins: slow machines get fewer rounds."""

Run = Callable[[], object]


@dataclass(frozen=True)
class Cost:
    """One thing's cost per call. flops: products only, 2 per multiply-add; latency_s: median,
    quartiles and number of rounds, seconds; frames_per_s: frames of the batch by the median;
    peak_memory_bytes: beyond what was held before the call.
    """

    flops: int
    latency_s: Spread
    frames_per_s: float
    peak_memory_bytes: int


@dataclass(frozen=True)
class Call:
    """What the model gave one mechanism: shape `[b, f, h, w, c]`, dtype, and the motion."""

    mechanism: nn.Module
    shape: tuple[int, ...]
    dtype: torch.dtype
    motion: Motion | None


def profile(
    model: DanceModel,
    batch: Batch,
    *,
    rounds: int = 5,
    limit: float = LIMIT_S,
    precision: torch.dtype | None = None,
) -> dict[str, Any]:
    """Measures `model` on `batch`, both on their device already, and leaves the model as it was.

    precision: the dtype of autocast, None for none. Returns plain JSON values: `parameters`
    (total, unet, added, trained), `batch` (clips, frames, size), `forward` and `training` (each a
    `Cost`, forward with `unet_flops` beside it, training with its `stage`) and `module` (name,
    shape, forward and training, the latter a backward to input and weights; or a reason why there
    is none).

    Raises:
        ValueError: if the model is not inflated.
    """
    device = batch.video.device
    steps = _Steps(model, batch, precision)
    with _kept(model, steps.trained):
        calls: list[Call] = []
        with _watching(steps.mechanisms, calls):
            counted = flops(steps.forward)
        counts = {"forward": counted["Global"], "training": flops(steps.training)["Global"]}
        runs: dict[str, Run] = {"forward": steps.forward, "training": steps.training}
        module = _Module(_finest(calls), precision) if calls else None
        if module is not None:
            runs |= {"module_forward": module.forward, "module_training": module.training}
            for name in ("module_forward", "module_training"):
                counts[name] = flops(runs[name])["Global"]
        # The counting runs above were the warm-up.
        peaks: dict[str, int] = {}
        for name, run in runs.items():
            peaks[name] = peak_memory(run, device, steps.drop_gradients)
        times = measure(runs, rounds=rounds, warmup=0, limit=limit, device=device)
    frames = batch.video.shape[0] * batch.video.shape[1]
    found = {name: asdict(_cost(name, counts, times, peaks, frames)) for name in runs}
    unet = [n for n in counted if n.count(".") == 1 and n.endswith(".unet")]
    found["training"]["stage"] = steps.stage
    found["forward"]["unet_flops"] = counted[unet[0]] if unet else None
    return {
        "parameters": _parameters(model, steps.trained),
        "batch": dict(zip(("clips", "frames", "size"), _sizes(batch), strict=True)),
        "forward": found["forward"],
        "training": found["training"],
        "module": _module_record(module, found),
    }


class _Steps:
    """The two runs of a model on fixed noise: one denoising step, and one training step."""

    def __init__(self, model: DanceModel, batch: Batch, precision: torch.dtype | None) -> None:
        self.model, self.batch = model, batch
        self.autocast = _autocast(batch.video.device, precision)
        added = model.added_parameters()
        self.stage = 1 if added else 2
        self.trained = added or model.tuned_parameters()
        self.mechanisms = model.inflated.modules()
        behind = {*model.unet.parameters(), *model.image_projection.parameters()}
        self.tokens_train = not behind.issuperset(self.trained)
        device = batch.video.device
        generator = torch.Generator().manual_seed(0)
        with torch.no_grad():
            latents: Tensor = model.codec.encode(batch.video)
            self.tokens = model.tokens(batch)
        self.noisy = torch.randn(latents.shape, generator=generator).to(device)
        self.target = torch.randn(latents.shape, generator=generator).to(device)
        self.t = torch.full((latents.shape[0],), 500, device=device)
        self.optimizer = torch.optim.AdamW(self.trained)

    def _predict(self, tokens: Tensor | None = None) -> Tensor:
        batch = self.batch
        tokens = self.tokens if tokens is None else tokens
        with self.autocast():
            found: Tensor = self.model(
                self.noisy, self.t, tokens, batch.pose, batch.background, batch.motion
            )
        return found

    def forward(self) -> Tensor:
        """One denoising step without guidance."""
        self.model.eval()
        with torch.no_grad():
            return self._predict()

    def training(self) -> None:
        """Forward, backward and the optimizer's step for what the stage trains."""
        self.model.train()
        with self.autocast():
            tokens = self.model.tokens(self.batch) if self.tokens_train else None
        loss = (self._predict(tokens).float() - self.target).square().mean()
        loss.backward()
        self.optimizer.step()
        self.drop_gradients()

    def drop_gradients(self) -> None:
        """What was there before a run and is freed in it would lower the measured peak."""
        self.optimizer.zero_grad(set_to_none=True)


class _Module:
    """Two runs of one mechanism alone, on random input of the shape that the model gives it."""

    def __init__(self, call: Call, precision: torch.dtype | None) -> None:
        self.call = call
        weight = next(call.mechanism.parameters(), None)
        device = weight.device if weight is not None else torch.device("cpu")
        generator = torch.Generator().manual_seed(0)
        values = torch.randn(call.shape, generator=generator)
        self.x = values.to(device, call.dtype)
        self.autocast = _autocast(device, precision)

    def forward(self) -> Tensor:
        """The delta, without gradients."""
        with torch.no_grad(), self.autocast():
            found: Tensor = self.call.mechanism(self.x, flow=self.call.motion)
        return found

    def training(self) -> None:
        """Forward and backward to the input and to the mechanism's weights."""
        x = self.x.detach().requires_grad_()
        with self.autocast():
            delta = self.call.mechanism(x, flow=self.call.motion)
        delta.backward(torch.ones_like(delta))
        self.call.mechanism.zero_grad(set_to_none=True)


def _autocast(
    device: torch.device, precision: torch.dtype | None
) -> Callable[[], AbstractContextManager[Any]]:
    if precision is None:
        return nullcontext
    return lambda: torch.autocast(device.type, precision)


@contextmanager
def _watching(mechanisms: list[nn.Module], calls: list[Call]) -> Iterator[None]:
    """Notes each call of a mechanism while the model runs."""

    def note(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        x = args[0]
        calls.append(Call(module, tuple(x.shape), x.dtype, kwargs.get("flow")))

    hooks = [m.register_forward_pre_hook(note, with_kwargs=True) for m in mechanisms]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def _finest(calls: list[Call]) -> Call:
    """The first call of those with the most tokens."""
    return max(calls, key=lambda call: call.shape[2] * call.shape[3])


@contextmanager
def _kept(model: nn.Module, trained: list[nn.Parameter]) -> Iterator[None]:
    """Only `trained` require gradients; afterwards weights, gradients and modes are as before."""
    modes = [(module, module.training) for module in model.modules()]
    flags = [(p, p.requires_grad, p.grad) for p in model.parameters()]
    values = [p.detach().clone() for p in trained]
    try:
        for parameter, _, _ in flags:
            parameter.requires_grad_(False)
            parameter.grad = None
        for parameter in trained:
            parameter.requires_grad_()
        yield
    finally:
        with torch.no_grad():
            for parameter, value in zip(trained, values, strict=True):
                parameter.copy_(value)
        for parameter, required, gradient in flags:
            parameter.requires_grad_(required)
            parameter.grad = gradient
        for module, mode in modes:
            module.training = mode


def _cost(
    name: str, counts: dict[str, int], times: Measurement, peaks: dict[str, int], frames: int
) -> Cost:
    spread = times.spread(name)
    return Cost(counts[name], spread, frames / spread.median, peaks[name])


def _parameters(model: DanceModel, trained: list[nn.Parameter]) -> dict[str, int]:
    """total: of the whole model; unet: the inflated U-Net; added to the base; trained above."""
    return {
        "total": sum(p.numel() for p in model.parameters()),
        "unet": model.inflated.parameter_counts().total,
        "added": model.added_count(),
        "trained": sum(p.numel() for p in trained),
    }


def _sizes(batch: Batch) -> tuple[int, int, int]:
    b, f = batch.video.shape[:2]
    return b, f, batch.video.shape[-1]


def _module_record(module: _Module | None, found: dict[str, dict[str, Any]]) -> dict[str, Any]:
    if module is None:
        return {"reason": "the variant has no module"}
    return {
        "name": type(module.call.mechanism).__name__,
        "shape": list(module.call.shape),
        "forward": found["module_forward"],
        "training": found["module_training"],
    }
