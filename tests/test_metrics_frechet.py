"""The Fréchet distance: against scipy's matrix root, closed forms, and singular covariances."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.linalg
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from attnzoo.metrics.frechet import Gaussian, factored, frechet_distance, gaussian


def samples(n: int, d: int, seed: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    mixing = torch.randn((d, d), generator=generator, dtype=torch.float64)
    shift = torch.randn(d, generator=generator, dtype=torch.float64)
    return torch.randn((n, d), generator=generator, dtype=torch.float64) @ mixing + shift


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 20), st.integers(0, 1000))
def test_regular_case_is_scipys(d: int, seed: int) -> None:
    a, b = samples(4 * d + 8, d, seed), samples(5 * d + 8, d, seed + 1)
    c1, c2 = np.cov(a.numpy().T).reshape(d, d), np.cov(b.numpy().T).reshape(d, d)
    root = np.real(scipy.linalg.sqrtm(c1 @ c2))
    shift = a.numpy().mean(0) - b.numpy().mean(0)
    expected = shift @ shift + np.trace(c1) + np.trace(c2) - 2 * np.trace(root)
    assert frechet_distance(gaussian(a), gaussian(b)) == pytest.approx(expected, rel=1e-7, abs=1e-7)


@settings(max_examples=30, deadline=None)
@given(st.integers(2, 12), st.integers(2, 40), st.integers(0, 1000))
def test_equal_sets_have_no_distance_whatever_their_rank(n: int, d: int, seed: int) -> None:
    a = gaussian(samples(n, d, seed))
    assert frechet_distance(a, a) == pytest.approx(0, abs=1e-9 * float(a.covariance.trace()))


@settings(max_examples=30, deadline=None)
@given(st.integers(2, 10), st.integers(2, 10), st.integers(11, 30), st.integers(0, 1000))
def test_fewer_samples_than_dimensions(n: int, m: int, d: int, seed: int) -> None:
    """tr (C1 C2)^(1/2) is the nuclear norm of the cross Gram matrix, rank or no rank."""
    a, b = samples(n, d, seed), samples(m, d, seed + 1)
    ca, cb = a - a.mean(0), b - b.mean(0)
    overlap = torch.linalg.svdvals(ca @ cb.T).sum() / ((n - 1) * (m - 1)) ** 0.5
    traces = ca.square().sum() / (n - 1) + cb.square().sum() / (m - 1)
    expected = (a.mean(0) - b.mean(0)).square().sum() + traces - 2 * overlap
    found = frechet_distance(gaussian(a), gaussian(b))
    assert found == pytest.approx(float(expected), rel=1e-6)
    assert found == pytest.approx(frechet_distance(gaussian(b), gaussian(a)), rel=1e-6)


def test_commuting_covariances_have_the_closed_form() -> None:
    first, second = torch.tensor([4.0, 0.0, 1.0]).double(), torch.tensor([1.0, 9.0, 0.0]).double()
    means = torch.tensor([1.0, 2.0, 3.0]).double(), torch.tensor([1.0, 0.0, 3.0]).double()
    found = frechet_distance(
        Gaussian(means[0], torch.diag(first)), Gaussian(means[1], torch.diag(second))
    )
    assert found == pytest.approx(4.0 + float((first.sqrt() - second.sqrt()).square().sum()))


def test_constant_features_have_only_their_means() -> None:
    a, b = torch.zeros(5, 4), torch.full((5, 4), 2.0)
    assert frechet_distance(gaussian(a), gaussian(b)) == pytest.approx(16.0)


@pytest.mark.parametrize("n", [0, 1])
def test_too_few_samples_are_refused(n: int) -> None:
    with pytest.raises(ValueError, match=f"at least 2 samples, not {n}"):
        gaussian(torch.zeros(n, 3))


@pytest.mark.parametrize("shape", [(4,), (4, 2, 3)])
def test_other_than_rows_of_features_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"features are \[samples, dimensions\], not \(4,"):
        gaussian(torch.zeros(shape))


def test_a_feature_that_is_not_finite_is_refused() -> None:
    with pytest.raises(ValueError, match="not finite"):
        gaussian(torch.tensor([[1.0], [float("nan")]]))


def by_samples(a: torch.Tensor, b: torch.Tensor) -> float:
    """From the samples themselves: no covariance, so nothing small is lost."""
    ca, cb = ((x - x.mean(0)) / (len(x) - 1) ** 0.5 for x in (a, b))
    ra, rb = torch.linalg.qr(ca, mode="r")[1], torch.linalg.qr(cb, mode="r")[1]
    overlap = torch.linalg.svdvals(ra @ rb.T).sum()
    shift = (a.mean(0) - b.mean(0)).square().sum()
    return float(shift + ca.square().sum() + cb.square().sum() - 2 * overlap)


@pytest.mark.parametrize(("n", "m"), [(20, 25), (150, 40), (300, 320)])
@pytest.mark.parametrize("power", [0.0, -1.5, -3.0])
def test_steeply_falling_spectra_keep_six_digits(n: int, m: int, power: float) -> None:
    d = 120
    deviations = torch.arange(1, d + 1).double() ** power
    a, b = samples(n, d, 0) * deviations, 1.05 * samples(m, d, 1) * deviations
    expected = by_samples(a, b)
    assert frechet_distance(factored(a), factored(b)) == pytest.approx(expected, rel=1e-6)
    assert frechet_distance(gaussian(a), gaussian(b)) == pytest.approx(expected, rel=1e-6)


def test_dead_and_repeated_features_are_no_special_case() -> None:
    a, b = samples(60, 8, 0), samples(50, 8, 1)
    wide = [torch.cat([x, x[:, :3], torch.zeros(len(x), 9)], dim=1) for x in (a, b)]
    expected = by_samples(*wide)
    for kind in (gaussian, factored):
        assert frechet_distance(*(kind(x) for x in wide)) == pytest.approx(expected, rel=1e-9)


def test_large_products_take_the_other_way_and_agree(monkeypatch: pytest.MonkeyPatch) -> None:
    from attnzoo.metrics import frechet

    deviations = torch.arange(1, 61).double() ** -1.0
    a, b = samples(90, 60, 0) * deviations, samples(45, 60, 1) * deviations
    expected = frechet_distance(factored(a), factored(b))
    monkeypatch.setattr(frechet, "SMALL", 10)
    assert frechet_distance(factored(a), factored(b)) == pytest.approx(expected, rel=1e-8)
