"""Sampling: DDIM against its own formula, guidance, noise, modes; with a small stand-in model."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from attnzoo.data.clip import Batch
from attnzoo.errors import UserError
from attnzoo.models.noise import Noise, clip_noise
from attnzoo.models.sampling import sample

CONFIG = {
    "num_train_timesteps": 100,
    "beta_schedule": "linear",
    "clip_sample": False,
    "timestep_spacing": "trailing",
    "set_alpha_to_one": True,
}


class Halves(nn.Module):
    """A codec: latents are 2 * image - 1 at half the resolution."""

    def encode(self, images: Tensor) -> Tensor:
        return 2 * images[..., ::2, ::2] - 1

    def decode(self, latents: Tensor) -> Tensor:
        image = (latents + 1) / 2
        return image.repeat_interleave(2, -1).repeat_interleave(2, -2)


class FakeDance(nn.Module):
    """Predicts a fixed function of its inputs and keeps what it was given."""

    def __init__(self, prediction_type: str) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(0.3))
        self.codec = Halves()
        self.scheduler_config = {**CONFIG, "prediction_type": prediction_type}
        self.calls: list[dict[str, Any]] = []
        self.frozen = nn.Dropout().eval()

    def tokens(self, batch: Batch) -> Tensor:
        return batch.foreground.mean((2, 3))[:, None]

    def null_tokens(self, tokens: Tensor) -> Tensor:
        return torch.zeros_like(tokens)

    def forward(
        self,
        noisy: Tensor,
        t: Tensor,
        tokens: Tensor,
        pose: Tensor,
        background: Tensor,
        motion: Any,
    ) -> Tensor:
        self.calls.append(
            {"noisy": noisy, "t": t, "tokens": tokens, "pose": pose, "background": background,
             "training": self.training, "grad": torch.is_grad_enabled(), "motion": motion}
        )  # fmt: skip
        condition = tokens.mean((1, 2)) + pose.mean((1, 2, 3, 4)) + background.mean((1, 2, 3))
        return self.scale * noisy + condition[:, None, None, None, None] * (t[0] / 100)


def batch(b: int = 2, f: int = 3, size: int = 8) -> Batch:
    g = torch.Generator().manual_seed(7)

    def rand(*shape: int) -> Tensor:
        return torch.rand(shape, generator=g)

    return Batch(
        names=("clip",) * b, video=rand(b, f, 3, size, size), pose=rand(b, f, 6, size, size),
        foreground=rand(b, 3, size, size), mask=rand(b, 1, size, size),
        reference_pose=rand(b, 6, size, size), background=rand(b, 3, size, size), motion=None,
    )  # fmt: skip


def run(model: FakeDance, **changes: Any) -> Tensor:
    settings: dict[str, Any] = {"steps": 5, "guidance": 1.0, "noise": Noise.half}
    generator = torch.Generator().manual_seed(3)
    return sample(model, batch(), generator=generator, **{**settings, **changes})


def by_hand(model: FakeDance, kind: str, steps: int, guidance: float, noise: Noise) -> Tensor:
    """DDIM of Song et al., equation 12 with sigma 0, in float64."""
    data = batch()
    alphas = (1 - torch.linspace(1e-4, 0.02, 100, dtype=torch.float64)).cumprod(0)
    x = clip_noise((2, 3, 3, 4, 4), noise, torch.Generator().manual_seed(3)).double()
    times = [round(100 - i * 100 / steps) - 1 for i in range(steps)]
    tokens = model.tokens(data)

    def predict(tokens: Tensor, t: int) -> Tensor:
        out = model(x, torch.tensor([t] * 2), tokens, data.pose, data.background, None)
        return out.detach().double()

    for t in times:
        a = alphas[t]
        a_next = alphas[t - 100 // steps] if t - 100 // steps >= 0 else torch.tensor(1.0)
        null, full = predict(torch.zeros_like(tokens), t), predict(tokens, t)
        out = null + guidance * (full - null)
        if kind == "epsilon":
            clean, eps = (x - (1 - a).sqrt() * out) / a.sqrt(), out
        else:
            clean = a.sqrt() * x - (1 - a).sqrt() * out
            eps = a.sqrt() * out + (1 - a).sqrt() * x
        x = a_next.sqrt() * clean + (1 - a_next).sqrt() * eps
    return model.codec.decode(x).clamp(0, 1)


@pytest.mark.parametrize("kind", ["epsilon", "v_prediction"])
@pytest.mark.parametrize("guidance", [1.0, 2.5])
@pytest.mark.parametrize("noise", Noise)
def test_equals_ddim_by_hand(kind: str, guidance: float, noise: Noise) -> None:
    model = FakeDance(kind)
    video = run(model, guidance=guidance, noise=noise)
    assert video.shape == (2, 3, 3, 8, 8) and video.dtype == torch.float32
    expected = by_hand(model, kind, 5, guidance, noise)
    torch.testing.assert_close(video.double(), expected, atol=1e-5, rtol=1e-5)
    assert bool(((video > 0) & (video < 1)).any())


def test_guidance_is_one_doubled_batch_null_first() -> None:
    model = FakeDance("v_prediction")
    run(model, guidance=3.0)
    assert len(model.calls) == 5
    for call in model.calls:
        assert [call[k].shape[0] for k in ("noisy", "t", "tokens", "pose", "background")] == [4] * 5
        assert torch.equal(call["noisy"][:2], call["noisy"][2:])
        assert not call["tokens"][:2].any() and call["tokens"][2:].all()
        assert torch.equal(call["pose"][:2], call["pose"][2:])


def test_guidance_one_runs_the_condition_alone() -> None:
    model = FakeDance("v_prediction")
    run(model)
    assert {call["noisy"].shape[0] for call in model.calls} == {2}
    assert all(call["tokens"].all() for call in model.calls)


def test_modes_come_back_and_gradients_are_off() -> None:
    model = FakeDance("epsilon")
    model.train()
    model.frozen.eval()
    video = run(model)
    assert not any(call["training"] or call["grad"] for call in model.calls)
    assert model.training and not model.frozen.training
    assert not video.requires_grad and not video.is_inference()


def test_modes_come_back_after_a_failure() -> None:
    model = FakeDance("epsilon")

    def stop(done: int, steps: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(model, progress=stop)
    assert model.training


def test_progress_and_generator() -> None:
    model = FakeDance("epsilon")
    seen: list[tuple[int, int]] = []
    before = torch.get_rng_state()
    first = run(model, steps=4, progress=lambda done, steps: seen.append((done, steps)))
    assert seen == [(1, 4), (2, 4), (3, 4), (4, 4)]
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(first, run(model, steps=4))


@pytest.mark.parametrize("steps", [0, -3, 101])
def test_steps_out_of_range(steps: int) -> None:
    with pytest.raises(UserError, match=rf"sample\.steps={steps}: .* from 1 to 100"):
        run(FakeDance("epsilon"), steps=steps)


def test_one_step_of_epsilon_is_finite() -> None:
    video = run(FakeDance("epsilon"), steps=1)
    assert math.isfinite(float(video.sum()))
