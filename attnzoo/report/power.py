"""The smallest effect that a protocol can see, by simulation from the run's own residuals.

What varies without an effect is what the run's comparisons vary by: the linearised values of the
gain of each row over its table's reference (`attnzoo.report.pairs`), less each seed's mean; in the
sixth table the reference is none with the same noise and camera. A simulated comparison draws one
of these, draws as many videos from it as there are, adds to each seed what seeds have to themselves
(normal, by the variance between seeds beyond that of their videos, pooled over the measure's
comparisons) and to all of them an effect, and goes through the tables' test: sign flips, at 5 % for
a single test, and at Holm's first step among all tests of the largest table, or of the sixth. The
smallest effect is the one that is found in 80 % of the simulations. The test itself takes videos as
independent; the false alarms say how often it calls nothing something.
"""

from __future__ import annotations

import csv
import io
import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import astuple, dataclass, fields

import numpy as np

from attnzoo.metrics.statistics import detectable, paired
from attnzoo.report.folder import Folder
from attnzoo.report.measures import MEASURES, Array
from attnzoo.report.noise_camera import SHOWN, corner, kind
from attnzoo.report.pairs import Gain, Scores
from attnzoo.report.quality import references

POWER = 0.8
ALPHA = 0.05
SIMULATIONS = 200
EXACT = 12
"""Up to so many pairs all signs are gone through, above `FLIPS` random ones."""
FLIPS = 3999
LARGEST = 1.0
"""No gain is larger: nothing is left to be bad."""
TABLES = ("table1", "table2", "table3", "table5")
SIXTH = "table6"

Pairs = Mapping[str, Sequence[tuple[str, str]]]
"""By table, the cells that are compared: each row's and its reference's."""


@dataclass(frozen=True)
class Power:
    """One measure. Effects are gains: shares of the reference's badness.

    tables: whose comparisons they are. pairs: of video and seed, the median over comparisons.
    tests: what the correction is for. single: the smallest effect found with 80 % power by one
    test; corrected: by one among `tests`. formula: `single` by Student's t, without simulation.
    by_seeds: the same were whole seeds the units, None of a single one. seeds: what seeds have to
    themselves, as a share of a value's variance. alarms: how often the single test finds an effect
    of zero. largest: the largest gain or loss that the run has seen. An effect is None where not
    even a gain of 1 would be found.
    """

    tables: str
    measure: str
    pairs: int
    tests: int
    single: float | None
    corrected: float | None
    formula: float | None
    by_seeds: float | None
    seeds: float
    alarms: float
    largest: float


def powers(folder: Folder, scores: Scores, *, seed: int = 0) -> list[Power]:
    """The smallest effects of `TABLES`, for each measure of which there is a comparison."""
    pairs = {name: _pairs(folder, name) for name in TABLES if name in folder.tables}
    return _powers(scores, pairs, tuple(MEASURES), seed)


def sixth_powers(folder: Folder, scores: Scores, *, seed: int = 0) -> list[Power]:
    """Those of the sixth table, for the measures that it shows."""
    pairs = {SIXTH: _sixth_pairs(folder)} if SIXTH in folder.tables else {}
    return _powers(scores, pairs, SHOWN, seed)


def _powers(scores: Scores, pairs: Pairs, measures: Sequence[str], seed: int) -> list[Power]:
    known = {
        key: {pair: scores.gain(*pair, key) for pair in itertools.chain(*pairs.values())}
        for key in measures
    }
    tests = max(
        (
            sum(found[pair] is not None for found in known.values() for pair in own)
            for own in pairs.values()
        ),
        default=0,
    )
    varied = {
        key: [one for one in found.values() if one is not None and np.ptp(one.values) > 0]
        for key, found in known.items()
    }
    tables = ", ".join(name.removeprefix("table") for name in pairs)
    return [_power(tables, key, found, tests, seed) for key, found in varied.items() if found]


def _pairs(folder: Folder, name: str) -> list[tuple[str, str]]:
    """Each row and its reference."""
    rows = folder.tables[name]
    against = references(folder, rows)
    pairs = [(row.cell, rows.rows[i].cell) for row, i in zip(rows.rows, against, strict=True)]
    return [pair for pair in pairs if pair[0] != pair[1]]


def _sixth_pairs(folder: Folder) -> list[tuple[str, str]]:
    """Each row of the sixth table, and none with the same noise and camera."""
    cells = [row.cell for row in folder.tables[SIXTH].rows]
    bare = {corner(folder, cell): cell for cell in cells if kind(folder, cell) == "none"}
    pairs = [(cell, bare.get(corner(folder, cell), cell)) for cell in cells]
    return [pair for pair in pairs if pair[0] != pair[1]]


def _power(tables: str, key: str, found: Sequence[Gain], tests: int, seed: int) -> Power:
    rng = np.random.default_rng([seed, *key.encode()])
    ratio = between_seeds(found)
    drawn = [
        _resampled(found[int(rng.integers(len(found)))], ratio, rng) for _ in range(SIMULATIONS)
    ]
    simulated = Simulated(drawn, rng)
    seeds = [detectable(list(one.seeds.values())) for one in found]
    return Power(
        tables,
        key,
        int(np.median([len(one.values) for one in found])),
        tests,
        smallest(lambda effect: simulated.power(effect, ALPHA)),
        smallest(lambda effect: simulated.power(effect, ALPHA / tests)),
        _median([detectable(one.values.tolist()) for one in found]),
        _median(seeds),
        ratio / (1 + ratio),
        simulated.power(0.0, ALPHA),
        max(abs(one.value) for one in found),
    )


def _by_seed(gain: Gain) -> list[Array]:
    seeds = np.array([seed for seed, _ in gain.keys])
    return [gain.values[seeds == one] for one in np.unique(seeds)]


def between_seeds(found: Sequence[Gain]) -> float:
    """Variance between seeds over that within, by the usual unbiased estimates, at least 0.

    What the means of n videos each vary by without any difference between seeds is taken off.
    """
    between = within = 0.0
    for gain in found:
        groups = [group for group in _by_seed(gain) if len(group) > 1]
        if len(groups) < 2:
            continue
        inside = float(np.mean([group.var(ddof=1) for group in groups]))
        by_chance = float(np.mean([group.var(ddof=1) / len(group) for group in groups]))
        between += float(np.var([group.mean() for group in groups], ddof=1)) - by_chance
        within += inside
    return max(between / within, 0.0) if within else 0.0


def _resampled(gain: Gain, ratio: float, rng: np.random.Generator) -> Array:
    """Residuals of as many seeds and videos as there are; see the module."""
    groups = _by_seed(gain)
    # A seed's own mean takes a part of the spread away, which the root gives back.
    rest = [
        (group - group.mean()) * (len(group) / max(len(group) - 1, 1)) ** 0.5 for group in groups
    ]
    pool = np.concatenate(rest)
    shift = rng.normal(0, pool.std() * ratio**0.5, len(groups))
    drawn = [rng.choice(pool, len(group)) + s for group, s in zip(groups, shift, strict=True)]
    return np.concatenate(drawn)


class Simulated:
    """Sign-flip tests of many samples, with an effect still to be added.

    The flipped sum of `r + effect` is that of r and `effect` times that of the signs, so that the
    flips are done once for all effects.
    """

    def __init__(self, samples: Sequence[Array], rng: np.random.Generator) -> None:
        self._parts: list[tuple[Array, Array, Array, int, bool]] = []
        for n in sorted({len(sample) for sample in samples}):
            rows = np.stack([sample for sample in samples if len(sample) == n])
            exact = n <= EXACT
            if exact:
                signs = 1.0 - 2.0 * (np.arange(2**n)[:, None] >> np.arange(n) & 1)
            else:
                signs = 1.0 - 2.0 * rng.integers(0, 2, (FLIPS, n))
            self._parts.append((rows @ signs.T, signs.sum(axis=1), rows.sum(axis=1), n, exact))

    def power(self, effect: float, alpha: float) -> float:
        """The share of samples whose p is below `alpha` with the effect added to each value."""
        return float(np.mean(self.p(effect) < alpha))

    def p(self, effect: float) -> Array:
        """The p of each sample, ordered by its length."""
        found = []
        for flipped, signs, sums, n, exact in self._parts:
            seen = np.abs(sums + n * effect) * (1 - 1e-12)
            above = (np.abs(flipped + effect * signs) >= seen[:, None]).sum(axis=1)
            found.append(above / len(signs) if exact else (above + 1) / (len(signs) + 1))
        return np.concatenate(found)


def smallest(power: Callable[[float], float]) -> float | None:
    """The smallest effect with `POWER`, to a thousandth of itself; None beyond `LARGEST`."""
    low, high = 0.0, LARGEST
    if power(high) < POWER:
        return None
    while high - low > max(1e-3 * high, 1e-5):
        middle = (low + high) / 2
        low, high = (low, middle) if power(middle) >= POWER else (middle, high)
    return high


def _median(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.median(known)) if known else None


def power_markdown(found: Sequence[Power], sixth: Sequence[Power], made: str) -> str:
    """The tables of smallest effects: of all tables but the sixth, and of the sixth."""
    lines = [
        "# The smallest effect this protocol can see",
        "",
        made,
        "",
        "Effects are gains: shares of the reference's badness. Each is found in 80 % of simulated "
        f"comparisons ({SIMULATIONS} of each measure, so that 80 is good to 3). –: not even a "
        "perfect score would be found.",
        "",
        "With n pairs and m tests the smallest corrected p that a sign-flip test can have is "
        f"2^(1-n) m, up to {paired.EXACT} pairs, of which all signs are gone through; of more it "
        f"is m / {paired.FLIPS + 1}. Where that is {ALPHA:.0%} or more, no difference can be "
        "marked, however large it is.",
    ]
    for one in (found, sixth):
        lines += _section(one) if one else []
    if not found and not sixth:
        lines += ["", "Nothing was compared."]
    return "\n".join([*lines, "", (__doc__ or "").split("\n\n", 1)[1].strip()]) + "\n"


def _section(found: Sequence[Power]) -> list[str]:
    """A heading, the table, and what can be marked at all."""
    several = "," in found[0].tables
    lines = [
        "",
        f"## Table{'s' * several} {found[0].tables}",
        "",
        "| measure | pairs | one test | one of a table's tests | by formula | were seeds the units "
        "| seeds' share of variance | false alarms at 5 % | largest seen |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for one in found:
        effects = (one.single, one.corrected, one.formula, one.by_seeds)
        shown = " | ".join("–" if e is None else f"{e:.1%}" for e in effects)
        name = MEASURES[one.measure].name
        rest = f"{one.seeds:.1%} | {one.alarms:.1%} | {one.largest:.1%}"
        lines.append(f"| {name} | {one.pairs} | {shown} | {rest} |")
    lines += ["", f"Holm's first step is among {_tests(found[0])} {_marked(found)}"]
    if not any(one.single is not None and one.largest >= one.single for one in found):
        lines += ["", "**No difference seen is as large as what could be seen: too small a run.**"]
    return lines


def _tests(one: Power) -> str:
    of = "those of the largest table" if "," in one.tables else "all of this table"
    return f"{one.tests} tests, {of}."


def _marked(found: Sequence[Power]) -> str:
    """From how many pairs on a difference can be marked, and whether there are as many."""
    tests = found[0].tests
    most = max(one.pairs for one in found)
    needed = next((n for n in range(2, paired.EXACT + 2) if least_p(n, tests) < ALPHA), None)
    if needed is None:
        return "Among so many no difference can be marked."
    told = f"A difference needs {needed} pairs to be marked"
    p = f"with {most} the smallest corrected p is {min(least_p(most, tests), 1):.2g}"
    return f"{told}; {p}." if most >= needed else f"{told}, and there are {most}: {p}."


def least_p(pairs: int, tests: int) -> float:
    """The smallest corrected p of a sign-flip test of so many pairs among so many tests."""
    return tests * (2.0 ** (1 - pairs) if pairs <= paired.EXACT else 1 / (paired.FLIPS + 1))


def powers_csv(found: Sequence[Power]) -> str:
    """The same as CSV."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([field.name for field in fields(Power)])
    writer.writerows(astuple(one) for one in found)
    return out.getvalue()
