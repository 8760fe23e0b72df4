"""SSIM, PSNR and L1 against definitions written out pixel by pixel, and scikit-image."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from attnzoo.metrics.l1 import l1
from attnzoo.metrics.psnr import LARGEST_DB, psnr
from attnzoo.metrics.ssim import ssim


def clips(n: int, f: int, h: int, w: int, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    real = torch.rand((n, f, 3, h, w), generator=generator)
    noise = 0.2 * torch.randn((n, f, 3, h, w), generator=generator)
    return real, (real + noise).clamp(0, 1)


def ssim_by_hand(x: np.ndarray, y: np.ndarray) -> float:
    """One channel `[h, w]`: a window around every pixel that has a whole one."""
    offsets = np.arange(-5, 6)
    weights = np.exp(-(offsets[:, None] ** 2 + offsets[None] ** 2) / (2 * 1.5**2))
    weights /= weights.sum()
    values = []
    for i in range(5, x.shape[0] - 5):
        for j in range(5, x.shape[1] - 5):
            a, b = (v[i - 5 : i + 6, j - 5 : j + 6].astype(np.float64) for v in (x, y))
            ma, mb = (weights * a).sum(), (weights * b).sum()
            va, vb = (weights * (a - ma) ** 2).sum(), (weights * (b - mb) ** 2).sum()
            cov = (weights * (a - ma) * (b - mb)).sum()
            top = (2 * ma * mb + 0.01**2) * (2 * cov + 0.03**2)
            values.append(top / ((ma**2 + mb**2 + 0.01**2) * (va + vb + 0.03**2)))
    return float(np.mean(values))


@settings(max_examples=10, deadline=None)
@given(st.integers(1, 3), st.integers(1, 2), st.integers(11, 19), st.integers(11, 19))
def test_ssim_is_its_definition(n: int, f: int, h: int, w: int) -> None:
    real, fake = clips(n, f, h, w)
    expected = [
        np.mean(
            [ssim_by_hand(real[i, k, c].numpy(), fake[i, k, c].numpy())
             for k in range(f) for c in range(3)]
        )
        for i in range(n)
    ]  # fmt: skip
    np.testing.assert_allclose(ssim(real, fake).numpy(), expected, rtol=0, atol=1e-12)


def test_ssim_is_scikit_images() -> None:
    metrics = pytest.importorskip("skimage.metrics", reason="scikit-image is not installed")
    real, fake = clips(2, 3, 40, 33)
    for i in range(2):
        frames = [
            metrics.structural_similarity(
                real[i, k].double().numpy(),
                fake[i, k].double().numpy(),
                channel_axis=0,
                data_range=1,
                gaussian_weights=True,
                sigma=1.5,
                use_sample_covariance=False,
            )
            for k in range(3)
        ]
        assert ssim(real, fake)[i].item() == pytest.approx(np.mean(frames), abs=1e-9)


def test_ssim_of_equal_clips_is_one_even_where_they_are_flat() -> None:
    real = torch.full((1, 2, 3, 16, 16), 0.7)
    assert ssim(real, real).item() == pytest.approx(1.0, abs=1e-12)


@pytest.mark.parametrize("side", [1, 10])
def test_ssim_refuses_pictures_smaller_than_its_window(side: int) -> None:
    real = torch.zeros(1, 1, 3, 32, side)
    with pytest.raises(ValueError, match=f"at least 11 pixels a side, not \\(32, {side}\\)"):
        ssim(real, real)


@settings(max_examples=15, deadline=None)
@given(st.integers(1, 3), st.integers(1, 4), st.integers(1, 9), st.integers(1, 9))
def test_psnr_is_the_mean_over_frames(n: int, f: int, h: int, w: int) -> None:
    real, fake = clips(n, f, h, w)
    squares = (real.double() - fake.double()).numpy() ** 2
    expected = [
        np.mean([10 * math.log10(1 / squares[i, k].mean()) for k in range(f)]) for i in range(n)
    ]
    np.testing.assert_allclose(psnr(real, fake).numpy(), expected, atol=1e-10)


def test_psnr_of_equal_clips_is_finite() -> None:
    real, _ = clips(1, 2, 4, 4)
    assert psnr(real, real).item() == LARGEST_DB


def test_psnr_knows_no_wrap_around() -> None:
    black, white = torch.zeros(1, 1, 3, 4, 4), torch.ones(1, 1, 3, 4, 4)
    assert psnr(black, white).item() == pytest.approx(0.0)


@settings(max_examples=15, deadline=None)
@given(st.integers(1, 3), st.integers(1, 4), st.integers(2, 9), st.integers(2, 9))
def test_l1_over_the_picture_and_over_the_body(n: int, f: int, h: int, w: int) -> None:
    real, fake = clips(n, f, h, w)
    generator = torch.Generator().manual_seed(1)
    body = (torch.rand((n, f, 1, h, w), generator=generator) > 0.5).float()
    body[:, 0, 0, 0, 0] = 1
    errors = (real.double() - fake.double()).abs()
    for i in range(n):
        inside = errors[i][body[i].bool().expand(f, 3, h, w)]
        assert l1(real, fake)[i].item() == pytest.approx(errors[i].mean().item(), abs=1e-12)
        assert l1(real, fake, body)[i].item() == pytest.approx(inside.mean().item(), abs=1e-12)


def test_l1_over_no_body_is_nan() -> None:
    real, fake = clips(2, 2, 4, 4)
    body = torch.zeros(2, 2, 1, 4, 4)
    body[1] = 1
    found = l1(real, fake, body)
    assert found[0].isnan() and not found[1].isnan()


@pytest.mark.parametrize("metric", [ssim, psnr, l1])
def test_unequal_shapes_are_refused(metric) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ValueError, match=r"shapes differ: \(1, 2, 3, 16, 16\) and \(1, 1, 3"):
        metric(torch.zeros(1, 2, 3, 16, 16), torch.zeros(1, 1, 3, 16, 16))
