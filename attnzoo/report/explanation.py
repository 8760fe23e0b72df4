"""Why attention at the same place gains: an explanation, tried by the sixth table.

Noise that all frames share is revealed where another frame shows the known background at the same
place, so attention at the same place can take it away, and alignment along the motion, which moves
tokens off their place, undoes that. With shared noise and a still camera, then,

1. `temporal` is better than `none`;
2. so is unaligned `stsa`;
3. `stsa` is better than `stsa_flow`, the same windows aligned;
4. its lead is larger than with independent noise;
5. its lead is larger than with a moving camera, which shows other background at a place.

Each is judged by the warp error over one frame on the body, of which what real clips have is taken
off: nothing could gain on that, and a moving camera has more of it. A gain is the share of the
other's rest that is gone; how much larger one is than another is itself a gain,
`1 - (1 - g) / (1 - g_other)`. Who is better in 1 to 3 must not have lost in L1 on the body, since
what is smeared warps well.

By the rule of `attnzoo.report.verdict`, the explanation holds if all five do, each at 5 %: that all
hold by chance is less likely than that one does. It does not if one of them does not, of which
there are five chances: a prediction fails at one fifth of 5 %. Beside these stand two that it makes
likely and that decide nothing: that `temporal` gains more there than with independent noise, which
it may average away as well, and than with a moving camera.

This was changed once, before any run of the sixth table was looked at: these two decided in the
place of 4 and 5, which alone tell apart that alignment undoes something from that it is bad
anywhere, and the real clips' part was not taken off.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from attnzoo.report.folder import Folder, TableRows
from attnzoo.report.measures import MEASURES
from attnzoo.report.moderation import fitted
from attnzoo.report.pairs import Gain, Sample, Scores
from attnzoo.report.references import Corner, corner, kind
from attnzoo.report.verdict import (
    Asked,
    Comparison,
    Judged,
    Verdict,
    compare,
    judge,
    of_a_pair,
    together,
    too_short,
)

JUDGED, BESIDE = "warp_error_1", "l1_body"
STILL: Corner = ("shared", "still")
INDEPENDENT: Corner = ("independent", "still")
MOVING: Corner = ("shared", "moving")
BARE = (("temporal", "none"), ("stsa", "none"), ("stsa_flow", "none"), ("mixed", "none"))
ALIGNED = (("stsa", "stsa_flow"), ("stsa", "mixed"), ("mixed", "stsa_flow"))
"""Pairs whose seeds vary alike, at each noise and camera."""


@dataclass(frozen=True)
class Prediction:
    """One of those that decide. judged: what must be so; beside: what must not be worse then."""

    judged: Comparison
    beside: tuple[Comparison, ...] = ()

    @property
    def verdict(self) -> Verdict:
        """The verdict on it."""
        return of_a_pair((self.judged, *self.beside))


@dataclass(frozen=True)
class Explanation:
    """The predictions in order, and comparisons that it makes likely and that decide nothing."""

    predictions: tuple[Prediction, ...]
    likely: tuple[Comparison, ...]

    @property
    def verdict(self) -> Verdict:
        """The verdict on the explanation."""
        return together({one.verdict for one in self.predictions})

    @property
    def comparisons(self) -> tuple[Comparison, ...]:
        """Those of all predictions, in order and under their numbers."""
        return tuple(
            replace(c, first=f"{i}. {c.first}")
            for i, one in enumerate(self.predictions, 1)
            for c in (one.judged, *one.beside)
        )

    def sentence(self) -> str:
        """The verdict in a line."""
        told = (f"{i} {_SHORT[p.verdict]}" for i, p in enumerate(self.predictions, 1))
        return f"The explanation {_SAID[self.verdict]} (predictions: {', '.join(told)})."


_SAID = {
    Verdict.holds: "holds",
    Verdict.does_not: "does not hold",
    Verdict.unknown: "cannot be told with this many samples",
}
_SHORT = {
    Verdict.holds: "holds",
    Verdict.does_not: "does not",
    Verdict.unknown: "cannot be told",
}


def explanation(folder: Folder, scores: Scores, rows: TableRows) -> Explanation:
    """The predictions judged."""
    cells = {(corner(folder, row.cell), kind(folder, row.cell)): row.cell for row in rows.rows}
    bare, aligned = (_Gains(cells, scores, pairs) for pairs in (BARE, ALIGNED))
    temporal, lead = ("temporal", "none"), ("stsa", "stsa_flow")
    there = "noise shared, camera still"
    predictions = [
        Prediction(
            _judged(f"{first}, {there}", second, gains.at(STILL, (first, second)), folder.seeds),
            _beside(folder, scores, cells.get((STILL, first)), cells.get((STILL, second))),
        )
        for gains, (first, second) in ((bare, temporal), (bare, ("stsa", "none")), (aligned, lead))
    ]
    predictions += [
        Prediction(_more("lead of stsa over stsa_flow", aligned, lead, other, folder.seeds))
        for other in (INDEPENDENT, MOVING)
    ]
    likely = [
        _more("gain of temporal over none", bare, temporal, other, folder.seeds)
        for other in (INDEPENDENT, MOVING)
    ]
    if folder.quick:
        predictions = [
            Prediction(too_short(p.judged), tuple(map(too_short, p.beside))) for p in predictions
        ]
        likely = list(map(too_short, likely))
    return Explanation(tuple(predictions), tuple(likely))


class _Gains:
    """Gains of some pairs in what they have beyond real clips, moderated by one another's."""

    def __init__(
        self,
        cells: Mapping[tuple[Corner, str], str],
        scores: Scores,
        pairs: Sequence[tuple[str, str]],
    ) -> None:
        self._found: dict[tuple[Corner, tuple[str, str]], Gain | None] = {}
        for where in dict.fromkeys(where for where, _ in cells):
            for pair in pairs:
                one, other = (cells.get((where, variant)) for variant in pair)
                if one is not None and other is not None:
                    samples = scores.sample(one, JUDGED), scores.sample(other, JUDGED)
                    self._found[where, pair] = beyond_real(*samples)
        self._prior = fitted([gain.own() for gain in self._found.values() if gain is not None])

    def at(self, where: Corner, pair: tuple[str, str]) -> Gain | None:
        """The first's gain over the second; None where there is none."""
        found = self._found.get((where, pair))
        return None if found is None else replace(found, prior=self._prior)


def beyond_real(sample: Sample, reference: Sample) -> Gain | None:
    """A gain in what is bad beyond real clips; of the seeds with equal clips.

    None without any, or where a seed of either has nothing beyond them.
    """
    ours, theirs = _beyond(sample), _beyond(reference)
    seeds = [seed for seed in ours if ours[seed][0] == theirs.get(seed, ((), 0.0))[0]]
    logs = {}
    for seed in seeds:
        one, other = ours[seed][1], theirs[seed][1]
        if not (one > 0 and other > 0):
            return None
        logs[seed] = math.log(one / other)
    return Gain.of(logs) if logs else None


def _beyond(sample: Sample) -> dict[int, tuple[tuple[str, ...], float]]:
    """Of each seed its clips, and their mean badness less that of the real ones."""
    found = {}
    seeds = np.array([seed for seed, _ in sample.keys])
    for seed in dict.fromkeys(seed for seed, _ in sample.keys):
        of = seeds == seed
        clips = tuple(clip for own, clip in sample.keys if own == seed)
        found[seed] = clips, float(sample.badness[of].mean() - sample.reals[of].mean())
    return found


def contrast(first: Gain | None, second: Gain | None) -> Gain | None:
    """How much more one cell gains than another, as a gain, over the seeds of both.

    What it varies by without being looked at is the sum of both, as if they were independent: too
    much, if anything, since equal seeds train on equal clips.
    """
    if first is None or second is None:
        return None
    logs = {s: first.logs[s] - second.logs[s] for s in first.logs if s in second.logs}
    if not logs or not all(math.isfinite(log) for log in logs.values()):
        return None
    prior = None
    if first.prior is not None and second.prior is not None:
        freedom = min(first.prior.freedom, second.prior.freedom)
        variance = first.prior.variance + second.prior.variance
        prior = replace(first.prior, variance=variance, freedom=freedom)
    return Gain.of(logs, prior)


def _more(
    what: str, gains: _Gains, pair: tuple[str, str], other: Corner, seeds: Sequence[int]
) -> Comparison:
    """Whether the gain of a pair with shared noise and a still camera is larger than elsewhere."""
    noise, camera = other
    found = contrast(gains.at(STILL, pair), gains.at(other, pair))
    there = f"with noise {noise}" if noise != STILL[0] else f"with a {camera} camera"
    return _judged(f"{what}, noise shared, camera still", there, found, seeds)


PREDICTIONS = 5


def _judged(first: str, second: str, gain: Gain | None, seeds: Sequence[int]) -> Comparison:
    measure = replace(MEASURES[JUDGED], name=f"{MEASURES[JUDGED].name}, beyond real clips")
    if gain is None:
        none = Judged(Verdict.unknown, why="not both have values beyond real clips")
        return Comparison(first, second, measure, Asked.better, None, 0, none)
    found = decided(gain, seeds)
    return Comparison(first, second, measure, Asked.better, gain.value, len(gain.logs), found)


def decided(gain: Gain, seeds: Sequence[int]) -> Judged:
    """The verdict on a prediction: it holds at 5 %, and does not at one fifth of that."""
    found = judge(gain, Asked.better, seeds=seeds)
    strict = judge(gain, Asked.better, comparisons=PREDICTIONS, seeds=seeds)
    if found.verdict is not Verdict.does_not or strict.verdict is Verdict.does_not:
        return found
    why = f"{found.why}, but not at a fifth of 5%"
    return replace(found, verdict=Verdict.unknown, worse=False, why=why)


def _beside(
    folder: Folder, scores: Scores, cell: str | None, reference: str | None
) -> tuple[Comparison, ...]:
    if cell is None or reference is None:
        return ()
    labels = kind(folder, cell), kind(folder, reference)
    return (compare(scores, (cell, reference), labels, BESIDE, Asked.kept, 1, folder.seeds),)
