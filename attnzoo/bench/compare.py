"""Two runs of the same cells: what became slower, and what takes more memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

import numpy as np

from attnzoo.bench.noise import halves
from attnzoo.bench.row import Row, Status
from attnzoo.bench.table import aligned, milliseconds

MEMORY_GROWTH, MEMORY_SLACK = 1.02, 1 << 16
"""Peak memory is counted and not sampled: more than this, with these bytes more, is growth."""

_RESAMPLES = 2000


class Verdict(Enum):
    """What a comparison says; `lost` is a cell that had a speed and has none any more."""

    same = "within noise"
    faster = "faster"
    slower = "SLOWER"
    lost = "LOST"


@dataclass(frozen=True)
class Change:
    """One cell in both runs. ratio: new median over old; interval: its 95 % interval."""

    old: Row
    new: Row
    ratio: float
    interval: tuple[float, float]
    verdict: Verdict

    @property
    def memory(self) -> float | None:
        """New peak memory over old."""
        old, new = self.old.facts.peak_memory, self.new.facts.peak_memory
        return new / old if old and new else None

    @property
    def memory_grew(self) -> bool:
        """Whether peak memory grew."""
        old, new = self.old.facts.peak_memory, self.new.facts.peak_memory
        if old is None or new is None:
            return False
        return new > MEMORY_GROWTH * old and new - old > MEMORY_SLACK

    @property
    def worse(self) -> bool:
        """Whether it is slower, lost, or takes more memory."""
        return self.verdict in (Verdict.slower, Verdict.lost) or self.memory_grew


@dataclass(frozen=True)
class Comparison:
    """All cells that both runs have.

    noise: median A/A noise of both, a share; machine: how much slower the machine itself was in
    the new run, by its peaks, at least 1.
    """

    changes: Sequence[Change]
    noise: float
    machine: float

    @property
    def worse(self) -> list[Change]:
        """The changes for the worse."""
        return [change for change in self.changes if change.worse]


def compare(old: Sequence[Row], new: Sequence[Row]) -> Comparison:
    """Slower is what neither noise nor the machine itself explains, its interval counted.

    A cell's noise is its own A/A difference, at least the median of all.
    """
    before = {row.cell.digest: row for row in old if row.status is Status.ok}
    pairs = [(before[row.cell.digest], row) for row in new if row.cell.digest in before]
    own = [halves(row.seconds) for pair in pairs for row in pair]
    found = float(np.median([one for one in own if one is not None] or [0.0]))
    machine = max([1.0, *(_machine(a, b) for a, b in pairs)])
    return Comparison([_change(a, b, found, machine) for a, b in pairs], found, machine)


def _machine(old: Row, new: Row) -> float:
    """How much slower products and copies were."""
    peaks = [f"peak_flops_{old.cell.dtype}", "peak_bytes"]
    pairs = [(old.environment.get(peak), new.environment.get(peak)) for peak in peaks]
    return max((a / b for a, b in pairs if a and b), default=1.0)


def _change(old: Row, new: Row, noise: float, machine: float) -> Change:
    if new.status is not Status.ok or not new.latency or not old.latency:
        return Change(old, new, float("nan"), (float("nan"),) * 2, Verdict.lost)
    low, high = ratio_interval(new.seconds, old.seconds)
    verdict = Verdict.same
    noise = max([noise, *filter(None, (halves(row.seconds) for row in (old, new)))])
    if low > max(1 + noise, machine):
        verdict = Verdict.slower
    elif high < 1 / (1 + noise):
        verdict = Verdict.faster
    return Change(old, new, new.latency / old.latency, (low, high), verdict)


def ratio_interval(new: Sequence[float], old: Sequence[float]) -> tuple[float, float]:
    """95 % interval of the ratio of two medians, by resampling; the same at each call."""
    generator = np.random.default_rng(0)

    def medians(values: Sequence[float]) -> np.ndarray:
        picks = generator.integers(len(values), size=(_RESAMPLES, len(values)))
        found: np.ndarray = np.median(np.asarray(values)[picks], axis=1)
        return found

    low, high = np.quantile(medians(new) / medians(old), (0.025, 0.975)).tolist()
    return low, high


def comparison_table(found: Comparison) -> str:
    """All cells with their ratios, and in words what is worse."""
    head = ("variant", "what", "sizes", "manner", "old [ms]", "new [ms]", "ratio", "memory", "")
    lines = [head, *map(_line, found.changes)]
    text = [aligned(lines, {0, 1, 2, 3, 8})]
    text.append(
        f"A/A noise of both runs {found.noise:.1%} (median; of each cell its own); the machine "
        f"itself was up to {found.machine - 1:.1%} slower; a ratio whose interval reaches into "
        "either is no difference"
    )
    for change in found.worse:
        text.append(f"worse: {change.new.cell}: {_words(change)}")
    if not found.worse:
        text.append(f"{len(found.changes)} cells compared, none slower, none with more memory")
    return "\n".join(text)


def _line(change: Change) -> tuple[str, ...]:
    cell, low, high = change.new.cell, *change.interval
    memory = "" if change.memory is None else f"{change.memory:.2f}"
    said = [change.verdict.value] if change.verdict is not Verdict.same else []
    said += ["MORE MEMORY"] if change.memory_grew else []
    new = "" if change.new.latency is None else milliseconds(change.new.latency)
    return (
        cell.variant, cell.where, cell.sizes, cell.manner,
        milliseconds(change.old.latency or 0.0), new,
        f"{change.ratio:.3f} ({low:.3f} to {high:.3f})", memory, ", ".join(said) or "within noise",
    )  # fmt: skip


def _words(change: Change) -> str:
    said = []
    if change.verdict is Verdict.lost:
        said.append(f"has no speed any more ({change.new.status.value}: {change.new.reason})")
    if change.verdict is Verdict.slower:
        low, high = change.interval
        said.append(f"{change.ratio:.2f} times the time ({low:.2f} to {high:.2f})")
    if change.memory_grew:
        said.append(f"{change.memory:.2f} times the peak memory")
    return ", ".join(said)
