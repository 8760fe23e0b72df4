"""The smallest effect that a protocol can see, by simulation from what the run's seeds vary by.

Whole families of comparisons are simulated, as many comparisons as the run has. Each has a true
variance drawn from the distribution that was fitted to the run's (`attnzoo.report.moderation`), and
half of the median of it from a reference that all share; seeds are as many as the run has, their
logarithms normal. The distribution is fitted anew, and each comparison goes through the tables'
test with an effect added to it: at 5 % for a single test, and at Holm's first step among all tests
of the largest table. The smallest effect is the one that is found in 80 %; the false alarms say how
often a single test calls nothing something, and how often any of a family does at Holm's step.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Callable, Sequence
from dataclasses import astuple, dataclass, fields

import numpy as np
from scipy import stats

from attnzoo.report.folder import Folder
from attnzoo.report.measures import MEASURES, Array
from attnzoo.report.moderation import fitted
from attnzoo.report.noise_camera import SHOWN
from attnzoo.report.pairs import Family, Gain, Scores
from attnzoo.report.references import NOISE_CAMERA, comparisons, families

POWER = 0.8
ALPHA = 0.05
SIMULATIONS = 2000
LARGEST = 0.99
"""Of a gain of 1 nothing is left to be bad, and there is no logarithm."""
BY_SCENARIO = "table4"
"""It has the first table's rows, and columns of its own."""


@dataclass(frozen=True)
class Power:
    """One measure. Effects are gains: shares of the reference's badness.

    tables: whose comparisons they are. seeds: that comparisons have. tests: what the correction is
    for. single: the smallest effect found with 80 % power by one test; corrected: by one among
    `tests`; None where not even a gain of 99 % would be found. spread: what a comparison's seeds
    differ by, the median standard deviation of the ratio's logarithm; videos: the share of its
    variance that comes from which videos a seed has, which more videos would lessen, nan where it
    cannot be told. alarms: how often the single test finds an effect of zero; any_alarm: how often
    one of a family does by Holm's first step. largest: the largest gain or loss that was seen.
    """

    tables: str
    measure: str
    seeds: int
    tests: int
    single: float | None
    corrected: float | None
    spread: float
    videos: float
    alarms: float
    any_alarm: float
    largest: float


def powers(folder: Folder, scores: Scores, *, seed: int = 0) -> list[list[Power]]:
    """The smallest effects of each family of comparisons, by measure.

    Of the sixth table, for the measures that it shows; the fourth has the first one's rows.
    """
    found = []
    for family in families(folder):
        names = [name for name in family.tables if name != BY_SCENARIO]
        measures = SHOWN if NOISE_CAMERA in names else tuple(MEASURES)
        found.append(_powers(folder, scores, family, names, measures, seed))
    return [one for one in found if one]


def _powers(
    folder: Folder,
    scores: Scores,
    family: Family,
    names: Sequence[str],
    measures: Sequence[str],
    seed: int,
) -> list[Power]:
    tested = {key: _tested(scores, family, key) for key in measures}
    sizes = [
        sum(scores.gain(*pair, key) is not None for key in measures for pair in of)
        for of in (comparisons(folder, name) for name in names)
    ]
    tables = ", ".join(name.removeprefix("table") for name in names)
    return [
        _power(tables, key, found, max(sizes, default=0), seed)
        for key, found in tested.items()
        if found
    ]


def _tested(scores: Scores, family: Family, key: str) -> list[Gain]:
    gains = (scores.gain(*pair, key) for pair in family.pairs)
    return [gain for gain in gains if gain is not None and gain.p() is not None]


def _power(tables: str, key: str, found: Sequence[Gain], tests: int, seed: int) -> Power:
    simulated = Simulated(found, np.random.default_rng([seed, *key.encode()]))
    variances = np.array([gain.own()[0] for gain in found])
    videos = float(np.sum([gain.by_videos for gain in found])) / float(variances.sum() or math.nan)
    return Power(
        tables,
        key,
        int(np.median([len(gain.logs) for gain in found])),
        tests,
        smallest(lambda effect: simulated.power(effect, ALPHA)),
        smallest(lambda effect: simulated.power(effect, ALPHA / tests)),
        float(np.median(variances)) ** 0.5,
        videos,
        simulated.power(0.0, ALPHA),
        simulated.any_alarm(ALPHA),
        max(abs(gain.value) for gain in found),
    )


class Simulated:
    """Tests of families of comparisons like those given, with an effect still to be added."""

    def __init__(self, found: Sequence[Gain], rng: np.random.Generator) -> None:
        count, seeds = len(found), int(np.median([len(gain.logs) for gain in found]))
        families = max(SIMULATIONS // count, 1)
        drawn = [self._family(found, seeds, rng) for _ in range(families)]
        shape = (families, count)
        self._means, self._errors, self._freedoms = (
            np.array(part).reshape(shape) for part in zip(*drawn, strict=True)
        )

    @staticmethod
    def _family(
        found: Sequence[Gain], seeds: int, rng: np.random.Generator
    ) -> tuple[Array, Array, Array]:
        """Means of the seeds without an effect, their standard errors and degrees of freedom."""
        prior = found[0].prior
        if prior is None:
            variances = np.array([gain.own()[0] for gain in found])
        else:
            variances = prior.drawn(rng, len(found))
        shared = np.minimum(np.median(variances) / 2, variances)
        logs = rng.normal(size=(len(found), seeds)) * np.sqrt(variances - shared)[:, None]
        logs += rng.normal(size=seeds) * np.sqrt(shared)[:, None]
        own = [(float(v), seeds - 1) for v in logs.var(axis=1, ddof=1)]
        again = None if prior is None else fitted(own)
        used = [(v, float(df)) if again is None else again.moderated(v, df) for v, df in own]
        variance, freedom = np.array(used).T
        return logs.mean(axis=1), np.sqrt(variance / seeds), freedom

    def power(self, effect: float, alpha: float) -> float:
        """The share of simulations whose p is below `alpha` with a gain of `effect` added."""
        return float(np.mean(self.p(effect) < alpha))

    def any_alarm(self, alpha: float) -> float:
        """The share of families of which any p without an effect is below `alpha` by Holm."""
        p = self.p(0.0)
        return float(np.mean(p.min(axis=1) < alpha / p.shape[1]))

    def p(self, effect: float) -> Array:
        """The p of each family's comparisons."""
        reached = np.abs(self._means + math.log1p(-effect)) / self._errors
        return np.asarray(2 * stats.t.sf(reached, self._freedoms), np.float64)


def smallest(power: Callable[[float], float]) -> float | None:
    """The smallest effect with `POWER`, to a thousandth of itself; None beyond `LARGEST`."""
    low, high = 0.0, LARGEST
    if power(high) < POWER:
        return None
    while high - low > max(1e-3 * high, 1e-5):
        middle = (low + high) / 2
        low, high = (low, middle) if power(middle) >= POWER else (middle, high)
    return high


def power_markdown(found: Sequence[Sequence[Power]], made: str) -> str:
    """The tables of smallest effects, one for each family of comparisons."""
    lines = [
        "# The smallest effect this protocol can see",
        "",
        made,
        "",
        "Effects are gains: shares of the reference's badness. Each is found in 80 % of simulated "
        f"comparisons (about {SIMULATIONS} of each measure). –: not even a gain of {LARGEST:.0%} "
        "would be found, or, of videos, that it cannot be told.",
    ]
    for one in found:
        lines += _section(one)
    if not found:
        lines += ["", "Nothing could be tested: that takes two seeds."]
    return "\n".join([*lines, "", (__doc__ or "").split("\n\n", 1)[1].strip()]) + "\n"


def _section(found: Sequence[Power]) -> list[str]:
    """A heading, the table, and whether anything was large enough."""
    several = "," in found[0].tables
    lines = [
        "",
        f"## Table{'s' * several} {found[0].tables}",
        "",
        "| measure | seeds | one test | one of a table's tests | seeds differ by | of which by "
        "their videos | false alarms at 5 % | of a family | largest seen |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for one in found:
        shown = " | ".join("–" if e is None else f"{e:.1%}" for e in (one.single, one.corrected))
        videos = "–" if math.isnan(one.videos) else f"{one.videos:.0%}"
        rest = f"{one.spread:.1%} | {videos} | {one.alarms:.1%} | {one.any_alarm:.1%}"
        name = MEASURES[one.measure].name
        lines.append(f"| {name} | {one.seeds} | {shown} | {rest} | {one.largest:.1%} |")
    of = "those of the largest table" if several else "all of this table"
    lines += ["", f"Holm's first step is among {found[0].tests} tests, {of}."]
    if not any(one.single is not None and one.largest >= one.single for one in found):
        lines += ["", "**No difference seen is as large as what could be seen: too small a run.**"]
    return lines


def powers_csv(found: Sequence[Power]) -> str:
    """The same as CSV."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([field.name for field in fields(Power)])
    writer.writerows(astuple(one) for one in found)
    return out.getvalue()
