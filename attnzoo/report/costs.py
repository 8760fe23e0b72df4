"""What a row costs: columns from `costs/` and from what the records say of training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from attnzoo.report.folder import Folder
from attnzoo.report.table import Cell, Column, Row, number

COST = "Cost"
MIB = 2**20
BUSY = 0.1
"""Cores that others may keep busy while costs are timed."""
FEW = 4
"""Rounds from which on quartiles say something; of fewer the whole range is shown."""
STAGE_1 = "stage 1, in which the added modules alone train"

COLUMNS = (
    Column("latency", "one denoising step", COST, "ms", "lower", "cost"),
    Column("frames_per_second", "speed", COST, "frames/s", "higher", "cost"),
    Column("memory", "peak memory", COST, "MiB", "lower", "cost"),
    Column("flops", "FLOPs", COST, "G", "lower", "cost"),
    Column("training_latency", "one training step", COST, "ms", "lower", "cost"),
    Column("training_memory", "peak memory, training", COST, "MiB", "lower", "cost"),
    Column("added", "added parameters", COST, "k", "lower", "cost"),
    Column("trained", "trained in stage 1", COST, "k", "", "cost"),
    Column("trained_2", "in stage 2", COST, "k", "", "cost"),
    Column("training_time", "training", COST, "s", "lower", "cost"),
)


@dataclass(frozen=True)
class Timed:
    """A latency in ms: median, ends and rounds; of fewer than `FEW` rounds the ends are the range.

    n: 0 where it is not known.
    """

    median: float
    low: float
    high: float
    n: int

    @staticmethod
    def of(latency: Mapping[str, Any]) -> Timed:
        """From what was stored: seconds, with quartiles whatever the rounds.

        These are interpolated: of two or three values each lies halfway from the end to the median.
        """
        median, low, high = (1e3 * latency[end] for end in ("median", "low", "high"))
        n = int(latency.get("n", 0))
        if 0 < n < FEW:
            low, high = 2 * low - median, 2 * high - median
        return Timed(median, low, high, n)

    @property
    def said(self) -> str:
        """How many rounds it is of, and what its ends are."""
        if self.n == 1:
            return "one round"
        if self.n == 0:
            return "quartiles of an unknown number of rounds"
        return f"{'range' if self.n < FEW else 'quartiles'} of {self.n} rounds"


def rounds_said(timed: Sequence[Timed]) -> str:
    """How many rounds some latencies are of, and what their ends are, in words."""
    counts = sorted({one.n for one in timed if one.n})
    if not counts:
        return "rounds, with quartiles"
    rounds = str(counts[0]) if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
    ends = "quartiles" if counts[0] >= FEW else "range"
    few = f" of fewer than {FEW}, else quartiles" if counts[0] < FEW <= counts[-1] else ""
    none = "; one round has no spread" if counts[0] == 1 else ""
    return f"{rounds} round{'s' * (rounds != '1')}, with {ends}{few}{none}"


def in_stage_2(profile: Mapping[str, Any]) -> bool:
    """Whether the training step that was profiled is one of stage 2.

    That is so where stage 1 has nothing to train; it compares with no other's.
    """
    return (profile.get("training") or {}).get("stage") == 2


def cost_cells(folder: Folder, cell: str) -> tuple[Cell, ...]:
    """The cells of `COLUMNS`. Parameters and training time are the records', the rest is profiled.

    Training time is the mean over seeds of both stages, with a note where records were reused;
    memory that a device does not tell is `–`. Ends of latencies are those of `Timed`.
    """
    profile: Mapping[str, Any] = (folder.costs.get(cell) or {}).get("profile") or {}
    records = list(folder.records_of(cell).values())
    missing = "" if profile else "the cost was not measured"
    forward, training = profile.get("forward") or {}, profile.get("training") or {}
    found = {
        "latency": _latency(forward, missing),
        "frames_per_second": _scaled(forward.get("frames_per_s"), 1, missing),
        "memory": _scaled(forward.get("peak_memory_bytes"), MIB, missing),
        "flops": _scaled(forward.get("flops"), 1e9, missing),
        "training_latency": _latency(training, missing),
        "training_memory": _scaled(training.get("peak_memory_bytes"), MIB, missing),
    }
    none = "" if records else "no record"
    found["added"] = _scaled(records[0]["parameters"]["added"] if records else None, 1e3, none)
    for key, stage in (("trained", "stage1"), ("trained_2", "stage2")):
        parameters = records[0]["training"][stage]["trained_parameters"] if records else None
        found[key] = _scaled(parameters, 1e3, none)
    seconds = [
        sum(record["training"][stage]["seconds"] for stage in ("stage1", "stage2"))
        for record in records
    ]
    time = _scaled(sum(seconds) / len(seconds) if seconds else None, 1, none)
    if in_stage_2(profile):
        for key in ("training_latency", "training_memory"):
            found[key] = _of_stage_2(found[key])
    found["training_time"] = replace(time, note=time.note or reused(folder, cell))
    return tuple(found[column.key] for column in COLUMNS)


def reused(folder: Folder, cell: str) -> str:
    """How many of a cell's records are another run's, and where those were trained; or nothing."""
    records = folder.records_of(cell).values()
    lent = [r["environment"] for r in records if r["environment"].get("reused")]
    if not lent:
        return ""
    machines = " and ".join(dict.fromkeys(map(hardware, lent)))
    seeds = f"{len(lent)} of {len(records)} seed{'s' * (len(records) != 1)}"
    return f"{seeds} reused, trained on {machines}"


def _latency(part: Mapping[str, Any], missing: str) -> Cell:
    latency = part.get("latency_s")
    if not latency:
        return Cell(note=missing)
    one = Timed.of(latency)
    low, high = (None, None) if one.n == 1 else (one.low, one.high)
    return Cell(number(one.median), one.median, low, high, one.n, note=one.said)


def _of_stage_2(cell: Cell) -> Cell:
    if cell.value is None:
        return cell
    note = "; ".join(filter(None, (cell.note, "of stage 2: it has nothing to train in stage 1")))
    return replace(cell, text=f"{cell.text} (stage 2)", note=note)


def cost_notes(folder: Folder, rows: Sequence[Row]) -> list[str]:
    """What has to be known of the costs of a table's rows, whose last cells they are."""
    profiles = {row.name: (folder.costs.get(row.cell) or {}).get("profile") for row in rows}
    known = {name: profile for name, profile in profiles.items() if profile}
    if not known:
        return []
    other = [name for name, profile in known.items() if in_stage_2(profile)]
    stages = f"One training step and its peak memory are of {STAGE_1}"
    if other:
        stages += (
            f"; of {', '.join(other)}, which {'has' if len(other) == 1 else 'have'} nothing to "
            "train there, they are of stage 2 and compare with no other row's"
        )
    return [f"{stages}.", *_spreads(rows), *_busy(folder, rows)]


def _busy(folder: Folder, rows: Sequence[Row]) -> list[str]:
    """Which rows were timed beside other work, which makes times longer than they are."""
    told = {}
    for row in rows:
        others = ((folder.costs.get(row.cell) or {}).get("load") or {}).get("others")
        if others is not None and others > BUSY:
            told[row.name] = f"{row.name} ({others:.1f} cores)"
    if not told:
        return []
    return [
        "Other processes kept the machine busy while these were timed, so that their times are too "
        f"long and compare with no other row's: {', '.join(told.values())}."
    ]


def _spreads(rows: Sequence[Row]) -> list[str]:
    """What stands in brackets after latencies, and of how many rounds."""
    place = [column.key for column in COLUMNS].index("latency") - len(COLUMNS)
    rounds: dict[int, list[str]] = {}
    for row in rows:
        cell = row.cells[place]
        if cell.value is not None and row.name not in rounds.setdefault(cell.n, []):
            rounds[cell.n].append(row.name)
    if not rounds:
        return []
    told = [
        f"{'an unknown number' if n == 0 else n} of {', '.join(names)}"
        for n, names in sorted(rounds.items())
    ]
    return [
        "Latencies are medians over rounds, in brackets with their range, or from "
        f"{FEW} rounds on their quartiles; one round has no spread. Rounds timed: "
        f"{'; '.join(told)}."
    ]


def _scaled(value: float | None, unit: float, missing: str) -> Cell:
    if value is None:
        return Cell(note=missing or "not known")
    return Cell(number(value / unit), value / unit)


def hardware(environment: Mapping[str, Any]) -> str:
    """A machine in words."""
    found = environment.get("hardware")
    if not isinstance(found, Mapping):
        return "an unknown machine"
    threads = found.get("threads")
    cores = f"{threads} thread{'s' * (threads != 1)}"
    device = found.get("gpu") or f"{found.get('cpu')}, {cores}"
    versions = environment.get("versions")
    torch = versions.get("torch") if isinstance(versions, Mapping) else None
    return f"{device}, torch {torch}" if torch else str(device)
