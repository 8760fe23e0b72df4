"""Which metric notices which damage: values over grades, and their ranks.

Every clip is damaged in every grade and measured against its undamaged self, so that nothing
changes but the damage. A metric orders a damage if its values get worse from grade to grade
(rank correlations, the undamaged clips being grade 0). It *sees* it if the strongest grade stands
out: for a metric of pairs, beyond chance over these clips (sign flips, 1 %); for a distance of
sets, if half of the clips, damaged, are farther from the other half than that half is undamaged.
"""

from __future__ import annotations

import functools
import math
import zlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from scipy import stats
from torch import Tensor

from attnzoo.damage import Damage, Scene
from attnzoo.data.clip import Clip
from attnzoo.metrics.registry import Better, Context, Metric, Profile, metrics
from attnzoo.metrics.statistics import floor_by_halves, sign_flip_test
from attnzoo.scoring.weights import Weights

CHANCE = 0.01


@dataclass(frozen=True)
class Sight:
    """A metric with what it needs: a column of its own where profiles differ.

    key and label name it; `network` is loaded, None where there is none; `said` names the network
    with its digest.
    """

    key: str
    label: str
    metric: Metric
    network: Any = None
    said: str = "none"


@dataclass(frozen=True)
class Value:
    """A metric of all clips under one damage and grade (0: none), `clips` of each of them."""

    metric: str
    damage: str
    step: int
    grade: float
    value: float
    badness: float
    clips: tuple[float, ...] = ()


@dataclass(frozen=True)
class Rank:
    """How a metric follows a damage: see the module. NaN where all its values are equal."""

    metric: str
    damage: str
    spearman: float
    kendall: float
    seen: bool


@dataclass
class Sensitivity:
    """All values and ranks, and why metrics are absent, by label."""

    values: list[Value] = field(default_factory=list)
    ranks: list[Rank] = field(default_factory=list)
    absent: dict[str, str] = field(default_factory=dict)


def sights(weights: Weights, absent: dict[str, str]) -> list[Sight]:
    """Every registered metric that can be computed here; what cannot is entered in `absent`."""
    device, found, networks = torch.device("cpu"), [], {}
    by_profile = {profile: {m.name: m for m in metrics(profile)} for profile in Profile}
    for profile in reversed(Profile):
        for name, metric in by_profile[profile].items():
            if profile is Profile.disco and by_profile[Profile.strict].get(name) is metric:
                continue
            alone = profile is Profile.strict
            key = name if alone else f"{name}_{profile.value}"
            label = metric.label if alone else f"{metric.label} (DisCo)"
            reason: str | None = metric.missing_package()
            said, network = "none", metric.sight
            if reason is None and network is not None:
                files = weights.of(network)
                if isinstance(files, str):
                    reason = files
                else:
                    said = files.said
                    if network not in networks:
                        networks[network] = network.load(files.files, device)
            if reason is not None:
                absent[label] = reason
                continue
            loaded = networks[network] if network is not None else None
            found.append(Sight(key, label, metric, loaded, said))
    return found


def measure(
    clips: Sequence[Clip],
    damages: Sequence[Damage],
    sights: Sequence[Sight],
    *,
    seed: int = 0,
    progress: Callable[[Iterable[Any]], Iterable[Any]] = iter,
) -> Sensitivity:
    """Damages and measures all clips, which are of equal size and length.

    Metrics that have no value for these clips at all (no flow, body or sign is known) end up in
    `absent` with their reason.
    """
    real = [_bytes(clip.video) for clip in clips]
    contexts = [_context(clip) for clip in clips]
    found = Sensitivity()
    own = _Own([], {}, {})
    for sight in sights:
        _undamaged(sight, real, contexts, own, found.absent)
    variants = [(damage, step) for damage in damages for step in range(1, len(damage.grades) + 1)]
    last: dict[str, Tensor] = {}
    for damage, step in progress(variants):
        grade = damage.grades[step - 1]
        fake = [_damaged(clip, damage, grade, i, seed) for i, clip in enumerate(clips)]
        if step == 1:
            found.values += [_zero(value, damage) for value in own.values.values()]
        for sight in own.sights:
            value, rows = _measured(sight, real, fake, contexts, own.features)
            found.values.append(_value(sight, damage.name, step, grade, value))
            if rows is not None:
                last[sight.key] = rows
        if step == len(damage.grades):
            found.ranks += [
                _rank(sight, damage, found.values, own.features.get(sight.key), last)
                for sight in own.sights
            ]
    return found


@dataclass
class _Own:
    """What the undamaged clips have: metrics with a value, their values and features."""

    sights: list[Sight]
    values: dict[str, Value]
    features: dict[str, Tensor]


def _undamaged(
    sight: Sight, real: Sequence[Tensor], contexts: Sequence[Context], own: _Own, absent: Any
) -> None:
    if len(real[0]) < sight.metric.min_frames:
        absent[sight.label] = f"clips of {len(real[0])} frames are too short"
        return
    try:
        value, rows = _measured(sight, real, real, contexts, {})
    except ValueError as error:
        absent[sight.label] = " ".join(str(error).split())
        return
    if rows is not None:
        own.features[sight.key] = rows
    own.sights.append(sight)
    own.values[sight.key] = _value(sight, "", 0, 0.0, value)


def _measured(
    sight: Sight,
    real: Sequence[Tensor],
    fake: Sequence[Tensor],
    contexts: Sequence[Context],
    features: dict[str, Tensor],
) -> tuple[list[float], Tensor | None]:
    """A value for each clip and None, or the one of the set and its features `[clips, k, d]`."""
    metric = sight.metric
    if metric.extractor is not None and metric.distance is not None:
        extract = metric.extractor.extract
        rows = torch.stack([extract(sight.network, video) for video in fake])
        own = features.get(sight.key, rows)
        return [metric.distance.between(own.flatten(0, 1), rows.flatten(0, 1))], rows
    assert metric.compute is not None
    values = []
    for a, b, context in zip(real, fake, contexts, strict=True):
        seen = context.with_network(sight.network)
        value = torch.as_tensor(metric.compute(a / 255, b / 255, seen)).double()
        values.append(float(value.nanmean()))
    return values, None


def _value(sight: Sight, damage: str, step: int, grade: float, values: list[float]) -> Value:
    worse = [_badness(sight.metric.better, v) for v in values]
    clips = tuple(values) if len(values) > 1 else ()
    mean = math.fsum(values) / len(values)
    return Value(sight.key, damage, step, grade, mean, math.fsum(worse) / len(worse), clips)


def _badness(better: Better, value: float) -> float:
    if better is Better.zero:
        return abs(value)
    return value if better is Better.lower else -value


def _zero(value: Value, damage: Damage) -> Value:
    return Value(value.metric, damage.name, 0, 0.0, value.value, value.badness, value.clips)


def _rank(
    sight: Sight,
    damage: Damage,
    values: Sequence[Value],
    features: Tensor | None,
    last: dict[str, Tensor],
) -> Rank:
    rows = [v for v in values if v.metric == sight.key and v.damage == damage.name]
    worse = [row.badness for row in rows]
    spread = max(worse) - min(worse)
    if not spread > 1e-9 * max(map(abs, worse)):
        return Rank(sight.key, damage.name, math.nan, math.nan, False)
    steps = [row.step for row in rows]
    if features is not None:
        seen = _stands_out(sight, features, last[sight.key])
    else:
        better = sight.metric.better
        pairs = zip(rows[-1].clips, rows[0].clips, strict=True)
        gains = [_badness(better, a) - _badness(better, b) for a, b in pairs]
        seen = math.fsum(gains) > 0 and sign_flip_test(gains) <= CHANCE
    spearman = float(stats.spearmanr(steps, worse).statistic)
    return Rank(sight.key, damage.name, spearman, float(stats.kendalltau(steps, worse)[0]), seen)


def _stands_out(sight: Sight, real: Tensor, fake: Tensor) -> bool:
    assert sight.metric.distance is not None
    if len(real) < 4:
        return False
    clips = torch.arange(len(real)).repeat_interleave(real.shape[1])
    floor = floor_by_halves(
        sight.metric.distance.between, real.flatten(0, 1), clips, fake.flatten(0, 1), clips
    )
    return floor.fake is not None and floor.fake > floor.high


def _damaged(clip: Clip, damage: Damage, grade: float, index: int, seed: int) -> Tensor:
    # By the name, so that another damage in the folder changes none of the others.
    number = zlib.crc32(f"{seed} {damage.name} {index}".encode())
    scene = Scene(torch.Generator().manual_seed(number), clip.body, clip.logo)
    return _bytes(damage.apply(clip.video, grade, scene))


def _bytes(video: Tensor) -> Tensor:
    return (255 * video).round().clamp(0, 255).to(torch.uint8)


def _context(clip: Clip) -> Context:
    known = bool((clip.body > 0.5).any())
    return Context(
        name=clip.name,
        body=clip.body if known else None,
        flow=None if clip.flow is None else functools.cache(clip.flow),
        known=known,
        reference=clip.foreground if known else None,
        reference_body=clip.mask if known else None,
        more={} if clip.logo is None else {"logo": clip.logo},
    )
