"""Sampling: from noise to a clip, by DDIM with classifier-free guidance."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from diffusers import DDIMScheduler
from torch import Tensor

from attnzoo.errors import UserError
from attnzoo.models.finite import NotFinite, finite, first_not_finite
from attnzoo.models.noise import Noise, clip_noise
from attnzoo.models.stretches import Stretches, motion_of

if TYPE_CHECKING:
    from attnzoo.data.clip import Batch
    from attnzoo.models.dance import DanceModel
    from attnzoo.motion import Motion

_SCHEDULER: Any = DDIMScheduler  # diffusers' constructors are untyped

Progress = Callable[[int, int], None]
"""Called after each denoising step with the steps done and those there are."""


def sample(
    model: DanceModel,
    batch: Batch,
    *,
    steps: int,
    guidance: float,
    noise: Noise,
    generator: torch.Generator,
    progress: Progress | None = None,
    parts: Stretches | None = None,
) -> Tensor:
    """A clip for each of the batch, `[b, f, 3, H, W]`, float32 in [0, 1], on the batch's device.

    Reads pose, foreground, background and motion of the batch, never its video. DDIM without
    added noise (eta 0): `generator` draws the initial noise, on its own device, and nothing else.
    Guidance `g` is `null + g * (conditioned - null)`, both halves in one doubled batch, null
    first; 1 means the condition alone, without that batch.

    With `parts` of more than one window the clip is denoised window by window, and no more frames
    than one has pass the model at once: memory grows with the clip by its latents and conditions
    alone. Noise is drawn for the whole clip.

    Gradients are off (not inference mode: maps that motion caches here may serve training), the
    model is in evaluation mode and gets its modes back.

    Raises:
        UserError: if `steps` is not from 1 to the number of steps the model was trained with.
        ValueError: `parts` are of a clip of another length.
        NotFinite: a prediction or picture is not; the message names denoising step and layer.
    """
    frames = batch.pose.shape[1]
    if parts is not None and parts.frames != frames:
        raise ValueError(f"parts of a clip of {parts.frames} frames, and this one has {frames}")
    scheduler = _SCHEDULER.from_config(dict(model.scheduler_config))
    trained = int(scheduler.config.num_train_timesteps)
    if not 1 <= steps <= trained:
        raise UserError(f"sample.steps={steps}: a whole number from 1 to {trained} is needed")
    device = batch.pose.device
    codec: Any = model.codec
    scheduler.set_timesteps(steps, device=device)
    with torch.no_grad(), _evaluating(model):
        denoise = _denoiser(model, batch, guidance, parts)
        latents = _initial(model, batch, noise, generator) * scheduler.init_noise_sigma
        for done, t in enumerate(scheduler.timesteps, start=1):
            noisy = scheduler.scale_model_input(latents, t)
            prediction = denoise(noisy, t)
            if not finite(prediction):
                layer = first_not_finite(model, lambda: denoise(noisy, t))  # noqa: B023
                raise NotFinite(
                    f"denoising step {done} of {len(scheduler.timesteps)}: the prediction is not "
                    f"finite, first in {layer or 'what the model was given'}"
                )
            latents = scheduler.step(prediction, t, latents, eta=0.0).prev_sample
            if progress is not None:
                progress(done, len(scheduler.timesteps))
        # Clip by clip: an auto-encoder's decoder needs more memory than the U-Net.
        at_once = parts.longest if parts is not None else frames
        clips = [_decoded(codec, clip, at_once) for clip in latents]
        if not finite(*clips):
            raise NotFinite("the decoded pictures are not finite, though their latents are")
    return torch.stack(clips).float().clamp(0, 1)


def _initial(model: DanceModel, batch: Batch, noise: Noise, generator: torch.Generator) -> Tensor:
    codec: Any = model.codec
    c, h, w = codec.encode(batch.foreground[:1]).shape[-3:]
    b, f = batch.pose.shape[:2]
    return clip_noise((b, f, c, h, w), noise, generator).to(batch.pose.device)


def _decoded(codec: Any, clip: Tensor, at_once: int) -> Tensor:
    """The pictures of latents `[f, c, h, w]`, so many frames at once."""
    return torch.cat([codec.decode(part) for part in clip.split(at_once)])


def _denoiser(
    model: DanceModel, batch: Batch, guidance: float, parts: Stretches | None
) -> Callable[[Tensor, Tensor], Tensor]:
    """(latents, t) -> guided prediction, float32; the conditions are made once for all steps."""
    tokens = model.tokens(batch)
    pose, background = batch.pose, batch.background
    guided = guidance != 1.0
    if guided:
        tokens = torch.cat([model.null_tokens(tokens), tokens])
        pose, background = torch.cat([pose, pose]), torch.cat([background, background])

    def denoise(latents: Tensor, t: Tensor, pose: Tensor, motion: Motion | None) -> Tensor:
        noisy = torch.cat([latents, latents]) if guided else latents
        times = t.expand(noisy.shape[0])
        prediction: Tensor = model(noisy, times, tokens, pose, background, motion).float()
        if not guided:
            return prediction
        null, conditioned = prediction.chunk(2)
        return null + guidance * (conditioned - null)

    if parts is None or len(parts.windows) == 1:
        return lambda latents, t: denoise(latents, t, pose, batch.motion)
    # Each window keeps its motion, and with it the maps that mechanisms cache there.
    whole = batch.motion
    motions = [None if whole is None else motion_of(whole, window) for window in parts.windows]
    weights = parts.weights.to(pose.device)

    def fused(latents: Tensor, t: Tensor) -> Tensor:
        total = torch.zeros_like(latents, dtype=torch.float32)
        for window, motion, weight in zip(parts.windows, motions, weights, strict=True):
            at = slice(window.start, window.stop)
            one = denoise(latents[:, at], t, pose[:, at], motion)
            total[:, at] += weight[at].view(1, -1, 1, 1, 1) * one
        return total

    return fused


@contextmanager
def _evaluating(model: DanceModel) -> Iterator[None]:
    """Evaluation mode; afterwards each module's own mode again (frozen parts may differ)."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training
