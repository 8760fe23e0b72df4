"""The smallest effect that a protocol can see, by simulation from what the run's seeds vary by.

Whole families of comparisons that vary alike are simulated, as many comparisons as the run has, and
told table by table. Each has a true variance drawn from what its own seeds, and those of its family
(`attnzoo.report.moderation`), leave open, and half of the median of it from a reference that all
share; seeds are as many as the run has, their logarithms normal. The family's distribution is
fitted anew, and each comparison goes through the tables' test with an effect added to it: at 5 %
for a single test, and at Holm's first step among all tests of its table. The smallest effect is the
one that is found in 80 % of the table's comparisons; some of them vary by far less than others. The
false alarms say how often a single test calls nothing something, and how often any of a table's
tests of the measure does at Holm's step among these.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Callable, Mapping, Sequence
from copy import copy
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


Pair = tuple[str, str]
"""A cell and its reference."""


@dataclass(frozen=True)
class Power:
    """One measure. Effects are gains: shares of the reference's badness.

    table: whose comparisons they are. seeds: that comparisons have. tests: what the correction is
    for. single: the smallest effect found with 80 % power by one test; corrected: by one among
    `tests`; None where not even a gain of 99 % would be found. spread: what a comparison's seeds
    differ by, the median standard deviation of the ratio's logarithm, least and most the ends;
    videos: the share of its variance that comes from which videos a seed has, which more videos
    would lessen, nan where it cannot be told. alarms: how often the single test finds an effect of
    zero; any_alarm: how often one of the table's does by Holm's first step among the measure's.
    largest: the largest gain or loss that was seen.
    """

    table: str
    measure: str
    seeds: int
    tests: int
    single: float | None
    corrected: float | None
    spread: float
    least: float
    most: float
    videos: float
    alarms: float
    any_alarm: float
    largest: float


def powers(folder: Folder, scores: Scores, *, seed: int = 0) -> list[list[Power]]:
    """The smallest effects of each table, by measure.

    Of the sixth, for the measures that it shows; the fourth has the first one's rows.
    """
    found: dict[str, list[Power]] = {}
    for family in families(folder):
        names = [name for name in family.tables if name != BY_SCENARIO]
        pairs = {
            name: [p for p in comparisons(folder, name) if p in family.pairs] for name in names
        }
        for name, of in _powers(scores, family, pairs, seed).items():
            found[name] = of
    return [found[name] for name in folder.tables if found.get(name)]


def _powers(
    scores: Scores, family: Family, pairs: Mapping[str, Sequence[Pair]], seed: int
) -> dict[str, list[Power]]:
    """Of each table of a family, whose pairs are given."""
    measures = SHOWN if NOISE_CAMERA in pairs else tuple(MEASURES)
    tests = {
        name: sum(scores.gain(*pair, key) is not None for key in measures for pair in of)
        for name, of in pairs.items()
    }
    found: dict[str, list[Power]] = {name: [] for name in pairs}
    for key in measures:
        tested = _tested(scores, family, key)
        if not tested:
            continue
        simulated = Simulated([*tested.values()], np.random.default_rng([seed, *key.encode()]))
        for name, of in pairs.items():
            places = [i for i, pair in enumerate(tested) if pair in of]
            if places:
                gains = [[*tested.values()][i] for i in places]
                one = _power(name, key, gains, tests[name], simulated.part(places))
                found[name].append(one)
    return found


def _tested(scores: Scores, family: Family, key: str) -> dict[Pair, Gain]:
    gains = {pair: scores.gain(*pair, key) for pair in family.pairs}
    return {pair: gain for pair, gain in gains.items() if gain is not None and gain.p() is not None}


def _power(name: str, key: str, found: Sequence[Gain], tests: int, simulated: Simulated) -> Power:
    variances = np.array([gain.own()[0] for gain in found])
    videos = float(np.sum([gain.by_videos for gain in found])) / float(variances.sum() or math.nan)
    median, least, most = (float(of(variances)) ** 0.5 for of in (np.median, np.min, np.max))
    return Power(
        name.removeprefix("table"),
        key,
        int(np.median([len(gain.logs) for gain in found])),
        tests,
        smallest(lambda effect: simulated.power(effect, ALPHA)),
        smallest(lambda effect: simulated.power(effect, ALPHA / tests)),
        median,
        least,
        most,
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
        known = np.array([gain.spread() for gain in found], np.float64).T
        alike = found[0].prior is not None
        drawn = [self._family(known, alike, seeds, rng) for _ in range(families)]
        shape = (families, count)
        self._means, self._errors, self._freedoms = (
            np.array(part).reshape(shape) for part in zip(*drawn, strict=True)
        )

    @staticmethod
    def _family(
        known: Array, alike: bool, seeds: int, rng: np.random.Generator
    ) -> tuple[Array, Array, Array]:
        """Means of the seeds without an effect, their standard errors and degrees of freedom.

        known: variances and their degrees of freedom; alike: whether they moderate one another.
        """
        variances = _drawn(known[0], known[1], rng) if alike else known[0]
        shared = np.minimum(np.median(variances) / 2, variances)
        logs = rng.normal(size=(len(variances), seeds)) * np.sqrt(variances - shared)[:, None]
        logs += rng.normal(size=seeds) * np.sqrt(shared)[:, None]
        own = [(float(v), seeds - 1) for v in logs.var(axis=1, ddof=1)]
        again = fitted(own) if alike else None
        used = [(v, float(df)) if again is None else again.moderated(v, df) for v, df in own]
        variance, freedom = np.array(used).T
        return logs.mean(axis=1), np.sqrt(variance / seeds), freedom

    def part(self, places: Sequence[int]) -> Simulated:
        """Some of the comparisons alone, tested as among all."""
        part = copy(self)
        part._means, part._errors, part._freedoms = (
            values[:, places] for values in (self._means, self._errors, self._freedoms)
        )
        return part

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


def _drawn(variances: Array, freedoms: Array, rng: np.random.Generator) -> Array:
    """True variances as far as they are known: of each what its seeds and the family's leave."""
    return np.asarray(variances * freedoms / rng.chisquare(freedoms), np.float64)


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
    """The smallest effects, table by table."""
    lines = [
        "# The smallest effect this protocol can see",
        "",
        made,
        "",
        "Effects are gains: shares of the reference's badness. Each is found in 80 % of simulated "
        f"comparisons (about {SIMULATIONS} of each measure and family of tables). In brackets the "
        "least and the most that a comparison's seeds differ by. –: not even a gain of "
        f"{LARGEST:.0%} would be found, or, of videos, that it cannot be told; above 100 % "
        "seeds differ, by chance, by less than their videos would make them.",
    ]
    for one in found:
        lines += _section(one)
    if not found:
        lines += ["", "Nothing could be tested: that takes two seeds."]
    return "\n".join([*lines, "", (__doc__ or "").split("\n\n", 1)[1].strip()]) + "\n"


def _section(found: Sequence[Power]) -> list[str]:
    """A heading, the table, and whether anything was large enough."""
    lines = [
        "",
        f"## Table {found[0].table}",
        "",
        "| measure | seeds | one test | one of the table's tests | seeds differ by | of which by "
        "their videos | false alarms at 5 % | any of the measure's, by Holm | largest seen |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for one in found:
        shown = " | ".join("–" if e is None else f"{e:.1%}" for e in (one.single, one.corrected))
        videos = "–" if math.isnan(one.videos) else f"{one.videos:.0%}"
        spread = f"{one.spread:.1%} [{one.least:.1%}, {one.most:.1%}]"
        rest = f"{spread} | {videos} | {one.alarms:.1%} | {one.any_alarm:.1%}"
        name = MEASURES[one.measure].name
        lines.append(f"| {name} | {one.seeds} | {shown} | {rest} | {one.largest:.1%} |")
    lines += ["", f"Holm's first step is among the table's {found[0].tests} tests."]
    said = too_small(found)
    return [*lines, "", f"**{said}**"] if said else lines


def too_small(found: Sequence[Power]) -> str:
    """Whether a table's differences are all below what a single test could see, in words."""
    if any(one.single is not None and one.largest >= one.single for one in found):
        return ""
    return (
        "No difference seen in this table is as large as what a single test could see: too small "
        "a run."
    )


def nominal(found: Sequence[Power]) -> str:
    """What the tests' 5 % are by simulation, in words."""
    if not found:
        return "The 5 % are nominal."
    single, several = (
        f"{min(shares):.1%} to {max(shares):.1%}"
        for shares in ([one.alarms for one in found], [one.any_alarm for one in found])
    )
    return (
        f"The 5 % are nominal: in simulations without a difference a single test finds one in "
        f"{single}, by measure, and any of a table's tests of a measure by Holm's step among them "
        f"in {several} (power.md)."
    )


def powers_csv(found: Sequence[Power]) -> str:
    """The same as CSV."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([field.name for field in fields(Power)])
    writer.writerows(astuple(one) for one in found)
    return out.getvalue()
