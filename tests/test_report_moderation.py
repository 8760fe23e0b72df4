"""Tests by few seeds: variances moderated by alike comparisons, against simulation and by hand."""

from __future__ import annotations

import math
from dataclasses import replace

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
    found = fitted([(v, own) for v in variances.tolist()])
    assert found is not None
    assert found.freedom == pytest.approx(prior, rel=0.15)
    assert found.variance == pytest.approx(0.04, rel=0.05)


def test_variances_of_fewer_seeds_count_by_what_they_are() -> None:
    rng = np.random.default_rng(2)
    of_two, of_three = (drawn(rng, 6.0, 0.04, own, 20_000) for own in (2, 3))
    both = [(v, 2) for v in of_two.tolist()] + [(v, 3) for v in of_three.tolist()]
    found = fitted(both)
    assert found is not None
    assert found.freedom == pytest.approx(6.0, rel=0.15)
    assert found.variance == pytest.approx(0.04, rel=0.05)


def test_equal_true_variances_are_one() -> None:
    variances = 0.04 * np.linspace(0.9, 1.1, 12)  # closer than chance would have them
    found = fitted([(v, 3) for v in variances.tolist()])
    assert found is not None and math.isinf(found.freedom)
    assert np.unique(found.drawn(np.random.default_rng(0), 5)).tolist() == [found.variance]
    # The scale counts for no more than the comparison itself: references are shared.
    assert found.moderated(0.0, 3) == pytest.approx((found.variance / 2, 6.0))


def test_a_variance_is_drawn_towards_the_others() -> None:
    prior = Prior(variance=0.04, freedom=1.5, count=10)
    assert prior.moderated(0.10, 2) == pytest.approx(((1.5 * 0.04 + 2 * 0.10) / 3.5, 3.5))


def test_a_variance_beyond_the_others_stands_by_itself() -> None:
    prior = Prior(variance=0.04, freedom=20.0, count=12)
    limit = 0.04 * stats.f.ppf(0.95, 3, 20)
    assert prior.moderated(1.01 * limit, 3) == (1.01 * limit, 3.0)
    assert prior.moderated(0.99 * limit, 3)[1] == 6.0


def test_a_collapse_stands_by_itself_beside_equal_ones_too() -> None:
    prior = Prior(variance=0.04, freedom=math.inf, count=12)
    limit = 0.04 * stats.chi2.ppf(0.95, 3) / 3
    assert limit == pytest.approx(0.04 * stats.f.ppf(0.95, 3, 1e9), rel=1e-4)
    assert prior.moderated(1.01 * limit, 3) == (1.01 * limit, 3.0)
    assert prior.moderated(0.99 * limit, 3)[1] == 6.0


@pytest.mark.parametrize("variances", [[], [0.1, 0.2], [0.1, 0.2, 0.0, math.nan]])
def test_too_few_variances_are_no_distribution(variances: list[float]) -> None:
    assert fitted([(v, 2) for v in variances]) is None
    assert fitted([(0.1, 0), (0.2, 0), (0.3, 0)]) is None


def alarms(
    spreads: np.ndarray, rng: np.random.Generator, *, shared: float = 0.0, seeds: int = 4
) -> np.ndarray:
    """How often each of some comparisons without an effect is found to have one, at 5 %."""
    logs = rng.normal(size=(len(spreads), seeds)) * spreads[:, None]
    logs += rng.normal(size=seeds) * shared
    found = [Gain.of(dict(enumerate(row.tolist()))) for row in logs]
    prior = fitted([gain.own() for gain in found])
    return np.array([(replace(gain, prior=prior).p() or 0) < 0.05 for gain in found])


@pytest.mark.parametrize("prior", [2.0, 6.0, math.inf])
@pytest.mark.parametrize("shared", [0.0, 0.1])
def test_a_test_calls_nothing_something_no_oftener_than_it_says(
    prior: float, shared: float
) -> None:
    rng = np.random.default_rng(1)
    of = Prior(0.01, prior, 12)
    found = [alarms(of.drawn(rng, 12) ** 0.5, rng, shared=shared) for _ in range(400)]
    assert 0.02 < np.mean(found) < 0.065


def test_one_that_varies_by_far_more_is_not_told_by_the_others() -> None:
    rng = np.random.default_rng(1)
    spreads = np.full(12, 0.1)
    spreads[0] = 0.5
    found = np.array([alarms(spreads, rng) for _ in range(600)])
    assert found[:, 0].mean() < 0.12 and found[:, 1:].mean() < 0.06


def test_without_a_prior_it_is_students_test() -> None:
    logs = [-0.11, -0.05, -0.08]
    gain = Gain.of(dict(enumerate(logs)))
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
    gain = Gain(value, dict(enumerate(logs)))
    assert gain.p() is None and why in gain.interval().method


def test_more_help_finds_smaller_effects() -> None:
    logs = dict(enumerate([-0.11, -0.05, -0.08]))
    alone, helped = Gain.of(logs), Gain.of(logs, Prior(0.001, 10.0, 16))
    assert (helped.p() or 1) < (alone.p() or 0)
