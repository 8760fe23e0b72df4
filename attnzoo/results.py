"""All records below a folder as one tidy data frame; no torch is needed.

    frame = attnzoo.results.load("results/")
    frame[frame.score == "warp_error_1"].groupby("cell").value.mean()

A row is one clip's part in one score of one record. Columns of the row itself:

- `score`, `clip`, `scenario`, `index` (the clip's place in its record)
- `value`: the clip's own value; NaN where it has none and in distances of sets
- `influence`: of distances of sets, how much the clip moves the distance; NaN elsewhere
- `total`: the record's score, a mean or a distance; NaN where it is null, and `reason` says why
- `n`: how many samples stand behind `total`; `real`: the same measure of the real clips, or NaN

and of its record, the same in all of its rows: `path`, `cell` (the folder of a table's record,
before it that of its run of tables, if it lies deeper; of other runs the path of the run's own),
`seed`, `schema`, `variant`, `kind`, `method`, `flow`, `slots`, `stack`, `device`, `precision`,
`noise_training`, `noise_sampling`, `data`, `camera`, `frames`, `size`, `split_hash`,
`total_parameters`, `added_parameters`, `trained_parameters` (of stage 1), `trained_parameters_2`,
`training_seconds` (both stages), `sampling_seconds`, `seconds`, `hardware`, and `option.NAME` for
each option of a variant, as the command line writes it. Texts are categories.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from attnzoo.errors import UserError
from attnzoo.json_files import decoded
from attnzoo.paths import inside, regular
from attnzoo.train.migration import migrated
from attnzoo.train.record import LARGEST, NAME, SCHEMA

FILES = re.compile(rf"{re.escape(NAME)}|seed\d+\.json")
"""What records are called: a run's own, and those of tables."""

RECORDS = "records"
"""The folder of a run of tables in which they lie."""

Row = dict[str, Any]


def load(folder: str | Path) -> pd.DataFrame:
    """The records below `folder` as a data frame of the columns above, ordered by path.

    Records of older schemas are brought to the present one. A file is checked for what is taken
    from it here; `attnzoo.train.record.read_record` checks all of one.

    Raises:
        UserError: there is no record, or one cannot be read; the file is named.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise UserError(f"{folder}: no record there, no such folder; give a folder of records")
    paths = list(_paths(folder))
    if not paths:
        raise UserError(
            f"{folder}: no record below it ({NAME}, or seed0.json and so on in a folder of tables)"
        )
    cells = _cells(paths, folder)
    parts = _Parts()
    for path in paths:
        parts.add(*_read(path, folder, cells[path]))
    return parts.frame()


def _paths(folder: Path) -> Iterable[str]:
    """In an order that does not depend on the file system; hidden folders are a run's own.

    A link to a folder is not followed: inside `folder` its records are read in their own place.

    Raises:
        UserError: a link leads out of `folder`, or a folder cannot be read.
    """
    for place, folders, files in os.walk(folder, onerror=_unreadable):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for path in (os.path.join(place, name) for name in folders):
            if os.path.islink(path):
                inside(folder, os.path.relpath(path, folder), path)
        yield from (os.path.join(place, name) for name in sorted(files) if FILES.fullmatch(name))


def _unreadable(error: OSError) -> None:
    raise UserError(f"{error.filename}: cannot be read: {error.strerror}") from error


def _read(path: str, folder: Path, cell: str) -> tuple[Row, list[Row], list[str], list[str]]:
    """Facts of a record, its scores, clips and scenarios."""
    if os.path.islink(path):
        inside(folder, os.path.relpath(path, folder), path)
    try:
        with open(regular(Path(path)), "rb") as file:
            content = migrated(decoded(file.read()))
        if not isinstance(content, dict) or content.get("schema") != SCHEMA:
            found = content.get("schema") if isinstance(content, dict) else None
            raise ValueError(f"its schema is {found}, not {SCHEMA}")
        facts = _facts(content, os.path.relpath(path, folder), cell)
        name = os.path.basename(path)
        if name != NAME and name != f"seed{facts['seed']}.json":
            raise ValueError(f"its seed is {facts['seed']}: it is another run's")
        clips, scenarios = (_texts(content["sampling"][key], key) for key in ("clips", "scenarios"))
        if len(scenarios) != len(clips):
            raise ValueError(f"{len(scenarios)} scenarios for {len(clips)} clips")
        return facts, _scores(content["scores"], len(clips)), clips, scenarios
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from error
    except KeyError as error:
        raise UserError(f"{path}: not a record: it lacks {error}") from error
    except UserError:
        raise
    except (ValueError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        raise UserError(f"{path}: not a record that can be read: {error}") from error


def _facts(content: Mapping[str, Any], place: str, cell: str) -> Row:
    training, stages = content["training"], ("stage1", "stage2")
    data, parameters = content["data"], content["parameters"]
    same = ("seed", "schema", "variant", "kind", "method", "flow", "slots", "stack", "device")
    facts = {
        "path": place,
        "cell": cell,
        **{name: content[name] for name in same},
        "precision": content["precision"],
        "noise_training": content["noise"]["training"],
        "noise_sampling": content["noise"]["sampling"],
        "data": data["name"],
        "camera": data["settings"].get("camera"),
        "frames": data["frames"],
        "size": data["size"],
        "split_hash": data["split_hash"],
        "total_parameters": parameters["total"],
        "added_parameters": parameters["added"],
        "trained_parameters": training["stage1"]["trained_parameters"],
        "trained_parameters_2": training["stage2"]["trained_parameters"],
        "training_seconds": sum(training[stage]["seconds"] for stage in stages),
        "sampling_seconds": content["sampling"]["seconds"],
        "seconds": content["seconds"],
        "hardware": _hardware(content["environment"]),
        **{f"option.{name}": written(value) for name, value in content["options"].items()},
    }
    for name, value in facts.items():
        kind = INTEGERS if name in _INTEGERS else NUMBERS if name in _NUMERIC else TEXTS
        if not isinstance(value, kind) or isinstance(value, bool):
            raise ValueError(f"{name} is {value!r:.60}")
        if isinstance(value, int | float) and abs(value) > LARGEST:
            raise ValueError(f"{name} is {value!r:.60}, which is too large")
    return facts


def _cells(paths: Iterable[str], folder: Path) -> dict[str, str]:
    """The cell of each record; different for any two folders below one.

    A last part may be the same by chance, and so may all but `RECORDS`.
    """
    places = {path: os.path.dirname(os.path.relpath(path, folder)) for path in paths}
    short = {place: _without_records(place) for place in places.values()}
    # A name without `RECORDS` may also be another's whole one.
    often = Counter([*short.values(), *(place for place in short if place != short[place])])
    name = folder.absolute().name
    return {
        path: (short[place] if often[short[place]] == 1 else place.replace(os.sep, "/")) or name
        for path, place in places.items()
    }


def _without_records(place: str) -> str:
    parts = place.split(os.sep)
    if len(parts) > 1 and parts[-2] == RECORDS:
        del parts[-2]
    return "/".join(parts)


INTEGERS, NUMBERS, TEXTS = (int,), (int, float), (str, type(None))
_INTEGERS = {
    "seed", "schema", "frames", "size", "total_parameters", "added_parameters",
    "trained_parameters", "trained_parameters_2",
}  # fmt: skip
_NUMERIC = {"training_seconds", "sampling_seconds", "seconds"}
"""Columns that hold numbers; all others of a record are texts, or missing."""


def _texts(value: Any, name: str) -> list[str]:
    if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
        raise ValueError(f"{name} are {value!r:.60}, not a list of texts")
    return value


def written(value: Any) -> str:
    """An option's value as the command line writes it: `[4,4,4]`, `true`, `permute`."""
    if isinstance(value, list):
        return "[" + ",".join(map(written, value)) + "]"
    return str(value).lower() if isinstance(value, bool) else str(value)


def _hardware(environment: Mapping[str, Any]) -> str | None:
    found = environment.get("hardware")
    if not isinstance(found, dict):
        return None
    return str(found.get("gpu") or f"{found.get('cpu')}, {found.get('threads')} threads")


def _scores(scores: Mapping[str, Any], clips: int) -> list[Row]:
    return [
        {
            "score": name,
            "total": _number(score["value"], name),
            "n": _count(score.get("n", 0), name),
            "real": _number(score.get("real"), name),
            "reason": _reason(score.get("reason"), name),
            "value": _numbers(score.get("clips") or [], clips, name),
            "influence": _numbers(score.get("influence") or [], clips, name),
        }
        for name, score in scores.items()
    ]


def _number(value: Any, name: str) -> float:
    if value is None:
        return float("nan")
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"score {name} holds {value!r}, not a number")
    if abs(value) > LARGEST:
        raise ValueError(f"score {name} holds a number that is too large")
    return float(value)


def _count(value: Any, name: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or abs(value) > LARGEST:
        raise ValueError(f"score {name} counts {value!r:.60} samples")
    return value


def _reason(value: Any, name: str) -> str | None:
    if value is not None and not isinstance(value, str):
        raise ValueError(f"score {name} has the reason {value!r:.60}, not a text")
    return value


_NUMBERS = {float, int, type(None)}


def _numbers(values: list[Any], clips: int, name: str) -> list[Any]:
    """One for each clip; an empty list says that there are none."""
    if not values:
        return [None] * clips
    if len(values) != clips:
        raise ValueError(f"score {name} has {len(values)} values for {clips} clips")
    if not set(map(type, values)) <= _NUMBERS:
        raise ValueError(f"score {name} holds what is no number")
    if max(map(abs, filter(None, values)), default=0) > LARGEST:
        raise ValueError(f"score {name} holds a number that is too large")
    return values


@dataclass
class _Parts:
    """What was read so far: a fact for each record, a row for each score, numbers for each clip."""

    facts: list[Row] = field(default_factory=list)
    scores: list[Row] = field(default_factory=list)
    counts: list[tuple[int, int]] = field(default_factory=list)
    clips: list[str] = field(default_factory=list)
    scenarios: list[str] = field(default_factory=list)
    numbers: list[NDArray[np.float64]] = field(default_factory=list)

    def add(self, facts: Row, scores: list[Row], clips: list[str], scenarios: list[str]) -> None:
        """One record."""
        self.facts.append(facts)
        self.counts.append((len(scores), len(clips)))
        self.clips += clips
        self.scenarios += scenarios
        flat = [[x for s in scores for x in s.pop(kind)] for kind in ("value", "influence")]
        self.numbers.append(np.array(flat, np.float64))
        self.scores += scores

    def frame(self) -> pd.DataFrame:
        """All of it, every column as long as there are rows."""
        scores, clips = (np.array(part) for part in zip(*self.counts, strict=True))
        of_score = np.repeat(clips, scores)
        row_of_score = np.repeat(np.arange(len(of_score)), of_score)
        row_of_record = np.repeat(np.arange(len(clips)), scores * clips)
        index = np.arange(len(row_of_score)) - np.repeat(of_score.cumsum() - of_score, of_score)
        row_of_clip = index + np.repeat(clips.cumsum() - clips, scores * clips)
        value, influence = np.concatenate(self.numbers, axis=1)
        columns: dict[str, Any] = {}
        for name, part in _columns(self.facts).items():
            columns[name] = part.take(row_of_record)
        for name, part in _columns(self.scores).items():
            columns[name] = part.take(row_of_score)
        columns["clip"] = pd.Categorical(self.clips).take(row_of_clip)
        columns["scenario"] = pd.Categorical(self.scenarios).take(row_of_clip)
        columns |= {"index": index, "value": value, "influence": influence}
        return pd.DataFrame(columns, copy=False)


def _columns(rows: list[Row]) -> dict[str, Any]:
    """Texts as categories, numbers as arrays; what a row lacks is missing."""
    found = {}
    for name in dict.fromkeys(name for row in rows for name in row):
        values = [row.get(name) for row in rows]
        if all(isinstance(v, str | None) for v in values):
            found[name] = pd.Categorical(values)
        else:
            found[name] = np.array(values)
    return found
