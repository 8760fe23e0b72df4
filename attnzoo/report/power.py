"""The smallest effect that a protocol can see, by simulation from what the run's seeds vary by.

A simulated comparison draws one of the run's, each row with its table's reference, takes its
moderated variance between seeds (`attnzoo.report.moderation`) for the true one, draws as many seeds
as there are (normal, of the ratio's logarithm), adds an effect to all of them, and goes through the
tables' test: at 5 % for a single test, and at Holm's first step among all tests of the largest
table, or of the sixth. The smallest effect is the one that is found in 80 % of the simulations; the
false alarms say how often a single test calls nothing something.
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
from attnzoo.report.noise_camera import SHOWN
from attnzoo.report.pairs import Gain, Scores
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
    variance that comes from which videos a seed has, which more videos would lessen; freedom: with
    which a test is made. alarms: how often the single test finds an effect of zero. largest: the
    largest gain or loss that the run has seen.
    """

    tables: str
    measure: str
    seeds: int
    tests: int
    single: float | None
    corrected: float | None
    spread: float
    videos: float
    freedom: float
    alarms: float
    largest: float


def powers(folder: Folder, scores: Scores, *, seed: int = 0) -> list[Power]:
    """The smallest effects of all tables but the fourth and sixth, by measure."""
    names = [name for name in folder.tables if name not in (BY_SCENARIO, NOISE_CAMERA)]
    return _powers(folder, scores, names, tuple(MEASURES), seed)


def sixth_powers(folder: Folder, scores: Scores, *, seed: int = 0) -> list[Power]:
    """Those of the sixth table, for the measures that it shows."""
    names = [name for name in folder.tables if name == NOISE_CAMERA]
    return _powers(folder, scores, names, SHOWN, seed)


def _powers(
    folder: Folder, scores: Scores, names: Sequence[str], measures: Sequence[str], seed: int
) -> list[Power]:
    pairs = {name: comparisons(folder, name) for name in names}
    own = {pair for of in pairs.values() for pair in of}
    own &= {pair for family in families(folder) for pair in family}

    def tested(pair: tuple[str, str], key: str) -> bool:
        gain = scores.gain(*pair, key)
        return gain is not None and gain.p() is not None

    tests = max(
        (sum(tested(pair, key) for key in measures for pair in of) for of in pairs.values()),
        default=0,
    )
    tables = ", ".join(name.removeprefix("table") for name in names)
    found = []
    for key in measures:
        gains = [scores.gain(*pair, key) for pair in sorted(own) if tested(pair, key)]
        known = [gain for gain in gains if gain is not None]
        if known:
            found.append(_power(tables, key, known, tests, seed))
    return found


def _power(tables: str, key: str, found: Sequence[Gain], tests: int, seed: int) -> Power:
    simulated = Simulated(found, np.random.default_rng([seed, *key.encode()]))
    variances = np.array([gain.spread()[0] for gain in found])
    videos = np.array([gain.by_videos for gain in found])
    return Power(
        tables,
        key,
        int(np.median([len(gain.logs) for gain in found])),
        tests,
        smallest(lambda effect: simulated.power(effect, ALPHA)),
        smallest(lambda effect: simulated.power(effect, ALPHA / tests)),
        float(np.median(variances)) ** 0.5,
        min(float(np.median(videos / variances)), 1.0),
        float(np.median([gain.spread()[1] for gain in found])),
        simulated.power(0.0, ALPHA),
        max(abs(gain.value) for gain in found),
    )


class Simulated:
    """Tests of comparisons like those given, with an effect still to be added."""

    def __init__(self, found: Sequence[Gain], rng: np.random.Generator) -> None:
        drawn = [self._drawn(found[i], rng) for i in rng.integers(len(found), size=SIMULATIONS)]
        self._means, self._errors, self._freedoms = (
            np.array(part) for part in zip(*drawn, strict=True)
        )

    @staticmethod
    def _drawn(gain: Gain, rng: np.random.Generator) -> tuple[float, float, float]:
        """Mean of the seeds without an effect, its standard error, and degrees of freedom."""
        n = len(gain.logs)
        logs = rng.normal(0, gain.spread()[0] ** 0.5, n)
        again = Gain(0.0, gain.n, dict(enumerate(logs.tolist())), gain.prior)
        variance, freedom = again.spread()
        return float(logs.mean()), (variance / n) ** 0.5, freedom

    def power(self, effect: float, alpha: float) -> float:
        """The share of simulations whose p is below `alpha` with a gain of `effect` added."""
        return float(np.mean(self.p(effect) < alpha))

    def p(self, effect: float) -> Array:
        """The p of each simulation."""
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


def power_markdown(found: Sequence[Power], sixth: Sequence[Power], made: str) -> str:
    """The tables of smallest effects: of all tables but the sixth, and of the sixth."""
    lines = [
        "# The smallest effect this protocol can see",
        "",
        made,
        "",
        "Effects are gains: shares of the reference's badness. Each is found in 80 % of simulated "
        f"comparisons ({SIMULATIONS} of each measure). –: not even a gain of {LARGEST:.0%} would "
        "be found.",
    ]
    for one in (found, sixth):
        lines += _section(one) if one else []
    if not found and not sixth:
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
        "their videos | degrees of freedom | false alarms at 5 % | largest seen |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for one in found:
        shown = " | ".join("–" if e is None else f"{e:.1%}" for e in (one.single, one.corrected))
        videos = "–" if math.isnan(one.videos) else f"{one.videos:.0%}"
        rest = f"{one.spread:.1%} | {videos} | {one.freedom:.1f} | {one.alarms:.1%}"
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
