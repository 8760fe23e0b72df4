"""Intervals, floors, limits and tests over videos: against brute force, and by what they say."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from torch import Tensor

from attnzoo.metrics.frechet import factored, frechet_distance
from attnzoo.metrics.statistics import (
    compare,
    detectable,
    extrapolate,
    floor_by_halves,
    frechet_interval,
    holm,
    mean_interval,
    sign_flip_test,
    small_sample_warning,
)
from attnzoo.metrics.statistics.frechet import _standard_error, influences
from attnzoo.metrics.statistics.paired import _signs


def rows(n: int, d: int, seed: int, shift: float = 0.0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn((n, d), generator=generator, dtype=torch.float64) + shift


def distance(real: Tensor, fake: Tensor) -> float:
    return frechet_distance(factored(real), factored(fake))


def test_a_mean_of_many_videos_is_scipys_bca() -> None:
    values = np.random.default_rng(0).exponential(size=25)
    found = mean_interval(values.tolist(), seed=3)
    expected = stats.bootstrap(
        (values,), np.mean, n_resamples=4999, method="BCa", rng=np.random.default_rng([3, 0xBCA])
    ).confidence_interval
    assert found.value == pytest.approx(values.mean()) and found.n == 25
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high))
    assert "BCa" in found.method and found == mean_interval(values.tolist(), seed=3)


@pytest.mark.parametrize("n", [2, 5, 19])
def test_a_mean_of_few_videos_is_students(n: int) -> None:
    values = np.random.default_rng(n).normal(size=n)
    found = mean_interval(values.tolist(), level=0.9)
    expected = stats.t.interval(0.9, n - 1, values.mean(), stats.sem(values))
    assert (found.low, found.high) == pytest.approx(expected) and "Student" in found.method


@pytest.mark.parametrize(
    ("values", "why"),
    [([0.5], "one video"), ([0.1 + 0.2, 0.3], "equal"), ([1e6, 1e6 + 1e-7], "equal")],
)
def test_where_there_is_no_interval_the_method_says_why(values: list[float], why: str) -> None:
    found = mean_interval(values)
    assert found.low is None and found.high is None and why in found.method
    assert found.value == pytest.approx(np.mean(values))


@pytest.mark.parametrize(
    ("values", "level", "words"),
    [
        ([], 0.95, "at least 1"),
        ([1.0, math.nan], 0.95, "not finite"),
        ([1.0, 2.0], 95, "level 95"),
        ([1.0, 2.0], -0.5, "level -0.5"),
    ],
)
def test_what_has_no_mean_is_refused(values: list[float], level: float, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        mean_interval(values, level)


def weighted(real: Tensor, fake: Tensor, a: Tensor, b: Tensor) -> float:
    """The distance with a weight on each row; the covariances' n - 1 stays what it was."""

    def moments(x: Tensor, w: Tensor) -> tuple[Tensor, Tensor]:
        share = w / w.sum()
        mean = share @ x
        centred = (x - mean) * share.sqrt()[:, None] * (len(x) / (len(x) - 1)) ** 0.5
        return mean, centred

    (m1, c1), (m2, c2) = moments(real, a), moments(fake, b)
    overlap = torch.linalg.svdvals(c1 @ c2.T).sum()
    return float((m1 - m2).square().sum() + c1.square().sum() + c2.square().sum() - 2 * overlap)


@settings(max_examples=25, deadline=None)
@given(st.integers(4, 14), st.integers(4, 14), st.integers(1, 30), st.integers(0, 99))
def test_influences_are_the_derivatives(m: int, n: int, d: int, seed: int) -> None:
    real, fake = rows(m, d, seed), 1.4 * rows(n, d, seed + 1, 0.5)
    found = influences(real, fake)
    assert found.distance == pytest.approx(distance(real, fake), rel=1e-9)
    step = 1e-5
    for side, influence, size in ((0, found.real, m), (1, found.fake, n)):
        for row in range(size):
            ends = []
            for sign in (1, -1):
                weights = [torch.ones(m).double(), torch.ones(n).double()]
                weights[side][row] += sign * step
                ends.append(weighted(real, fake, *weights))
            slope = (ends[0] - ends[1]) / (2 * step)
            assert float(influence[row]) == pytest.approx(slope, abs=2e-5 * (1 + found.spread))


@pytest.mark.parametrize(("d", "paired"), [(4, False), (4, True), (60, False), (60, True)])
def test_the_standard_error_is_the_sampling_one(d: int, paired: bool) -> None:
    """The interval's half width against the spread of distances of new samples."""
    n, rng = 40, np.random.default_rng(d)

    def draw() -> tuple[Tensor, Tensor]:
        a, b = rng.normal(size=(n, d)), rng.normal(size=(n, d))
        b = 1.3 * (0.8 * a + 0.6 * b if paired else b) + 0.3
        return torch.from_numpy(a), torch.from_numpy(b)

    own = torch.arange(n)
    others = own if paired else own + n
    spread = np.std([math.log(distance(*draw())) for _ in range(400)])
    halves = []
    for _ in range(20):
        found = frechet_interval(*draw(), own, others)
        assert found.low is not None and found.high is not None
        halves.append(math.log(found.high / found.low) / 2)
    df = n - 1 if paired else 2 * (n - 1)
    assert 0.85 < np.mean(halves) / (stats.t.ppf(0.975, df) * spread) < 1.5


def test_clips_of_one_video_count_as_one() -> None:
    real, fake = rows(12, 5, 0), rows(12, 5, 1, 0.5)
    own = torch.arange(12)
    alone = frechet_interval(real, fake, own, own + 12)
    copied = frechet_interval(
        real.repeat_interleave(4, 0), fake.repeat_interleave(4, 0),
        own.repeat_interleave(4), own.repeat_interleave(4) + 12,
    )  # fmt: skip
    assert copied.n == alone.n == 12
    widths = [math.log(one.high / one.low) for one in (alone, copied)]  # type: ignore[operator]
    assert widths[1] == pytest.approx(widths[0], rel=0.15)


@pytest.mark.parametrize(
    ("real_videos", "fake_videos", "groups"),
    [
        ([0, 1, 1, 2, 3], [5, 6, 7, 7, 8, 9, 9], [[0, 1, 2, 3], [5, 6, 7, 8, 9]]),
        ([0, 1, 1, 2, 3], [0, 1, 2, 2, 3, 3, 0], [[0, 1, 2, 3]]),
        # Three pairs, two real videos alone, one generated alone, which has no spread.
        ([0, 1, 2, 3, 4], [0, 0, 1, 2, 2, 9, 9], [[0, 1, 2], [3, 4]]),
    ],
)
def test_the_standard_error_is_of_independent_samples_of_videos(
    real_videos: list[int], fake_videos: list[int], groups: list[list[int]]
) -> None:
    """Welch's: the variances of sums over videos, and Satterthwaite's degrees of freedom."""
    real, fake = rows(5, 3, 0), rows(7, 3, 1, 0.4)
    found = influences(real, fake)
    pairs = (zip(real_videos, found.real, strict=True), zip(fake_videos, found.fake, strict=True))
    sums: dict[int, float] = {}
    for video, value in itertools.chain(*pairs):
        sums[video] = sums.get(video, 0.0) + float(value)
    squares = [len(g) / (len(g) - 1) * sum(sums[v] ** 2 for v in g) for g in groups]
    freedom = sum(squares) ** 2 / sum(
        square**2 / (len(g) - 1) for square, g in zip(squares, groups, strict=True)
    )
    units = sorted(set(real_videos) | set(fake_videos))
    error = _standard_error(found, units, torch.tensor(real_videos), torch.tensor(fake_videos))
    assert error == pytest.approx((math.sqrt(sum(squares)), freedom), rel=1e-9)


def test_few_videos_and_equal_sets_have_no_interval() -> None:
    real, fake = rows(12, 5, 0), rows(12, 5, 1)
    videos = torch.arange(12) // 4
    found = frechet_interval(real, fake, videos, videos)
    assert found.low is None and "3 videos, at least 4" in found.method
    assert found.value == pytest.approx(distance(real, fake))
    own = torch.arange(12)
    assert frechet_interval(real, real, own, own).method == "no interval: the distance is zero"


def test_videos_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match=r"\(3,\) videos for features \(4, 2\)"):
        frechet_interval(rows(4, 2, 0), rows(4, 2, 1), torch.arange(3), torch.arange(4))


def test_the_floor_of_equals_is_their_distance_at_half() -> None:
    real, fake = rows(60, 6, 0), rows(60, 6, 1, 1.0)
    own = torch.arange(30).repeat_interleave(2)
    floor = floor_by_halves(distance, real, own, real, own, splits=8)
    assert floor.n == 15 and floor.fake == pytest.approx(floor.real)
    assert floor.low <= floor.real <= floor.high
    apart = floor_by_halves(distance, real, own, fake, own, splits=8)
    assert apart.fake is not None and apart.fake > apart.high
    with pytest.raises(ValueError, match="3 real videos make no two halves"):
        floor_by_halves(distance, real[:3], torch.arange(3))
    for alone in ((fake, None), (None, own)):
        with pytest.raises(ValueError, match="come together"):
            floor_by_halves(distance, real, own, *alone)


def test_the_floors_range_holds_all_splits_but_five_in_a_hundred() -> None:
    seen: list[float] = []

    def kept(one: Tensor, other: Tensor) -> float:
        seen.append(distance(one, other))
        return seen[-1]

    floor = floor_by_halves(kept, rows(24, 3, 0), torch.arange(24))
    assert len(seen) == 20 and floor.fake is None
    assert floor.real == pytest.approx(sum(seen) / 20)
    assert (floor.low, floor.high) == pytest.approx(tuple(np.percentile(seen, (2.5, 97.5))))


def test_extrapolation_finds_the_limit() -> None:
    """Two Gaussians whose distance is known: a shift of 0.5 in each of 6 directions."""
    real, fake = rows(400, 6, 0), rows(400, 6, 1, 0.5)
    own = torch.arange(400)
    found = extrapolate(distance, real, fake, own, own + 400, repeats=10)
    assert found.counts[0] == 100 and found.counts[-1] == 400
    assert found.slope > 0 and found.limit < found.measured
    assert found.limit == pytest.approx(6 * 0.25, rel=0.15)
    assert list(found.values) == sorted(found.values, reverse=True) or found.warning is None
    equal = extrapolate(distance, real, rows(400, 6, 2), own, own + 400, repeats=10)
    assert abs(equal.limit) < 0.3 * equal.values[0]
    with pytest.raises(ValueError, match="9 videos show no limit"):
        extrapolate(distance, real[:9], fake[:9], own[:9], own[:9])


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(-5, 5), min_size=1, max_size=8))
def test_sign_flips_are_all_of_them(values: list[int]) -> None:
    seen = abs(sum(values))
    sums = [
        abs(sum(s * v for s, v in zip(signs, values, strict=True)))
        for signs in itertools.product((1, -1), repeat=len(values))
    ]
    expected = sum(total >= seen for total in sums) / len(sums)
    assert sign_flip_test([v / 4 for v in values]) == expected


def test_random_sign_flips_agree_with_all_of_them() -> None:
    values = np.random.default_rng(1).normal(0.35, 1, size=18)
    signs = 1.0 - 2.0 * (np.arange(2**18)[:, None] >> np.arange(18) & 1)
    exact = (np.abs(signs @ values) >= abs(values.sum())).mean()
    assert sign_flip_test(values.tolist()) == pytest.approx(exact, abs=0.02)
    # The signs that were seen are one among 10,000, and none of the others is like them.
    assert sign_flip_test([1.0] * 40) == 1e-4 and sign_flip_test([0.0] * 40) == 1
    assert set(np.unique(_signs(18, 0))) == {-1.0, 1.0}


def test_holm_is_its_example() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.9, 0.8]) == [1.0, 1.0]


def test_variants_are_compared_on_the_same_videos() -> None:
    rng = np.random.default_rng(0)
    videos = rng.normal(size=(3, 20))
    scores = {
        "full": videos.tolist(),
        "none": (videos + 0.5 + 0.1 * rng.normal(size=(3, 20))).tolist(),
        "same": (videos + 0.01 * rng.normal(size=(3, 20))).tolist(),
    }
    found = {(one.first, one.second): one for one in compare(scores)}
    assert len(found) == 3
    clear, unclear = found["full", "none"], found["full", "same"]
    assert clear.adjusted < 0.01 and clear.warning is None
    assert clear.difference.high is not None and clear.difference.high < 0
    assert unclear.adjusted >= unclear.p
    assert [one.second for one in compare(scores, against="same")] == ["same", "same"]
    with pytest.raises(ValueError, match="all need the same ones"):
        compare({"a": [1.0, 2.0], "b": [1.0]})
    with pytest.raises(ValueError, match="no variant 'c' among a, b"):
        compare({"a": [1.0], "b": [1.0]}, against="c")


def test_what_is_detectable_is_found_four_times_of_five() -> None:
    rng = np.random.default_rng(0)
    smallest = detectable(rng.normal(size=4000)[:3000].tolist())
    assert smallest is not None
    effect = smallest * math.sqrt(3000 / 20)  # the same noise, 20 videos
    hits = sum(stats.ttest_1samp(rng.normal(effect, 1, 20), 0).pvalue < 0.05 for _ in range(400))
    assert 0.7 < hits / 400 < 0.9
    assert detectable([1.0]) is None


@pytest.mark.parametrize("n", [2, 7])
@pytest.mark.parametrize("comparisons", [1, 4])
def test_what_is_detectable_is_its_formula(n: int, comparisons: int) -> None:
    values = np.random.default_rng(n).normal(size=n)
    quantiles = stats.t.ppf([1 - 0.05 / comparisons / 2, 0.8], n - 1)
    expected = quantiles.sum() * values.std(ddof=1) / math.sqrt(n)
    found = detectable(values.tolist(), comparisons=comparisons)
    assert found == pytest.approx(expected, rel=1e-12)
    assert detectable(values.tolist()) == detectable(values.tolist(), comparisons=1)


def test_a_limit_is_the_line_through_its_means() -> None:
    """Of a distance that is told by the number of videos alone, and of one that is not."""
    own = torch.arange(40)

    def line(one: Tensor, other: Tensor) -> float:
        return 2 + 3 / len(one)

    features = rows(40, 1, 0)
    found = extrapolate(line, features, features, own, own, repeats=1)
    assert found.values == pytest.approx([2 + 3 / count for count in found.counts])
    assert (found.limit, found.slope) == pytest.approx((2, 3)) and found.warning is None
    assert found.measured == found.values[-1] and set(found.spread) == {0.0}
    drawn: list[float] = []

    def kept(one: Tensor, other: Tensor) -> float:
        drawn.append(line(one, other) + float(one.mean()))
        return drawn[-1]

    found = extrapolate(kept, features, features, own, own, repeats=5)
    of_size = np.reshape(drawn, (len(found.counts), 5))
    assert found.values == pytest.approx(of_size.mean(1))
    assert found.spread == pytest.approx(of_size.std(1, ddof=1), abs=1e-12)
    slope, limit = np.polyfit(1 / np.array(found.counts), of_size.mean(1), 1)
    assert (found.limit, found.slope) == pytest.approx((limit, slope))


def test_a_curve_that_is_no_line_yet_says_where_its_larger_half_ends() -> None:
    own, features = torch.arange(40), rows(40, 1, 0)
    found = extrapolate(
        lambda one, other: (10 / len(one)) ** 3, features, features, own, own, repeats=1
    )
    counts = np.array(found.counts)
    later = counts >= np.median(counts)
    ends = np.polyfit(1 / counts[later], np.array(found.values)[later], 1)[1]
    assert found.warning is not None and found.warning.startswith("40 videos: the larger half")
    assert f"alone ends at {ends:.4g}, all of them at {found.limit:.4g}" in found.warning
    low = extrapolate(
        lambda one, other: 3 / len(one) - 0.001, features, features, own, own, repeats=1
    )
    assert low.warning is not None and "the limit -0.001 is below zero" in low.warning


@pytest.mark.parametrize(
    ("differences", "comparisons", "words"),
    [
        ([0.1], 1, "^1 video can show nothing at 5% in 1 comparison:"),
        ([0.1] * 2, 2, "^2 videos can show nothing at 5% in 2 comparisons:"),
        ([0.1, -0.1] * 4, 1, r"80% power, 1 comparison\); the one seen is 0"),
        ([0.1, -0.1] * 4, 2, r"80% power, 2 comparisons\); the one seen is 0"),
        ([0.1] * 3, 1, "3 videos can show nothing at 5%.*6 videos are the least"),
        ([0.1] * 6, 10, "in 10 comparisons.*9 videos are the least"),
        ([0.1, -0.1, 0.12, -0.08, 0.1, -0.11, 0.02], 1, "7 videos carry differences from"),
    ],
)
def test_too_few_videos_are_warned_of(
    differences: list[float], comparisons: int, words: str
) -> None:
    import re

    warning = small_sample_warning(differences, comparisons=comparisons)
    assert warning is not None and re.search(words, warning), warning


def test_a_clear_difference_needs_no_warning() -> None:
    assert small_sample_warning([0.1, 0.12, 0.09, 0.11, 0.1, 0.13]) is None
