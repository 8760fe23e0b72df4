"""Sampling: DDIM against its own formula, guidance, noise, modes; with a small stand-in model."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
import torch
from tiny_run import tiny_model
from torch import Tensor, nn

from attnzoo.data.cast import Casting
from attnzoo.data.clip import Batch, collate
from attnzoo.data.embedded import make_clip
from attnzoo.errors import UserError
from attnzoo.models.dreampose import DreamPoseModel
from attnzoo.models.noise import Noise, clip_noise
from attnzoo.models.sampling import sample
from attnzoo.models.stretches import stretches
from attnzoo.motion import Motion

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


def long_run(model: FakeDance, data: Batch, **changes: Any) -> Tensor:
    settings: dict[str, Any] = {"steps": 3, "guidance": 2.0, "noise": Noise.half}
    generator = torch.Generator().manual_seed(3)
    return sample(model, data, generator=generator, **{**settings, **changes})


def test_one_window_is_the_sampling_without_windows_bit_for_bit() -> None:
    data = batch()
    whole = long_run(FakeDance("v_prediction"), data)
    assert torch.equal(whole, long_run(FakeDance("v_prediction"), data, parts=stretches(3, 3, 1)))
    assert torch.equal(whole, long_run(FakeDance("v_prediction"), data, parts=stretches(3, 9, 1)))


@pytest.mark.parametrize("guidance", [1.0, 2.0])
def test_overlapping_windows_are_averaged_in_every_step(guidance: float) -> None:
    model, data, parts = FakeDance("epsilon"), batch(1, 8), stretches(8, 4, 2)
    video = long_run(model, data, parts=parts, guidance=guidance)
    calls = model.calls
    assert len(calls) == 3 * 3 and {call["noisy"].shape[1] for call in calls} == {4}
    # By hand: one step from the same noise, each frame by its windows' shares.
    x = clip_noise((1, 8, 3, 4, 4), Noise.half, torch.Generator().manual_seed(3))
    for call, window in zip(calls, parts.windows, strict=False):
        assert torch.equal(call["noisy"][:1], x[:, window.start : window.stop])
        assert torch.equal(call["pose"][:1], data.pose[:, window.start : window.stop])
    alphas = (1 - torch.linspace(1e-4, 0.02, 100, dtype=torch.float64)).cumprod(0)
    tokens, x = model.tokens(data), x.double()
    times = [round(100 - i * 100 / 3) - 1 for i in range(3)]
    for t in times:
        total = torch.zeros_like(x)
        for window, share in zip(parts.windows, parts.weights.double(), strict=True):
            at = slice(window.start, window.stop)
            null, full = (
                model(
                    x[:, at].float(), torch.tensor([t]), some, data.pose[:, at], data.background, 0
                )
                for some in (torch.zeros_like(tokens), tokens)
            )
            out = (null + guidance * (full - null)).detach().double()
            total[:, at] += share[at].view(1, -1, 1, 1, 1) * out
        after = t - 100 // 3
        a, a_next = alphas[t], alphas[after] if after >= 0 else torch.tensor(1.0)
        clean = (x - (1 - a).sqrt() * total) / a.sqrt()
        x = a_next.sqrt() * clean + (1 - a_next).sqrt() * total
    expected = model.codec.decode(x).clamp(0, 1)
    torch.testing.assert_close(video.double(), expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("noise", Noise)
def test_noise_is_drawn_for_the_whole_clip(noise: Noise) -> None:
    model = FakeDance("epsilon")
    long_run(model, batch(1, 8), parts=stretches(8, 4, 2), noise=noise, guidance=1.0)
    first, second, third = (call["noisy"] for call in model.calls[:3])
    assert torch.equal(first[:, 2:], second[:, :2]) and torch.equal(second[:, 2:], third[:, :2])
    assert torch.equal(first[:, 0], third[:, 3]) == (noise is Noise.shared)


def test_each_window_follows_its_own_motion() -> None:
    model, data = FakeDance("epsilon"), batch(1, 8)
    moving = Motion(lambda k, r: torch.full((1, 2, 8, 8), 10.0 * k + r), batch=1, frames=8)
    long_run(model, replace(data, motion=moving), parts=stretches(8, 4, 2))
    motions = [call["motion"] for call in model.calls]
    assert [motion.frames for motion in motions] == [4] * 9
    assert [float(motion.pair(1, 3)[0, 0, 0, 0]) for motion in motions[:3]] == [13, 35, 57]
    assert motions[:3] == motions[3:6], "maps that it keeps serve all steps"


def test_parts_of_another_clip_are_refused() -> None:
    with pytest.raises(ValueError, match="4 frames, and this one has 3"):
        long_run(FakeDance("epsilon"), batch(), parts=stretches(4, 3, 1))


def test_frames_that_are_made_apart_do_not_depend_on_windows() -> None:
    model = DreamPoseModel.of(tiny_model())
    model.inflate("none", positions=False)
    with torch.no_grad():
        model.unet.conv_in.added.normal_(generator=torch.Generator().manual_seed(1))
    data = collate([make_clip(Casting(3, 7), frames=13, size=16)])
    parts = stretches(13, 8, 2 * model.pose_reach, fading=False)
    assert len(parts.windows) == 3
    whole = long_run(model, data, noise=Noise.independent, steps=2)
    apart = long_run(model, data, noise=Noise.independent, steps=2, parts=parts)
    torch.testing.assert_close(apart, whole, atol=1e-4, rtol=1e-4)
    other = stretches(13, 8, 0, fading=False)
    assert (
        long_run(model, data, noise=Noise.independent, steps=2, parts=other) - whole
    ).abs().max() > 1e-3
