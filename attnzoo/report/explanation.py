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
`1 - (1 - g) / (1 - g_other)`. Where there is more to gain the same step is a smaller share, so 4
and 5 are judged by both: by these shares, and by the steps themselves (in shares of what
`stsa_flow` has with shared noise and a still camera). They hold if both do, do not if both do not,
and cannot be told otherwise. Who is better in 1 to 3 must not have lost in L1 on the body, since
what is smeared warps well.

By the rule of `attnzoo.report.verdict`, the explanation holds if all five do, each at 5 %: that all
hold by chance is less likely than that one does. It does not if one of them does not, of which
there are five chances: a prediction fails at one fifth of 5 %, and has its interval at that level
then. Beside these stand two that it makes likely and that decide nothing: that `temporal` gains
more there than with independent noise, which it may average away as well, and than with a moving
camera. Each has the variance of its own seeds: those of other noises and cameras may be of another
size.

This was changed before any run of the sixth table was looked at, and not since. At first the two
that are likely decided in the place of 4 and 5, which alone tell apart that alignment undoes
something from that it is bad anywhere; the real clips' part was not taken off; 4 and 5 were judged
by shares alone; and variances were moderated by one another.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from attnzoo.report.folder import Folder, TableRows
from attnzoo.report.measures import MEASURES
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
TEMPORAL, SUBSPACE = ("temporal", "none"), ("stsa", "none")
LEAD = ("stsa", "stsa_flow")
"""Pairs of which the first is predicted to be better."""


@dataclass(frozen=True)
class Prediction:
    """One of those that decide.

    judged: what must be so, in all the ways in which it is measured; beside: what must not be worse
    then.
    """

    judged: tuple[Comparison, ...]
    beside: tuple[Comparison, ...] = ()

    @property
    def verdict(self) -> Verdict:
        """The verdict on it."""
        found = {of_a_pair((one, *self.beside)) for one in self.judged}
        return found.pop() if len(found) == 1 else Verdict.unknown


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
            for c in (*one.judged, *one.beside)
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
    tried = _Tried(cells, scores, tuple(folder.seeds))
    predictions = [
        Prediction(
            (tried.better(pair),),
            _beside(folder, scores, *(cells.get((STILL, variant)) for variant in pair)),
        )
        for pair in (TEMPORAL, SUBSPACE, LEAD)
    ]
    predictions += [
        Prediction((tried.more("lead of stsa over stsa_flow", LEAD, other), tried.further(other)))
        for other in (INDEPENDENT, MOVING)
    ]
    likely = [
        tried.more("gain of temporal over none", TEMPORAL, other) for other in (INDEPENDENT, MOVING)
    ]
    if folder.quick:
        predictions = [
            Prediction(tuple(map(too_short, p.judged)), tuple(map(too_short, p.beside)))
            for p in predictions
        ]
        likely = list(map(too_short, likely))
    return Explanation(tuple(predictions), tuple(likely))


@dataclass(frozen=True)
class _Tried:
    """What is judged of the cells at each noise and camera."""

    cells: Mapping[tuple[Corner, str], str]
    scores: Scores
    seeds: tuple[int, ...]

    def better(self, pair: tuple[str, str]) -> Comparison:
        """Whether the first is better with shared noise and a still camera."""
        return _judged(f"{pair[0]}, {_THERE}", pair[1], SHARES, self._gain(STILL, pair), self.seeds)

    def more(self, what: str, pair: tuple[str, str], other: Corner) -> Comparison:
        """Whether its gain is larger there than elsewhere."""
        found = contrast(self._gain(STILL, pair), self._gain(other, pair))
        return _judged(f"{what}, {_THERE}", _elsewhere(other), SHARES, found, self.seeds)

    def further(self, other: Corner) -> Comparison:
        """Whether the lead is, in the measure's own unit."""
        samples = [self._samples(corner, LEAD) for corner in (STILL, other)]
        found = None
        if samples[0] is not None and samples[1] is not None:
            found = steps(samples[0], samples[1])
        what = f"lead of stsa over stsa_flow, {_THERE}"
        return _judged(what, _elsewhere(other), STEPS, found, self.seeds)

    def _samples(self, where: Corner, pair: tuple[str, str]) -> tuple[Sample, Sample] | None:
        one, other = (self.cells.get((where, variant)) for variant in pair)
        if one is None or other is None:
            return None
        return self.scores.sample(one, JUDGED), self.scores.sample(other, JUDGED)

    def _gain(self, where: Corner, pair: tuple[str, str]) -> Gain | None:
        found = self._samples(where, pair)
        return None if found is None else beyond_real(*found)


_THERE = "noise shared, camera still"


def _elsewhere(other: Corner) -> str:
    noise, camera = other
    return f"with noise {noise}" if noise != STILL[0] else f"with a {camera} camera"


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
    """How much more one cell gains than another, as a gain, over the seeds of both."""
    if first is None or second is None:
        return None
    logs = {s: first.logs[s] - second.logs[s] for s in first.logs if s in second.logs}
    if not logs or not all(math.isfinite(log) for log in logs.values()):
        return None
    return Gain.of(logs)


def steps(here: tuple[Sample, Sample], there: tuple[Sample, Sample]) -> Gain | None:
    """How much further one is ahead of another here than there.

    Each a pair of samples, the one that is ahead first. A step is what the other has beyond real
    clips, less what the first has; the difference of both is a gain as if it were a small one, in
    shares of what the other has here on the mean of the seeds.
    """
    ahead, behind = ((_beyond(one), _beyond(other)) for one, other in (here, there))
    leads = [
        {s: other[s][1] - one[s][1] for s in one if one[s][0] == other.get(s, ((), 0.0))[0]}
        for one, other in (ahead, behind)
    ]
    seeds = [seed for seed in leads[0] if seed in leads[1]]
    if not seeds:
        return None
    unit = float(np.mean([ahead[1][seed][1] for seed in seeds]))
    found = {seed: (leads[1][seed] - leads[0][seed]) / unit for seed in seeds}
    known = unit > 0 and all(map(math.isfinite, found.values()))
    return Gain.of(found) if known else None


PREDICTIONS = 5
SHARES, STEPS = "beyond real clips", "beyond real clips, in steps"


def _judged(
    first: str, second: str, by: str, gain: Gain | None, seeds: Sequence[int]
) -> Comparison:
    measure = replace(MEASURES[JUDGED], name=f"{MEASURES[JUDGED].name}, {by}")
    if gain is None:
        none = Judged(Verdict.unknown, why="not both have values beyond real clips")
        return Comparison(first, second, measure, Asked.better, None, 0, none)
    found = decided(gain, seeds)
    return Comparison(first, second, measure, Asked.better, gain.value, len(gain.logs), found)


def decided(gain: Gain, seeds: Sequence[int]) -> Judged:
    """The verdict on a prediction: it holds at 5 %, and does not at one fifth of that."""
    found = judge(gain, Asked.better, seeds=seeds)
    strict = judge(gain, Asked.better, comparisons=PREDICTIONS, seeds=seeds)
    if found.verdict is not Verdict.does_not:
        return found
    if strict.verdict is Verdict.does_not:
        return strict
    why = f"{found.why}, but not at a fifth of 5%"
    return replace(found, verdict=Verdict.unknown, worse=False, why=why)


def _beside(
    folder: Folder, scores: Scores, cell: str | None, reference: str | None
) -> tuple[Comparison, ...]:
    if cell is None or reference is None:
        return ()
    labels = kind(folder, cell), kind(folder, reference)
    return (compare(scores, (cell, reference), labels, BESIDE, Asked.kept, 1, folder.seeds),)
