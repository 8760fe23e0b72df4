"""What a reader has to know of a run: protocol, machines, failures, the search."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from attnzoo.report.folder import Folder
from attnzoo.report.searched import tries

Fact = tuple[str, str]

APART = ("hardware", "versions", "model")
"""What of an environment tells one machine from another; the rest is a run's own."""


@dataclass(frozen=True)
class Machine:
    """A machine with its versions, and what ran there."""

    title: str
    facts: tuple[Fact, ...]
    where: str


@dataclass(frozen=True)
class CellLine:
    """A cell as the protocol has it; how many records there are of it, how many seeds failed."""

    id: str
    label: str
    overrides: str
    records: int
    failed: int


@dataclass(frozen=True)
class FailureLine:
    """A file that says why a record is not there."""

    path: str
    text: str


@dataclass(frozen=True)
class SearchLine:
    """A setting that was tried on the validation part."""

    cell: str
    text: str


def plain(value: Any) -> str:
    """A JSON value in one line for people."""
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {plain(item)}" for key, item in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(map(plain, value))
    if isinstance(value, float):
        return f"{value:.6g}"
    return "none" if value is None else str(value)


def protocol_facts(protocol: Mapping[str, Any], folder: Folder) -> tuple[Fact, ...]:
    """What was run, in a few lines."""
    return (
        ("name", str(protocol["name"])),
        ("command", str(protocol.get("command", "not said"))),
        ("hash", str(protocol.get("hash", "not said"))),
        ("seeds", plain(list(folder.seeds))),
        ("clips a seed", _clips(protocol, folder)),
        ("records", f"{_records(folder)}, of {len(folder.cells)} cells"),
    )


def summary(protocol: Mapping[str, Any], folder: Folder) -> str:
    """The run in one sentence."""
    return (
        f"{len(folder.cells)} cells, {len(folder.seeds)} seed{'s' * (len(folder.seeds) != 1)}, "
        f"{_clips(protocol, folder)} clips a seed: {_records(folder)} records"
        + (f", {len(folder.failures)} failed." if folder.failures else ".")
    )


def _clips(protocol: Mapping[str, Any], folder: Folder) -> str:
    return folder.clips_told() or plain(protocol.get("clips", "not said"))


def _records(folder: Folder) -> int:
    return sum(len(seeds) for seeds in folder.records.values())


def settings(protocol: Mapping[str, Any]) -> tuple[Fact, ...]:
    """What all cells have in common."""
    found = protocol.get("settings", {})
    return tuple((str(name), plain(value)) for name, value in found.items())


def cell_lines(protocol: Mapping[str, Any], folder: Folder) -> tuple[CellLine, ...]:
    """The cells in the protocol's order."""
    failed = [failure.cell for failure in folder.failures]
    lines = []
    for cell in folder.cells.values():
        chosen = protocol["cells"][cell.id].get("chosen") or {}
        words = [*cell.overrides, *(f"{name}={value}" for name, value in chosen.items())]
        records = len(folder.records_of(cell.id))
        lines.append(CellLine(cell.id, cell.label, " ".join(words), records, failed.count(cell.id)))
    return tuple(lines)


def failure_lines(folder: Folder) -> tuple[FailureLine, ...]:
    """Each failed cell and seed."""
    return tuple(
        FailureLine(
            f"records/{failure.cell}/seed{failure.seed}.error.json",
            f"{failure.kind}: {failure.error}",
        )
        for failure in folder.failures
    )


def machines(folder: Folder) -> tuple[Machine, ...]:
    """Each machine with other `APART` than the others, and what ran there."""
    found: dict[str, tuple[Mapping[str, Any], list[str]]] = {}
    for kind, environment in _environments(folder):
        same = {key: environment[key] for key in APART if key in environment}
        key = json.dumps(same, sort_keys=True)
        found.setdefault(key, (same, []))[1].append(kind)
    return tuple(
        Machine(
            f"Machine {number}" if len(found) > 1 else "One machine for everything",
            tuple(_flat(environment)),
            "Here ran: "
            + ", ".join(f"{kinds.count(kind)} × {kind}" for kind in dict.fromkeys(kinds)),
        )
        for number, (environment, kinds) in enumerate(found.values(), 1)
    )


def _environments(folder: Folder) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for seeds in folder.records.values():
        for record in seeds.values():
            environment = record["environment"]
            yield "reused run" if environment.get("reused") else "run", environment
    measured = set()
    for cost in folder.costs.values():
        # Cells that cost the same by their making have copies of one measurement.
        content = json.dumps([cost.get("profile"), cost.get("environment")], sort_keys=True)
        if isinstance(cost.get("environment"), Mapping) and content not in measured:
            measured.add(content)
            yield "cost", cost["environment"]


def _flat(environment: Mapping[str, Any]) -> Iterator[Fact]:
    for part, content in environment.items():
        if isinstance(content, Mapping):
            yield from ((str(name), plain(value)) for name, value in content.items())
        else:
            yield str(part), plain(content)


def search_lines(folder: Path) -> tuple[SearchLine, ...]:
    """The log of the search on the validation part; empty if there was none.

    Raises:
        UserError: a line is not JSON.
    """
    return tuple(
        SearchLine(
            tried["cell"],
            "; ".join(f"{key}: {plain(value)}" for key, value in tried.items() if key != "cell"),
        )
        for tried in tries(folder)
    )
