"""Jobs: what has to be run for a protocol, each under a key of all that decides its record."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

from attnzoo import config
from attnzoo.composing import composed
from attnzoo.data.source import Source
from attnzoo.errors import UserError
from attnzoo.overrides import PLUGIN_FORM, PLUGINS, plugins_of
from attnzoo.tables.protocol import Curves, Protocol
from attnzoo.train import experiment as training
from attnzoo.train.plain import plain
from attnzoo.train.settings import Experiment

PACKAGE = Path(__file__).parents[1]
DECIDING = ("attention", "data", "metrics", "models", "train", "weights", "motion.py")
"""Of the package: what a record's numbers come from. Its other parts may change under results."""
LIBRARIES = ("torch", "diffusers", "numpy")


@dataclass(frozen=True)
class Job:
    """One run.

    name: what progress calls it; overrides: of `python -m attnzoo.run`; key: of all that decides
    the record; place: the record's path in the results folder; split_hash: of its data; based_on:
    SHA-256 of the files that it stands on; clips: the folder there for the generated clips, None
    for none; curves: what is scored over steps, into the file `curves_place`.
    """

    name: str
    overrides: tuple[str, ...]
    key: str
    place: str
    split_hash: str
    based_on: Mapping[str, str] = field(default_factory=dict, hash=False)
    clips: str | None = None
    curves: Curves | None = None
    curves_place: str | None = None


@dataclass(frozen=True)
class Composed:
    """A cell's experiment and data, as `attnzoo.run` makes them of its overrides."""

    experiment: Experiment
    source: Source


def compose(name: str, overrides: Sequence[str]) -> Composed:
    """What overrides describe, checked as `attnzoo.run` checks it.

    Raises:
        UserError: what cannot be run, or would load code; it names the cell.
    """
    try:
        if plugins_of(overrides):
            # A protocol and what stands in a folder of results may come from elsewhere.
            raise UserError(
                f"{PLUGINS}= of a protocol is not read: code is run only where the command names "
                f"it, {PLUGIN_FORM}"
            )
        cfg = composed(overrides)
        experiment, source = config.experiment_of(cfg), config.source_of(cfg)
        training.check(experiment, source)
    except UserError as error:
        raise UserError(f"cell {name}: {error}") from error
    return Composed(experiment, source)


def jobs_of(protocol: Protocol, cells: Sequence[str]) -> list[Job]:
    """All seeds of these cells, the first seed of all cells first.

    Raises:
        UserError: a cell that cannot be run, or more seeds than there are shares of test clips.
    """
    composed = {name: compose(name, protocol.overrides(name, protocol.seeds[0])) for name in cells}
    common = compose("settings", protocol.settings).source.split_hash
    jobs = []
    for number, seed in enumerate(protocol.seeds):
        for name in cells:
            found = composed[name]
            # The pictures of all clips shown are of the same data.
            shown = number == 0 and found.source.split_hash == common
            curves = protocol.curves if number == 0 and name in protocol.curves.cells else None
            jobs.append(_job(protocol, name, seed, found, shown, curves))
    return jobs


def _job(
    protocol: Protocol, cell: str, seed: int, found: Composed, shown: bool, curves: Curves | None
) -> Job:
    sampling = replace(found.experiment.sampling, first=seed * protocol.clips)
    there = len(found.source.test)
    if sampling.first + sampling.clips > there:
        raise UserError(
            f"seeds={len(protocol.seeds)}: seed {seed} is scored on test clips "
            f"{sampling.first} to {sampling.first + sampling.clips - 1}, and there are {there}"
        )
    experiment = replace(found.experiment, seed=seed, sampling=sampling)
    watched = None if curves is None else asdict(replace(curves, cells=()))
    return Job(
        name=f"{cell}, seed {seed}",
        overrides=tuple(protocol.overrides(cell, seed)),
        key=key_of(experiment, found.source, {"shown": shown, "curves": watched}),
        place=f"records/{cell}/seed{seed}.json",
        split_hash=found.source.split_hash,
        based_on=experiment.based_on(),
        clips=f"clips/{cell}" if shown else None,
        curves=curves,
        curves_place=None if curves is None else f"curves/{cell}.json",
    )


def key_of(experiment: Experiment, source: Source, more: Mapping[str, Any]) -> str:
    """SHA-256 of all that decides a record's numbers: settings, data, code, libraries."""
    decides = {
        "identity": experiment.identity(source.split_hash),
        "sampling": plain(experiment.sampling),
        "code": deciding_code(),
        "libraries": {name: version(name) for name in LIBRARIES},
        **more,
    }
    return hashlib.sha256(json.dumps(decides, sort_keys=True).encode()).hexdigest()


@cache
def deciding_code() -> str:
    """SHA-256 over the parts of the package, shipped weights too, that decide numbers."""
    digest = hashlib.sha256()
    for part in DECIDING:
        for path in sorted(p for p in (PACKAGE / part, *(PACKAGE / part).rglob("*"))):
            if path.suffix in (".py", ".safetensors"):
                digest.update(str(path.relative_to(PACKAGE)).encode() + path.read_bytes())
    return digest.hexdigest()
