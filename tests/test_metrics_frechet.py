"""The Fréchet distance: against scipy's matrix root, closed forms, and singular covariances."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.linalg
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from attnzoo.metrics.frechet import Gaussian, frechet_distance, gaussian


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


def test_a_feature_that_is_not_finite_is_refused() -> None:
    with pytest.raises(ValueError, match="not finite"):
        gaussian(torch.tensor([[1.0], [float("nan")]]))
