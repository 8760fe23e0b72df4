"""Both profiles of pair metrics against the libraries they stand for, and numpy."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
import torchmetrics.functional.image as theirs
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.metrics import structural_similarity
from test_score import random_vgg
from torch import Tensor

from attnzoo.metrics.entries.l1 import l1_by_area, mean_absolute_error
from attnzoo.metrics.entries.psnr import true_psnr, wrapped_psnr
from attnzoo.metrics.entries.ssim import gaussian_ssim, grey_ssim
from attnzoo.metrics.perceptual import load_lpips, lpips_of_frames
from attnzoo.metrics.registry import NoValue


def bytes_of(f: int, h: int, w: int, seed: int) -> np.ndarray:  # type: ignore[type-arg]
    """Smooth pictures with some noise, `[f, h, w, 3]` uint8."""
    rng = np.random.default_rng(seed)
    rough = rng.uniform(0, 255, (f, h // 4 + 1, w // 4 + 1, 3)).astype(np.float32)
    smooth = np.stack([cv2.resize(x, (w, h), interpolation=cv2.INTER_CUBIC) for x in rough])
    return np.clip(smooth + 8 * rng.standard_normal(smooth.shape), 0, 255).round().astype(np.uint8)


def unit(pictures: np.ndarray) -> Tensor:  # type: ignore[type-arg]
    """As a metric gets them: `[f, 3, h, w]` in [0, 1]."""
    return torch.from_numpy(pictures).permute(0, 3, 1, 2).float() / 255


sizes = given(st.integers(1, 3), st.integers(12, 40), st.integers(12, 40), st.integers(0, 99))


@settings(max_examples=15, deadline=None)
@sizes
def test_wrapped_psnr_is_numpys_on_bytes(f: int, h: int, w: int, seed: int) -> None:
    a, b = bytes_of(f, h, w, seed), bytes_of(f, h, w, seed + 1)
    b[0, 0, 0] = a[0, 0, 0]
    expected = [20 * np.log10(255 / np.sqrt(np.mean((x - y) ** 2))) for x, y in zip(a, b)]  # noqa: B905
    assert wrapped_psnr(unit(a), unit(b)).tolist() == pytest.approx(expected, abs=1e-9)
    assert wrapped_psnr(unit(a), unit(a)).tolist() == [100.0] * f


@settings(max_examples=15, deadline=None)
@sizes
def test_true_psnr_is_its_formula(f: int, h: int, w: int, seed: int) -> None:
    a, b = bytes_of(f, h, w, seed), bytes_of(f, h, w, seed + 1)
    squares = ((a.astype(float) - b.astype(float)) ** 2).mean(axis=(1, 2, 3))
    expected = 10 * np.log10(255**2 / squares)
    found = true_psnr(unit(a), unit(b))
    assert found.tolist() == pytest.approx(expected.tolist(), abs=1e-5)
    whole = theirs.peak_signal_noise_ratio(unit(a), unit(b), data_range=1.0, dim=(1, 2, 3))
    assert found.mean().item() == pytest.approx(whole.item(), abs=1e-4)


@pytest.mark.parametrize(
    ("sigma", "wrapped", "true", "area"),
    [
        (5, 34.28, 34.18, 6.0e-5),
        (10, 30.43, 28.32, 1.2e-4),
        (20, 28.83, 22.48, 2.3e-4),
        (30, 28.34, 19.19, 3.4e-4),
        (45, 28.09, 16.00, 4.9e-4),
    ],
)
def test_the_overflow_hides_noise(sigma: int, wrapped: float, true: float, area: float) -> None:
    """No noise is strong enough to fall below 27.9 dB; the true value shows what is there."""
    rng = np.random.default_rng(0)
    a = rng.integers(0, 256, (1, 256, 256, 3), dtype=np.uint8)
    noisy = np.clip(a + sigma * rng.standard_normal(a.shape), 0, 255).round().astype(np.uint8)
    real, fake = unit(a), unit(noisy)
    assert wrapped_psnr(real, fake).item() == pytest.approx(wrapped, abs=0.06)
    assert true_psnr(real, fake).item() == pytest.approx(true, abs=0.06)
    assert l1_by_area(real, fake).item() == pytest.approx(area, rel=0.05)
    assert wrapped_psnr(real, unit(rng.integers(0, 256, a.shape, dtype=np.uint8))).item() > 27.8


@settings(max_examples=15, deadline=None)
@sizes
def test_grey_ssim_is_scikit_images_default(f: int, h: int, w: int, seed: int) -> None:
    a, b = bytes_of(f, h, w, seed), bytes_of(f, h, w, seed + 1)
    expected = [
        structural_similarity(*(cv2.cvtColor(p, cv2.COLOR_RGB2GRAY) for p in pair))
        for pair in zip(a, b)  # noqa: B905
    ]
    assert grey_ssim(unit(a), unit(b)).tolist() == pytest.approx(expected, abs=1e-10)


@settings(max_examples=10, deadline=None)
@sizes
def test_gaussian_ssim_is_scikit_images(f: int, h: int, w: int, seed: int) -> None:
    a, b = bytes_of(f, h, w, seed), bytes_of(f, h, w, seed + 1)
    expected = [
        structural_similarity(
            x / 255, y / 255, channel_axis=2, data_range=1, gaussian_weights=True, sigma=1.5,
            use_sample_covariance=False,
        )
        for x, y in zip(a, b)  # noqa: B905
    ]  # fmt: skip
    found = gaussian_ssim(unit(a), unit(b))
    assert found.tolist() == pytest.approx(expected, abs=1e-5)


def test_gaussian_ssim_is_near_torchmetrics() -> None:
    """Which goes on into the border by reflection: of large pictures that is little."""
    a = bytes_of(1, 160, 160, 0)
    b = np.clip(a + np.random.default_rng(1).normal(0, 10, a.shape), 0, 255).astype(np.uint8)
    found = gaussian_ssim(unit(a), unit(b)).item()
    other = theirs.structural_similarity_index_measure(unit(a), unit(b), data_range=1.0).item()
    assert 0.1 < found < 0.99 and found == pytest.approx(other, abs=2e-3)


def test_a_picture_below_the_window_has_no_ssim() -> None:
    with pytest.raises(NoValue, match=r"at least 7 pixels a side, not \(6, 9\)"):
        grey_ssim(torch.zeros(1, 3, 6, 9), torch.zeros(1, 3, 6, 9))


def test_both_l1_are_one_error_in_two_units() -> None:
    a, b = bytes_of(2, 20, 30, 0), bytes_of(2, 20, 30, 1)
    plain = np.abs(a.astype(float) - b.astype(float)).mean(axis=(1, 2, 3))
    assert l1_by_area(unit(a), unit(b)).tolist() == pytest.approx((plain / 600).tolist())
    found = mean_absolute_error(unit(a), unit(b)).tolist()
    assert found == pytest.approx((plain / 255).tolist(), abs=1e-7)


def test_lpips_is_the_packages_with_the_same_weights(tmp_path: Path) -> None:
    import lpips

    torch.save(random_vgg(), tmp_path / "vgg.pth")
    network = load_lpips(tmp_path / "vgg.pth")
    with pytest.warns(UserWarning, match="pretrained|weights"):
        package = lpips.LPIPS(net="vgg", pnet_rand=True, verbose=False).eval()
    state = torch.load(tmp_path / "vgg.pth", weights_only=True)
    for name, parameter in package.net.named_parameters():
        parameter.data.copy_(state["features." + name.split(".", 1)[1]])
    real, fake = unit(bytes_of(2, 32, 32, 0)), unit(bytes_of(2, 32, 32, 1))
    with torch.no_grad():
        scaled = package(2 * real - 1, 2 * fake - 1).flatten().double()
        unscaled = package(real, fake).flatten().double()
    torch.testing.assert_close(lpips_of_frames(network, real, fake, scaled=True), scaled)
    torch.testing.assert_close(lpips_of_frames(network, real, fake, scaled=False), unscaled)
    assert (scaled - unscaled).abs().max() > 1e-3
