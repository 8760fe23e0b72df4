"""The rule by which a claim holds or not, fixed before any number that it judges was looked at.

It was changed once, after a run of seeds 0 to 2 at other settings, which showed that videos of one
seed vary together, and before any of seeds 6 to 9 was trained: seeds are the units since then, and
none has to agree by itself. After these had been seen one thing that it rests on was changed: sizes
of a subspace count as settings of one variant, whose comparisons are alike, as pages had said.

A comparison says how much better one cell is than another by one measure: the gain g, a share of
the other's badness (`attnzoo.report.pairs`), with its interval over seeds (Student's t of the
ratio's logarithm, its variance moderated by comparisons alike). Less than 2 % (`RELEVANT`) does not
matter here, which is a convention of this page. Of a comparison that is claimed to be better,

- holds: the interval lies above 0, and g is at least 2 %;
- does not: the interval lies below 2 %; of these it is *worse* where the interval lies below 0 and
  g is -2 % or less;
- cannot be told: anything else, and whatever lacks a seed of either cell.

Where the paper says *slightly*, half a percent stands for 2 %. How much more than that is not
judged: what it calls substantial or significant has to be better, no more. Of a comparison that is
claimed to be no worse (quality is *kept*): holds if the interval lies above -2 %, does not if it
lies below, cannot be told otherwise.

Two cells are compared by several measures. The first is better if any comparison holds and none is
worse; it is not if any is worse, or if none holds or could. It has kept the quality if all
comparisons hold, and has not if one does not. What is smeared over frames warps well, so who is
better in videos must not have lost in the pictures that stand beside (*no worse than*): else it
cannot be told. A claim of several pairs of cells holds if it does of all, does not if it does not
of one, and cannot be told otherwise, nor if a pair is not in the run.

The comparisons by which a claim can hold share one 5 %: the intervals of m are at `1 - 0.05 / m`
(Bonferroni). Those beside it have the same level and are not counted, since they can only keep it
from holding.
Claims are not corrected for one another. The unit is the seed, which is one training: its videos
vary together. A run that is too short to judge gives no verdict but the last.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import Enum

from attnzoo.report.measures import MEASURES, Measure
from attnzoo.report.pairs import Gain, Scores

RELEVANT = 0.02
SLIGHT = 0.005
ALPHA = 0.05


class Verdict(Enum):
    """What is said of a claim."""

    holds = "holds"
    does_not = "does not"
    unknown = "cannot be told with this many samples"


class Asked(Enum):
    """What is claimed of the first cell against the second."""

    better = "better than"
    slightly = "slightly better than"
    kept = "no worse than"

    @property
    def margin(self) -> float:
        """The least gain that will do."""
        return {Asked.better: RELEVANT, Asked.slightly: SLIGHT, Asked.kept: -RELEVANT}[self]


@dataclass(frozen=True)
class Judged:
    """A verdict on one gain. worse: see the module; why: what decided; low, high: its interval."""

    verdict: Verdict
    worse: bool = False
    why: str = ""
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Comparison:
    """One comparison of a claim. first, second: labels of the cells.

    gain: None where it could not be had.
    """

    first: str
    second: str
    measure: Measure
    asked: Asked
    gain: float | None
    seeds: int
    judged: Judged

    @property
    def verdict(self) -> Verdict:
        """The verdict on it."""
        return self.judged.verdict

    @property
    def why(self) -> str:
        """What decided, in words."""
        return self.judged.why

    @property
    def low(self) -> float | None:
        """The interval's lower end."""
        return self.judged.low

    @property
    def high(self) -> float | None:
        """The interval's upper end."""
        return self.judged.high


def judge(
    gain: Gain | None, asked: Asked, *, comparisons: int = 1, seeds: Sequence[int] = ()
) -> Judged:
    """The verdict on one gain, by an interval that is one of so many; it must have these seeds."""
    if gain is None:
        return Judged(Verdict.unknown, why="no videos that both have")
    found = gain.interval(1 - ALPHA / comparisons)
    if found.low is None or found.high is None:
        return Judged(Verdict.unknown, why=found.method)
    lacking = sorted({*seeds} - {*gain.logs})
    if lacking:
        why = f"seed {', '.join(map(str, lacking))} is missing"
        return Judged(Verdict.unknown, False, why, found.low, found.high)
    verdict, worse, why = _decided(gain, found.low, found.high, asked)
    return Judged(verdict, worse, why, found.low, found.high)


def _decided(gain: Gain, low: float, high: float, asked: Asked) -> tuple[Verdict, bool, str]:
    """The verdict, whether it is worse, and why."""
    g, margin = gain.value, asked.margin
    least = min(margin, 0.0)
    if low > least:
        if g < margin:
            return Verdict.unknown, False, f"better, but perhaps by less than {100 * margin:g}%"
        return Verdict.holds, False, ""
    if high < margin:
        what = "worse" if high < 0 else f"less than {100 * margin:g}% better"
        worse = high < 0 and g <= -RELEVANT
        return Verdict.does_not, worse, f"the whole interval is {what}"
    return Verdict.unknown, False, f"the interval has {100 * least:g}% in it"


def compare(
    scores: Scores,
    cells: tuple[str, str],
    labels: tuple[str, str],
    key: str,
    asked: Asked,
    comparisons: int,
    seeds: Sequence[int],
) -> Comparison:
    """Judges one cell against another by one measure; `seeds` are those that both must have."""
    gain = scores.gain(*cells, key)
    if gain is None:
        why = scores.no_gain(*cells, key, labels)
        return Comparison(*labels, MEASURES[key], asked, None, 0, Judged(Verdict.unknown, why=why))
    found = judge(gain, asked, comparisons=comparisons, seeds=seeds)
    return Comparison(*labels, MEASURES[key], asked, gain.value, len(gain.logs), found)


def too_short(found: Comparison) -> Comparison:
    """The same of a run by which nothing can be judged."""
    judged = replace(found.judged, verdict=Verdict.unknown, worse=False, why="too short to judge")
    return replace(found, judged=judged)


def of_a_pair(found: Sequence[Comparison]) -> Verdict:
    """The verdict on two cells from their comparisons."""
    better = [one.judged for one in found if one.asked is not Asked.kept]
    kept = {one.verdict for one in found if one.asked is Asked.kept}
    if not better:
        return together(kept)
    verdicts = {one.verdict for one in better}
    if any(one.worse for one in better) or verdicts == {Verdict.does_not}:
        return Verdict.does_not
    if Verdict.holds in verdicts and Verdict.does_not not in kept:
        return Verdict.holds
    return Verdict.unknown


def together(verdicts: set[Verdict]) -> Verdict:
    """The verdict on what must hold in all its parts."""
    if Verdict.does_not in verdicts:
        return Verdict.does_not
    return Verdict.holds if verdicts == {Verdict.holds} else Verdict.unknown
