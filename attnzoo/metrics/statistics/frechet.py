"""The interval of a Fréchet distance, over videos.

The distance is biased: of fewer videos it comes out larger. Its interval here is one of what the
distance is on average *at this number of videos*, not of its limit (see `extrapolation`), since
that is what tables of equal numbers compare. A percentile bootstrap would miss it nearly always:
a resample has fewer different videos, so that its distances are larger still.

Instead the distance's derivative by the weight of each video (the infinitesimal jackknife; Efron,
1982) gives its standard error from one singular value decomposition. The distance is smooth in the
weights whatever the rank. The interval is Student's t in the distance's logarithm: distances are
positive and skewed.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from scipy import stats
from torch import Tensor

from attnzoo.metrics.frechet import centred
from attnzoo.metrics.statistics.interval import Interval
from attnzoo.metrics.statistics.mean import check_level

FEWEST_VIDEOS = 4
"""Of fewer the spread of the videos themselves cannot be told."""


def frechet_interval(
    real_features: Tensor,
    fake_features: Tensor,
    real_videos: Tensor,
    fake_videos: Tensor,
    level: float = 0.95,
    seed: int = 0,
) -> Interval:
    """Squared Fréchet distance of two sets of features, and its interval over videos.

    A number that stands in both lists of videos is a pair (a real video and the generated one
    that is compared with it) and is drawn as one; sets without pairs take different numbers.

    Args:
        real_features: `[m, d]`, a row for each clip or frame.
        fake_features: `[n, d]`.
        real_videos: `[m]` integers, the video that each row is of.
        fake_videos: `[n]`.
        level: share of such intervals that is to hold the expected distance at this number.
        seed: without effect, since nothing is drawn; the arguments are `mean_interval`'s.

    Raises:
        ValueError: for shapes that do not fit, fewer than two rows, or values not finite.
    """
    check_level(level)
    for rows, videos in ((real_features, real_videos), (fake_features, fake_videos)):
        if videos.shape != rows.shape[:1]:
            raise ValueError(f"{tuple(videos.shape)} videos for features {tuple(rows.shape)}")
    found = influences(real_features, fake_features)
    units = sorted({*real_videos.tolist()} | {*fake_videos.tolist()})
    fewest = min(len(real_videos.unique()), len(fake_videos.unique()))
    if fewest < FEWEST_VIDEOS:
        why = f"no interval: {fewest} video{'s' * (fewest > 1)}, at least {FEWEST_VIDEOS} needed"
        return Interval(found.distance, None, None, fewest, why)
    error, freedom = _standard_error(found, units, real_videos, fake_videos)
    if found.distance <= 1e-12 * found.spread:
        return Interval(found.distance, None, None, fewest, "no interval: the distance is zero")
    half = float(stats.t.ppf((1 + level) / 2, freedom)) * error / found.distance
    return Interval(
        found.distance,
        found.distance * math.exp(-half),
        found.distance * math.exp(half),
        fewest,
        f"distance at {fewest} videos, infinitesimal jackknife over videos, Student's t of the "
        "logarithm",
    )


@dataclass(frozen=True)
class Influences:
    """A distance, and how much each row adds to it: real `[m]`, fake `[n]`, each of sum 0.

    distance: squared Fréchet distance. spread: the sum of both covariances' traces.
    """

    distance: float
    spread: float
    real: Tensor
    fake: Tensor


def influences(real: Tensor, fake: Tensor) -> Influences:
    """The distance of `[m, d]` and `[n, d]` and its derivatives by the weights of their rows."""
    (mean_a, a), (mean_b, b) = centred(real), centred(fake)
    # Reduced to at most d rows first: turned back, U and V are those of the whole matrix.
    (turn_a, a_small), (turn_b, b_small) = _reduced(a), _reduced(b)
    u, singular, vh = torch.linalg.svd(a_small @ b_small.T, full_matrices=False)
    shift = mean_a - mean_b
    spread = float(a.square().sum() + b.square().sum())
    distance = float(shift.square().sum()) + spread - 2 * float(singular.sum())

    def derivative(rows: Tensor, towards: Tensor, turned: Tensor) -> Tensor:
        root = (len(rows) - 1) ** 0.5
        own = rows.square().sum(dim=1) - turned.square() @ singular
        whole: Tensor = 2 * (rows @ towards) * root / len(rows) + own
        return whole - whole.mean()

    return Influences(
        max(distance, 0.0),
        spread,
        derivative(a, shift, u if turn_a is None else turn_a @ u),
        derivative(b, -shift, vh.T if turn_b is None else turn_b @ vh.T),
    )


def _reduced(rows: Tensor) -> tuple[Tensor | None, Tensor]:
    """Q and R of `[n, d]`; where there are no more rows than dimensions, None and the rows."""
    if rows.shape[0] <= rows.shape[1]:
        return None, rows
    q, r = torch.linalg.qr(rows)
    return q, r


def _standard_error(
    found: Influences, units: list[int], real_videos: Tensor, fake_videos: Tensor
) -> tuple[float, float]:
    """Standard error of the distance over videos, and its degrees of freedom (Satterthwaite)."""
    place = {video: i for i, video in enumerate(units)}
    sums, kinds = torch.zeros(len(units), dtype=torch.float64), torch.zeros(len(units))
    for kind, videos, values in ((1, real_videos, found.real), (2, fake_videos, found.fake)):
        where = torch.tensor([place[v] for v in videos.tolist()])
        sums.index_add_(0, where, values)
        kinds[where.unique()] += kind
    # Pairs, real videos alone and generated ones alone are three independent samples.
    parts = [sums[kinds == kind] for kind in (1, 2, 3)]
    squares = [
        (float(part.square().sum()) * len(part) / (len(part) - 1), len(part) - 1)
        for part in parts
        if len(part) > 1
    ]
    variance = sum(square for square, _ in squares)
    if not variance:
        return 0.0, 1.0
    freedom = variance**2 / sum(square**2 / df for square, df in squares)
    return math.sqrt(variance), freedom
