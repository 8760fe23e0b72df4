"""What each cell costs: its model measured once, alone on the machine."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from attnzoo import registry
from attnzoo.bench.environment import code
from attnzoo.bench.hardware import hardware, versions
from attnzoo.paths import regular
from attnzoo.tables.folder import WORK, write_json
from attnzoo.tables.jobs import compose
from attnzoo.tables.progress import Progress
from attnzoo.tables.protocol import Protocol
from attnzoo.tables.work import profile_cell
from attnzoo.tables.workers import Outcome, Task, Workers
from attnzoo.train.device import choose_device
from attnzoo.train.plain import plain
from attnzoo.train.settings import Experiment

WITHOUT_COST = ("seed", "noise", "training", "sampling", "tracker", "workers")
"""What of an experiment changes nothing of what its model costs."""


@dataclass(frozen=True)
class Cost:
    """One measurement: the cells whose model it is, and the overrides that make that model.

    gpu: the device that it would be measured on here, None for the processor.
    """

    key: str
    cells: tuple[str, ...]
    overrides: tuple[str, ...]
    gpu: str | None = None


def costs_of(protocol: Protocol, cells: Sequence[str]) -> list[Cost]:
    """One for each different model among the cells."""
    found: dict[str, list[str]] = {}
    gpus: dict[str, str | None] = {}
    for name in cells:
        overrides = protocol.overrides(name, protocol.seeds[0])
        composed = compose(name, overrides)
        key = _key(composed.experiment, protocol.profile_rounds)
        found.setdefault(key, []).append(name)
        gpus[key] = hardware(choose_device(composed.experiment.device))["gpu"]
    return [
        Cost(key, tuple(names), tuple(protocol.overrides(names[0], protocol.seeds[0])), gpus[key])
        for key, names in found.items()
    ]


def _key(experiment: Experiment, rounds: int) -> str:
    """SHA-256 of the model's settings, the package's code and the machine."""
    decides = {k: v for k, v in plain(experiment).items() if k not in WITHOUT_COST}
    data = dict(decides.pop("data"))
    decides |= {
        # Where the camera stands and which clips there are costs nothing.
        "data": {key: data.get(key) for key in ("name", "frames", "size")},
        "variant_code": registry.get(experiment.variant).sha256,
        "code": code(),
        "hardware": hardware(),
        "rounds": rounds,
    }
    return hashlib.sha256(json.dumps(decides, sort_keys=True, default=str).encode()).hexdigest()


def measure_costs(
    folder: Path, protocol: Protocol, cells: Sequence[str], plugins: Sequence[str], said: Progress
) -> list[Outcome]:
    """Measures what is not measured yet, one model after the other; returns what failed."""
    costs = costs_of(protocol, cells)
    for cost in costs:
        _shared(folder, cost)
    left = [cost for cost in costs if not all(_stands(folder, cost, cell) for cell in cost.cells)]
    tasks = {_task(folder, cost, protocol.profile_rounds): cost for cost in left}
    said.begin("costs", list(tasks), workers=1)
    failed = []
    with Workers(1, None, plugins) as alone:
        for outcome in alone.do(list(tasks), said.tick):
            said.done(outcome)
            if outcome.kind is not None:
                failed.append(outcome)
                # What stands there is of other code or another machine.
                for cell in tasks[outcome.task].cells:
                    _path(folder, cell).unlink(missing_ok=True)
            else:
                outcome.task.log.unlink(missing_ok=True)
                _write(folder, tasks[outcome.task], outcome.result)
    return failed


def _task(folder: Path, cost: Cost, rounds: int) -> Task:
    log = folder / WORK / f"cost-{cost.cells[0]}.log"
    return Task(f"cost of {cost.cells[0]}", log, profile_cell, (cost.overrides, rounds))


def _path(folder: Path, cell: str) -> Path:
    return folder / "costs" / f"{cell}.json"


def _read(folder: Path, cell: str) -> dict[str, Any]:
    """The file of a cell's cost; empty where it is none of ours."""
    try:
        content = json.loads(regular(_path(folder, cell)).read_text())
        profile, environment = content["profile"], content["environment"]
    except (OSError, ValueError, LookupError, TypeError, RecursionError):
        return {}
    whole = isinstance(profile, dict) and isinstance(environment, dict)
    return dict(content) if whole else {}


def _stands(folder: Path, cost: Cost, cell: str) -> bool:
    """Whether the cell's file is of this model, measured by the libraries and the GPU of here."""
    content = _read(folder, cell)
    if content.get("key") != cost.key:
        return False
    made = content["environment"]
    machine = made.get("hardware")
    same = isinstance(machine, dict) and machine.get("gpu") == cost.gpu
    return same and made.get("versions") == versions()


def _shared(folder: Path, cost: Cost) -> None:
    """Gives all cells of a model the measurement that one of them has."""
    measured = next((cell for cell in cost.cells if _stands(folder, cost, cell)), None)
    if measured is not None:
        _write(folder, cost, _read(folder, measured))


def _write(folder: Path, cost: Cost, found: dict[str, Any]) -> None:
    for cell in cost.cells:
        content = {
            "schema": 1,
            "cell": cell,
            "profile": found["profile"],
            "environment": found["environment"],
            "load": found.get("load"),
            "reused": False,
            "key": cost.key,
        }
        write_json(_path(folder, cell), content)
