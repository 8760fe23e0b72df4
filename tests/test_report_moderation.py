"""Tests by few seeds: variances moderated by alike comparisons, against simulation and by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from attnzoo.report.moderation import Prior, fitted
from attnzoo.report.pairs import Gain


def drawn(rng: np.random.Generator, prior: float, scale: float, own: int, count: int) -> np.ndarray:
    """Variances of the model itself: true ones by the prior, seen with so many degrees."""
    true = prior * scale / rng.chisquare(prior, count) if math.isfinite(prior) else scale
    return np.asarray(true * rng.chisquare(own, count) / own)


@pytest.mark.parametrize("prior", [3.0, 8.0])
@pytest.mark.parametrize("own", [2, 3])
def test_the_distribution_of_variances_is_found_again(prior: float, own: int) -> None:
    variances = drawn(np.random.default_rng(0), prior, 0.04, own, 40_000)
    found = fitted(variances.tolist(), own)
    assert found is not None
    assert found.freedom == pytest.approx(prior, rel=0.15)
    assert found.variance == pytest.approx(0.04, rel=0.05)


def test_equal_true_variances_are_pooled() -> None:
    variances = np.full(12, 0.04) * np.linspace(0.9, 1.1, 12)  # closer than chance would have them
    found = fitted(variances.tolist(), 3)
    assert found is not None and math.isinf(found.freedom)
    assert found.moderated(5.0, 3) == (found.variance, 36.0)


def test_a_variance_is_drawn_towards_the_others() -> None:
    prior = Prior(variance=0.04, freedom=4.0, count=10, own=2)
    assert prior.moderated(0.10, 2) == pytest.approx(((4 * 0.04 + 2 * 0.10) / 6, 6))
    few = Prior(variance=0.04, freedom=40.0, count=4, own=2)
    assert few.moderated(0.10, 2)[1] == 8  # no more than there was to learn from


@pytest.mark.parametrize("variances", [[], [0.1, 0.2], [0.1, 0.2, 0.0, math.nan]])
def test_too_few_variances_are_no_distribution(variances: list[float]) -> None:
    assert fitted(variances, 2) is None
    assert fitted([0.1, 0.2, 0.3], 0) is None


@pytest.mark.parametrize("prior", [2.0, 6.0, math.inf])
@pytest.mark.parametrize("seeds", [3, 4])
def test_a_test_calls_nothing_something_as_often_as_it_says(prior: float, seeds: int) -> None:
    rng = np.random.default_rng(1)
    alarms = tests = 0
    for _ in range(150):
        true = 6.0 * 0.01 / rng.chisquare(prior, 16) if math.isfinite(prior) else np.full(16, 0.01)
        logs = rng.normal(0, np.sqrt(true)[:, None], (16, seeds))
        found = fitted(logs.var(axis=1, ddof=1).tolist(), seeds - 1)
        for row in logs:
            p = Gain(1 - math.exp(row.mean()), 4, dict(enumerate(row.tolist())), found).p()
            assert p is not None
            alarms, tests = alarms + (p < 0.05), tests + 1
    assert alarms / tests == pytest.approx(0.05, abs=0.015)


def test_without_a_prior_it_is_students_test() -> None:
    logs = [-0.11, -0.05, -0.08]
    gain = Gain(1 - math.exp(np.mean(logs)), 12, dict(enumerate(logs)))
    assert gain.p() == pytest.approx(stats.ttest_1samp(logs, 0).pvalue)
    low, high = stats.t.interval(0.9, 2, np.mean(logs), stats.sem(logs))
    found = gain.interval(0.9)
    assert [found.low, found.high] == pytest.approx([1 - math.exp(high), 1 - math.exp(low)])
    assert found.value == gain.value and "3 seeds" in found.method


@pytest.mark.parametrize(
    ("logs", "value", "why"),
    [
        ([0.1], -0.1, "one seed"),
        ([-math.inf, 0.0], 0.5, "nothing is bad"),
        ([math.nan, 0.0], 0.5, "nothing is bad"),
        ([-math.inf, -math.inf], 1.0, "nothing is bad"),
        ([0.0, 0.0], 0.0, "all seeds are equal"),
    ],
)
def test_what_cannot_be_tested_says_why(logs: list[float], value: float, why: str) -> None:
    gain = Gain(value, 8, dict(enumerate(logs)))
    assert gain.p() is None and why in gain.interval().method


def test_more_help_finds_smaller_effects() -> None:
    logs = dict(enumerate([-0.11, -0.05, -0.08]))
    alone = Gain(0.077, 12, logs)
    helped = Gain(0.077, 12, logs, Prior(0.001, 10.0, 16, 2))
    assert (helped.p() or 1) < (alone.p() or 0)
