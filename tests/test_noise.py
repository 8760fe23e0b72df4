"""Noise of a clip: moments, correlation between frames, own generator."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from attnzoo.models.noise import Noise, clip_noise

CORRELATION = {Noise.shared: 1.0, Noise.half: 0.5, Noise.independent: 0.0}


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("noise", Noise)
def test_frames_are_standard_normal_and_correlated_as_said(noise: Noise) -> None:
    x = clip_noise((2, 3, 4, 100, 100), noise, seeded()).double()
    n = x[0, 0].numel()
    assert x.mean().abs() < 5 / n**0.5
    frames = x.flatten(2)
    assert (frames.std(dim=2) - 1).abs().max() < 5 / (2 * n) ** 0.5
    for clip in frames:
        found = torch.corrcoef(clip)[0, 1:]
        assert (found - CORRELATION[noise]).abs().max() < 5 / n**0.5
    between_clips = torch.corrcoef(torch.stack([frames[0, 0], frames[1, 0]]))[0, 1]
    assert between_clips.abs() < 5 / n**0.5


@settings(max_examples=25, deadline=None)
@given(
    shape=st.tuples(*[st.integers(1, 4)] * 5), noise=st.sampled_from(Noise), seed=st.integers(0, 99)
)
def test_shape_dtype_repeatable_and_global_state_untouched(
    shape: tuple[int, int, int, int, int], noise: Noise, seed: int
) -> None:
    before = torch.get_rng_state()
    x = clip_noise(shape, noise, seeded(seed))
    assert torch.equal(torch.get_rng_state(), before)
    assert x.shape == shape and x.dtype == torch.float32 and x.is_contiguous()
    assert torch.equal(x, clip_noise(shape, noise, seeded(seed)))


def test_shared_is_one_frame_repeated_and_half_contains_it() -> None:
    shape = (2, 4, 3, 5, 6)
    shared = clip_noise(shape, Noise.shared, seeded())
    assert torch.equal(shared, shared[:, :1].expand(shape))
    rest = clip_noise(shape, Noise.half, seeded()) - 0.5**0.5 * shared
    generator = seeded()
    torch.randn((2, 1, 3, 5, 6), generator=generator)
    torch.testing.assert_close(rest, 0.5**0.5 * torch.randn(shape, generator=generator))
