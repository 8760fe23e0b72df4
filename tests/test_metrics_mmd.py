"""Polynomial MMD: written out sample by sample, KID's and JEDi's published code."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from attnzoo.metrics.polynomial_mmd import jedi, kid, polynomial_mmd


def some(n: int, d: int, seed: int) -> torch.Tensor:
    return torch.randn((n, d), generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@settings(max_examples=20, deadline=None)
@given(st.integers(2, 6), st.integers(2, 6), st.integers(1, 5), st.integers(1, 3), st.booleans())
def test_it_is_its_definition(m: int, n: int, d: int, degree: int, unbiased: bool) -> None:
    x, y = some(m, d, 0), some(n, d, 1)

    def k(a: torch.Tensor, b: torch.Tensor) -> float:
        return (float(a @ b) / d + 0.5) ** degree

    def within(z: torch.Tensor) -> float:
        pairs = [(i, j) for i in range(len(z)) for j in range(len(z)) if i != j or not unbiased]
        return math.fsum(k(z[i], z[j]) for i, j in pairs) / len(pairs)

    across = math.fsum(k(a, b) for a in x for b in y) / (m * n)
    expected = within(x) + within(y) - 2 * across
    found = polynomial_mmd(x, y, degree=degree, constant=0.5, unbiased=unbiased)
    assert found == pytest.approx(expected, abs=1e-9)


def test_jedi_is_the_example_of_its_code() -> None:
    x = torch.arange(1.0, 10).view(3, 3)
    y = torch.tensor([[7.0, 6, 5], [4, 3, 2], [1, 1, 8], [0, 2, 5]])
    assert jedi(x, y) == pytest.approx(100 * 270.7222, rel=1e-6)


def test_kid_is_torchmetrics() -> None:
    module = pytest.importorskip("torchmetrics.image.kid", reason="torchmetrics is not installed")
    x, y = some(20, 6, 0), some(20, 6, 1) + 0.3
    assert kid(x, y) == pytest.approx(float(module.poly_mmd(x, y)), rel=1e-9)


def test_kid_of_equals_is_zero_on_average() -> None:
    found = torch.tensor([kid(some(10, 4, 2 * s), some(10, 4, 2 * s + 1)) for s in range(300)])
    assert abs(float(found.mean())) < 3 * float(found.std()) / 300**0.5


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 2 samples, not 1"):
        kid(some(1, 3, 0), some(4, 3, 0))
    with pytest.raises(ValueError, match="at least 1 samples, not 0"):
        jedi(some(1, 3, 0), some(0, 3, 0))
    with pytest.raises(ValueError, match="do not fit"):
        kid(some(4, 3, 0), some(4, 2, 0))
    with pytest.raises(ValueError, match="not finite"):
        kid(some(4, 3, 0), some(4, 3, 0) * math.nan)
