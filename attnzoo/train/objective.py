"""The denoising loss of one batch, with its random choices."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from diffusers import DDPMScheduler
from torch import Tensor

from attnzoo.data.clip import Batch
from attnzoo.errors import UserError
from attnzoo.models.dance import DanceModel
from attnzoo.models.noise import Noise, clip_noise
from attnzoo.train.batches import Purpose, generator

HIGH = 0.7
"""Where the noisiest times begin, as a share of all."""


@dataclass(frozen=True)
class Draw:
    """Random choices for a batch: times `[b]`, noise `[b, f, c, h, w]`, `[b]` without person."""

    times: Tensor
    noise: Tensor
    null: Tensor


class Objective:
    """Mean squared error of the model's prediction of noise or v, as its scheduler says.

    The frames of a clip share its time. A share `null_tokens` of the clips is shown without
    person, for classifier-free guidance, a share `high_noise` has its time among the noisiest. All
    is drawn clip by clip, keyed by seed, stage and the clip's number in the stage.
    """

    def __init__(
        self,
        model: DanceModel,
        *,
        noise: Noise,
        seed: int,
        stage: int,
        null_tokens: float,
        high_noise: float = 0.0,
    ) -> None:
        """Raises UserError for a prediction type that is neither epsilon nor v_prediction."""
        self.scheduler: Any = DDPMScheduler.from_config(dict(model.scheduler_config))
        self.kind = self.scheduler.config.prediction_type
        if self.kind not in ("epsilon", "v_prediction"):
            raise UserError(f"prediction_type={self.kind}: train epsilon or v_prediction")
        self.model = model
        self.noise = noise
        self.seed = seed
        self.stage = stage
        self.null_tokens = null_tokens
        self.high_noise = high_noise

    def draw(self, first: int, shape: tuple[int, int, int, int, int]) -> Draw:
        """The choices for clips `first`, `first + 1`, ... of latents of this shape, on the CPU."""
        clips = range(first, first + shape[0])

        def own(purpose: Purpose, number: int) -> torch.Generator:
            return generator(self.seed, purpose, self.stage, number)

        times = [self._time(own(Purpose.time, n)) for n in clips]
        noise = [clip_noise((1, *shape[1:]), self.noise, own(Purpose.noise, n)) for n in clips]
        null = [torch.rand((1,), generator=own(Purpose.null, n)) < self.null_tokens for n in clips]
        return Draw(torch.cat(times), torch.cat(noise), torch.cat(null))

    def _time(self, generator: torch.Generator) -> Tensor:
        steps = int(self.scheduler.config.num_train_timesteps)
        time = torch.randint(steps, (1,), generator=generator)
        if float(torch.rand((1,), generator=generator)) >= self.high_noise:
            return time
        return torch.randint(int(HIGH * steps), steps, (1,), generator=generator)

    def __call__(self, batch: Batch, first: int) -> Tensor:
        """The loss (float32 scalar) of a batch on the model's device; `first` as for `draw`."""
        model, device = self.model, batch.pose.device
        # With gradients: a method may have an adapter there that trains.
        tokens, ready = model.tokens(batch), batch.ready
        with torch.no_grad():
            clean = (model.codec.encode(batch.video) if ready is None else ready.latents).float()
            draw = self.draw(first, tuple(clean.shape))
            times, noise = draw.times.to(device), draw.noise.to(device)
            noisy = self.scheduler.add_noise(clean, noise, times)
            target = noise
            if self.kind == "v_prediction":
                target = self.scheduler.get_velocity(clean, noise, times)
        null = draw.null.to(device)[:, None, None]
        nobody = model.null_tokens(tokens) if ready is None else ready.null.to(tokens.dtype)
        tokens = torch.where(null, nobody, tokens)
        prediction = model(noisy, times, tokens, batch.pose, batch.background, batch.motion)
        return F.mse_loss(prediction.float(), target)
