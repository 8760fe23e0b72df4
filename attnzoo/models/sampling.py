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

if TYPE_CHECKING:
    from attnzoo.data.clip import Batch
    from attnzoo.models.dance import DanceModel

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
) -> Tensor:
    """A clip for each of the batch, `[b, f, 3, H, W]`, float32 in [0, 1], on the batch's device.

    Reads pose, foreground, background and motion of the batch, never its video. DDIM without
    added noise (eta 0): `generator` draws the initial noise, on its own device, and nothing else.
    Guidance `g` is `null + g * (conditioned - null)`, both halves in one doubled batch, null
    first; 1 means the condition alone, without that batch.

    Gradients are off (not inference mode: maps that motion caches here may serve training), the
    model is in evaluation mode and gets its modes back.

    Raises:
        UserError: if `steps` is not from 1 to the number of steps the model was trained with.
        NotFinite: a prediction or picture is not; the message names denoising step and layer.
    """
    scheduler = _SCHEDULER.from_config(dict(model.scheduler_config))
    trained = int(scheduler.config.num_train_timesteps)
    if not 1 <= steps <= trained:
        raise UserError(f"sample.steps={steps}: a whole number from 1 to {trained} is needed")
    device = batch.pose.device
    codec: Any = model.codec
    scheduler.set_timesteps(steps, device=device)
    with torch.no_grad(), _evaluating(model):
        denoise = _denoiser(model, batch, guidance)
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
        clips = [codec.decode(clip) for clip in latents]
        if not finite(*clips):
            raise NotFinite("the decoded pictures are not finite, though their latents are")
    return torch.stack(clips).float().clamp(0, 1)


def _initial(model: DanceModel, batch: Batch, noise: Noise, generator: torch.Generator) -> Tensor:
    codec: Any = model.codec
    c, h, w = codec.encode(batch.foreground[:1]).shape[-3:]
    b, f = batch.pose.shape[:2]
    return clip_noise((b, f, c, h, w), noise, generator).to(batch.pose.device)


def _denoiser(
    model: DanceModel, batch: Batch, guidance: float
) -> Callable[[Tensor, Tensor], Tensor]:
    """(latents, t) -> guided prediction, float32; the conditions are made once for all steps."""
    tokens = model.tokens(batch)
    pose, background = batch.pose, batch.background
    guided = guidance != 1.0
    if guided:
        tokens = torch.cat([model.null_tokens(tokens), tokens])
        pose, background = torch.cat([pose, pose]), torch.cat([background, background])

    def denoise(latents: Tensor, t: Tensor) -> Tensor:
        noisy = torch.cat([latents, latents]) if guided else latents
        times = t.expand(noisy.shape[0])
        prediction: Tensor = model(noisy, times, tokens, pose, background, batch.motion).float()
        if not guided:
            return prediction
        null, conditioned = prediction.chunk(2)
        return null + guidance * (conditioned - null)

    return denoise


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
