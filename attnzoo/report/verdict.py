"""The rule by which a claim holds or not, fixed before any run.

A comparison says how much better one cell is than another by one measure: the gain g, a share of
the other's badness (`attnzoo.report.pairs`), with its interval over pairs of video and seed. What
is smaller than 2 % (`RELEVANT`) does not matter here: with another seed and nothing else changed,
scores move by 1 %. Of a comparison that is claimed to be better,

- holds: the interval lies above 0, g is at least 2 %, and g is above 0 in every seed;
- does not: the interval lies below 2 %, so that there is no gain worth the name;
- cannot be told: anything else.

Of one that is claimed to be no worse (quality is *kept*): holds if the interval lies above -2 %,
does not if it lies below, cannot be told otherwise.

A claim of several comparisons does not hold if any of them does not; it holds if any holds and none
does not; otherwise it cannot be told. Its comparisons share one 5 %: the intervals of m are at
`1 - 0.05 / m` (Bonferroni). In simulations without any effect, a comparison of 24 pairs holds in 3
of 100. A run that is too short to judge gives no verdict but the last.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from attnzoo.report.measures import MEASURES, Measure
from attnzoo.report.pairs import Gain, Scores

RELEVANT = 0.02
ALPHA = 0.05


class Verdict(Enum):
    """What is said of a claim."""

    holds = "holds"
    does_not = "does not"
    unknown = "cannot be told with this many samples"


class Asked(Enum):
    """What is claimed of the first cell against the second."""

    better = "better than"
    kept = "no worse than"


@dataclass(frozen=True)
class Comparison:
    """One comparison of a claim. low, high: of the gain, None where it could not be had.

    why: what decided, in words. first, second: labels of the cells.
    """

    first: str
    second: str
    measure: Measure
    asked: Asked
    gain: float | None
    low: float | None
    high: float | None
    n: int
    verdict: Verdict
    why: str


def judge(
    gain: Gain | None, asked: Asked, *, comparisons: int = 1
) -> tuple[Verdict, str, float | None, float | None]:
    """The verdict on one gain, the reason, and the interval it was judged by."""
    if gain is None:
        return Verdict.unknown, "no videos that both have", None, None
    found = gain.interval(1 - ALPHA / comparisons)
    low, high = found.low, found.high
    if low is None or high is None:
        return Verdict.unknown, found.method, None, None
    if asked is Asked.kept:
        return (*_kept(low, high), low, high)
    if high < RELEVANT:
        what = "worse" if high < 0 else f"less than {RELEVANT:.0%} better"
        return Verdict.does_not, f"the whole interval is {what}", low, high
    if low <= 0:
        return Verdict.unknown, "the interval has 0 in it", low, high
    if gain.value < RELEVANT:
        return Verdict.unknown, f"better, but perhaps by less than {RELEVANT:.0%}", low, high
    if min(gain.by_seed()) <= 0:
        return Verdict.unknown, "not better in every seed", low, high
    return Verdict.holds, "", low, high


def _kept(low: float, high: float) -> tuple[Verdict, str]:
    if low > -RELEVANT:
        return Verdict.holds, ""
    if high < -RELEVANT:
        return Verdict.does_not, f"worse by more than {RELEVANT:.0%}"
    return Verdict.unknown, f"a loss of {RELEVANT:.0%} is in the interval"


def compare(
    scores: Scores,
    cells: tuple[str, str],
    labels: tuple[str, str],
    key: str,
    asked: Asked,
    comparisons: int,
) -> Comparison:
    """Judges one cell against another by one measure."""
    gain = scores.gain(*cells, key)
    verdict, why, low, high = judge(gain, asked, comparisons=comparisons)
    if gain is None:
        reasons = [
            f"{label}: {sample.reason}"
            for cell, label in zip(cells, labels, strict=True)
            if not len((sample := scores.sample(cell, key)).values)
        ]
        why = "; ".join(reasons) or why
    value, n = (None, 0) if gain is None else (gain.value, len(gain.values))
    return Comparison(*labels, MEASURES[key], asked, value, low, high, n, verdict, why)


def together(verdicts: Sequence[Verdict]) -> Verdict:
    """The verdict on a claim from those on its comparisons."""
    for verdict in (Verdict.does_not, Verdict.holds):
        if verdict in verdicts:
            return verdict
    return Verdict.unknown
