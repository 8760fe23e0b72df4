"""The search: every cell's settings chosen on the validation part, with one budget for all.

A run for each of the protocol's settings for that cell and each of some seeds that the tables do
not use, scored on the same validation clips; a setting that fails with one seed is not chosen. A
clip's score is made of what the claims are judged by, pictures and videos in equal parts: the mean
ln of badness (`attnzoo.report.measures`) of the former plus that of the latter, of those that have
a value of each clip's own; lower is better, and an equal relative improvement counts the same. The
setting with the lowest mean over seeds and clips is chosen, the earlier one of equals.
"""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from attnzoo.errors import UserError
from attnzoo.files import replacing
from attnzoo.paths import regular
from attnzoo.report.measures import IMAGE, MEASURES, VIDEO, Measure
from attnzoo.tables.folder import error_path, write_json
from attnzoo.tables.jobs import Job, compose, key_of
from attnzoo.tables.protocol import Protocol
from attnzoo.train.record import read_record

PARTS = tuple(
    tuple(MEASURES[key] for key in keys if not MEASURES[key].distance) for keys in (IMAGE, VIDEO)
)
LOG, CHOSEN = "search/log.jsonl", "search/chosen.json"
_NO_SEARCH = (ValueError, KeyError, TypeError, AttributeError, RecursionError, IsADirectoryError)


def searched(protocol: Protocol, cells: Sequence[str]) -> list[str]:
    """The cells whose settings are chosen for these: themselves, or those that they are like."""
    open_ = [name for name in cells if not protocol.cells[name].fixed]
    return list(dict.fromkeys(protocol.cells[name].like or name for name in open_))


def search_jobs(protocol: Protocol, cells: Sequence[str]) -> list[Job]:
    """One for each setting of each cell.

    Raises:
        UserError: a cell that cannot be run, nothing to choose from, or more tries for one cell
            than for another.
    """
    if not protocol.search.settings:
        raise UserError(f"search=true: the protocol {protocol.name} has no search.settings")
    names = searched(protocol, cells)
    if not names:
        raise UserError("search=true: these tables have settings of their own; nothing is searched")
    tries = {name: len(_settings(protocol, name)) for name in names}
    if len({*tries.values()}) > 1:
        least, most = (of(tries, key=lambda name: tries[name]) for of in (min, max))
        raise UserError(
            f"search.own: every cell must be tried as often, not {least} {tries[least]} times and "
            f"{most} {tries[most]} times"
        )
    jobs = []
    for name in names:
        for number, seed in itertools.product(range(tries[name]), _seeds(protocol)):
            overrides = _overrides(protocol, name, number, seed)
            found = compose(name, overrides)
            jobs.append(
                Job(
                    name=f"{name}, setting {number}, seed {seed}",
                    overrides=tuple(overrides),
                    key=key_of(found.experiment, found.source, {"search": True}),
                    place=_place(name, number, seed),
                    split_hash=found.source.split_hash,
                )
            )
    return jobs


def _settings(protocol: Protocol, cell: str) -> tuple[tuple[str, ...], ...]:
    return protocol.search.of(cell, protocol.cells[cell].attn)


def _seeds(protocol: Protocol) -> range:
    first = max(protocol.seeds) + 1
    return range(first, first + protocol.search.seeds)


def _place(cell: str, number: int, seed: int) -> str:
    return f"search/records/{cell}/setting{number}-seed{seed}.json"


def _overrides(protocol: Protocol, cell: str, number: int, seed: int) -> list[str]:
    bare = {cell: replace(protocol.cells[cell], chosen={})}
    overrides = replace(protocol, cells=bare).overrides(cell, seed)
    tried = _settings(protocol, cell)[number]
    own = ["data.part=validation", "sample.first=0"]
    return [*overrides, *own, *protocol.search.common, *tried]


def write_choice(folder: Path, protocol: Protocol, cells: Sequence[str]) -> dict[str, Any]:
    """Writes the log and what is chosen, from the records; returns the latter.

    In the files what was chosen of other cells before stays.

    Raises:
        UserError: of some cell no setting has a score, or a file there is not what a search writes.
    """
    names = searched(protocol, cells)
    tried = {name: _tried(folder, protocol, name) for name in names}
    before = chosen_there(folder)
    path = folder / LOG
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [line for several in (_logged(folder) | tried).values() for line in several]
    with replacing(path) as beside:
        beside.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    chosen = {}
    for name in names:
        scored = [line for line in tried[name] if line["mean"] is not None]
        if not scored:
            raise UserError(f"search: no setting of cell {name} has a score, see {path}")
        best = min(scored, key=lambda line: float(line["mean"]))
        chosen[name] = dict(text.split("=", 1) for text in best["setting"])
    write_json(folder / CHOSEN, before | chosen)
    return chosen


def check_there(folder: Path) -> None:
    """UserError where what earlier searches have left in a folder cannot be read."""
    chosen_there(folder)
    _logged(folder)


def chosen_there(folder: Path) -> dict[str, dict[str, Any]]:
    """By cell, what searches in a folder have chosen; empty where there was none.

    Raises:
        UserError: the file is not what a search writes; it is named.
    """
    path = folder / CHOSEN
    try:
        return {name: dict(one) for name, one in json.loads(regular(path).read_text()).items()}
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except _NO_SEARCH as error:
        raise UserError(f"{path}: not what a search chose ({error}); delete it") from error


def _logged(folder: Path) -> dict[str, list[dict[str, Any]]]:
    """By cell, the lines of earlier searches."""
    path = folder / LOG
    lines: dict[str, list[dict[str, Any]]] = {}
    try:
        for line in map(json.loads, regular(path).read_text().splitlines()):
            lines.setdefault(str(line["cell"]), []).append(line)
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except _NO_SEARCH as error:
        raise UserError(f"{path}: not a search's log ({error}); delete it") from error
    return lines


def _tried(folder: Path, protocol: Protocol, cell: str) -> list[dict[str, Any]]:
    lines = []
    for number, setting in enumerate(_settings(protocol, cell)):
        paths = [folder / _place(cell, number, seed) for seed in _seeds(protocol)]
        line: dict[str, Any] = {
            "cell": cell,
            "setting": list(setting),
            "seeds": [*_seeds(protocol)],
        }
        missing = [path for path in paths if not path.is_file()]
        if missing:
            line |= {"mean": None, "error": _error(error_path(missing[0]))}
        else:
            line |= _scored([read_record(path) for path in paths])
        lines.append(line)
    return lines


def _scored(records: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Of a setting's records: the score, and each seed's list of what it is made of, by clips."""
    scores = [clip_scores(record["scores"]) for record in records]
    keys = [one.key for part in PARTS for one in part]
    return {
        "clips": records[0]["sampling"]["clips"],
        "scores": scores,
        "mean": _mean([score for of_seed in scores for score in of_seed]),
        **{key: [record["scores"][key]["clips"] for record in records] for key in keys},
    }


def clip_scores(scores: Mapping[str, Any]) -> list[float | None]:
    """The search's score of each clip, None where one of its parts has no badness above 0."""
    total = sum(np.mean([_logs(one, scores) for one in part], axis=0) for part in PARTS)
    return [None if math.isnan(one) else one for one in np.asarray(total).tolist()]


def _logs(measure: Measure, scores: Mapping[str, Any]) -> NDArray[np.float64]:
    """ln of badness of each clip, NaN where there is none."""
    badness = measure.badness(np.array(scores[measure.key]["clips"], dtype=np.float64))
    return np.log(np.where(badness > 0, badness, np.nan))


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return math.fsum(known) / len(known) if known else None


def _error(path: Path) -> str:
    try:
        return str(json.loads(regular(path).read_text())["error"])
    except (OSError, ValueError, KeyError):
        return "not run"
