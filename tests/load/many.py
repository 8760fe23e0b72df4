"""Results folders of many cells and records, made from the made-up ones."""

from __future__ import annotations

import copy
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from made_results import EFFECTS, made_protocol, made_record, make_results

SEEDS, CLIPS = 3, 8
GROWN = "table2"
"""The table that gets all the cells."""


def many_records(folder: Path, count: int) -> None:
    """So many records as tables leave them, three seeds a cell; the numbers of few repeat."""
    protocol = made_protocol(SEEDS, CLIPS)
    texts = [
        json.dumps(made_record(protocol, cell, seed, CLIPS), indent=1)
        for cell in ("none", "stsa-4x4x4")
        for seed in range(SEEDS)
    ]
    for i in range(count):
        place = folder / f"cell{i // SEEDS:05d}" / f"seed{i % SEEDS}.json"
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(texts[i % len(texts)])


def many_cells(folder: Path, count: int) -> Path:
    """A folder of `count` cells, most of them rows of one table, with records of their own."""
    make_results(folder, videos=False)
    path = folder / "protocol.json"
    protocol = json.loads(path.read_text())
    more = list(_added(count - len(protocol["cells"])))
    for name, effect in more:
        EFFECTS[name] = effect
        protocol["cells"][name] = copy.deepcopy(protocol["cells"]["stsa-4x4x4"])
        protocol["cells"][name]["label"] = name
        row = {"label": name, "cell": name, "group": None}
        protocol["tables"][GROWN]["rows"].append(row)
    path.write_text(json.dumps(protocol))
    cost = (folder / "costs" / "stsa-4x4x4.json").read_text()
    for name, _ in more:
        for seed in range(SEEDS):
            place = folder / "records" / name / f"seed{seed}.json"
            os.makedirs(place.parent, exist_ok=True)
            place.write_text(json.dumps(made_record(protocol, name, seed, CLIPS)))
        (folder / "costs" / f"{name}.json").write_text(cost.replace("stsa-4x4x4", name))
    return folder


def _added(count: int) -> Iterator[tuple[str, float]]:
    """Names and effects."""
    effects = np.random.default_rng(0).normal(0, 0.1, max(count, 0))
    yield from ((f"stsa-added{i:04d}", float(effect)) for i, effect in enumerate(effects))
