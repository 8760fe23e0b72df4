"""From what was gathered of each video to values with intervals, floors and warnings."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from attnzoo.metrics.registry import Distance, Metric
from attnzoo.metrics.statistics import Interval, mean_interval
from attnzoo.scoring.measure import Gathered

LEVEL = 0.95
FEW = 10
"""Fewer videos cannot carry a statement about a model."""


@dataclass(frozen=True)
class Result:
    """One number of a table; value is None where `reason` says why.

    n: videos behind it; samples: frames or clips. floor: the distance of one half of the real
    videos to the other, or of real videos to themselves. method: how the interval was found and
    what it is one of. videos: the values of single videos, of metrics that have them. notes: what
    to mind.
    """

    metric: Metric
    network: str | None
    value: float | None = None
    low: float | None = None
    high: float | None = None
    n: int = 0
    samples: int = 0
    method: str = ""
    floor: float | None = None
    reason: str | None = None
    videos: dict[str, float] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def statement(self) -> str:
        """All that defines the value, in one line."""
        return self.metric.statement(self.network, self.n, self.samples)


def result(metric: Metric, gathered: Gathered, *, seed: int = 0) -> Result:
    """The result of a metric over all videos."""
    if gathered.reason is not None:
        return Result(metric, gathered.said, reason=_why(metric, gathered.reason))
    if not gathered.values and not gathered.real:
        said = sorted(set(gathered.left_out.values()))
        return Result(metric, gathered.said, reason=_why(metric, "; ".join(said)))
    notes = []
    if gathered.left_out:
        notes.append(
            f"{len(gathered.left_out)} videos left out: "
            + "; ".join(f"{name}: {why}" for name, why in gathered.left_out.items())
        )
    if gathered.without:
        frames = sum(gathered.without.values())
        notes.append(
            f"{frames} of {frames + sum(gathered.counts.values())} frames have no value, in "
            f"{len(gathered.without)} videos: {', '.join(gathered.without)}"
        )
    if metric.distance is not None:
        return _of_sets(metric, metric.distance, gathered, notes, seed)
    interval = mean_interval(_by_frames(gathered), LEVEL, seed)
    return Result(
        metric,
        gathered.said,
        interval.value,
        interval.low,
        interval.high,
        interval.n,
        sum(gathered.counts.values()),
        interval.method,
        math.fsum(gathered.own.values()) / len(gathered.own) if gathered.own else None,
        videos=dict(gathered.values),
        notes=tuple(notes),
    )


def _why(metric: Metric, reason: str) -> str:
    return reason if metric.instead is None else f"{reason}; see {metric.instead}"


def _by_frames(gathered: Gathered) -> list[float]:
    """One number for each video, whose mean is the mean over all frames of all videos.

    Videos of equal length have their own means. Else the mean over frames is a ratio of two sums,
    and these are its linear form, `R + w (v - R)` with each video's share w of the frames.
    """
    names = list(gathered.values)
    frames = [gathered.counts[name] for name in names]
    values = [gathered.values[name] for name in names]
    if len(set(frames)) == 1:
        return values
    total = sum(frames)
    ratio = math.fsum(f * v for f, v in zip(frames, values, strict=True)) / total
    mean = total / len(frames)
    return [ratio + f / mean * (v - ratio) for f, v in zip(frames, values, strict=True)]


def _of_sets(
    metric: Metric, distance: Distance, gathered: Gathered, notes: list[str], seed: int
) -> Result:
    real, real_videos = _stacked(list(gathered.real.values()))
    fake, fake_videos = _stacked(list(gathered.fake.values()))
    n, samples = len(gathered.real), min(len(real), len(fake))
    try:
        interval: Interval = distance.interval(
            real, fake, real_videos, fake_videos, level=LEVEL, seed=seed
        )
    except ValueError as error:
        return Result(metric, gathered.said, reason=_why(metric, str(error)))
    floor = _floor(distance, list(gathered.real.values()))
    dimensions = metric.extractor.dimensions if metric.extractor is not None else 0
    if distance.name == "Fréchet" and samples <= dimensions:
        notes.append(
            f"{samples} samples of {dimensions} dimensions: biased upwards, to be compared at "
            "equal numbers only"
        )
    if floor is not None and interval.value <= floor:
        notes.append(
            f"no larger than between halves of the real videos ({floor:.4g}), which are as far "
            "apart by their contents"
        )
    elif floor is not None and interval.low is not None and interval.low <= floor:
        notes.append(
            f"its interval holds the distance between halves of the real videos ({floor:.4g}): "
            f"{n} videos cannot carry the difference"
        )
    return Result(
        metric,
        gathered.said,
        interval.value,
        interval.low,
        interval.high,
        n,
        samples,
        interval.method,
        floor,
        notes=tuple(notes),
    )


def _stacked(videos: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """All rows, and the video of each."""
    counts = torch.tensor([len(rows) for rows in videos])
    return torch.cat(list(videos)), torch.arange(len(videos)).repeat_interleave(counts)


def _floor(distance: Distance, real: Sequence[Tensor]) -> float | None:
    """The distance of every other real video to the rest."""
    if len(real) < 2:
        return None
    try:
        return distance.between(torch.cat(list(real[::2])), torch.cat(list(real[1::2])))
    except ValueError:
        return None
