"""What a row costs: columns from `costs/` and from what the records say of training."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from attnzoo.report.folder import Folder
from attnzoo.report.table import Cell, Column, number

COST = "Cost"
MIB = 2**20

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


def cost_cells(folder: Folder, cell: str) -> tuple[Cell, ...]:
    """The cells of `COLUMNS`. Parameters and training time are the records', the rest is profiled.

    Training time is the mean over seeds of both stages, with a note where records were reused;
    memory that a device does not tell is `–`.
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
    value, low, high = (1e3 * latency[end] for end in ("median", "low", "high"))
    return Cell(number(value), value, low, high, latency.get("n", 0))


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
