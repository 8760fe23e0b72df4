"""A results folder, read once: protocol, records, failed cells, costs, curves, floor and clips.

Nothing here needs torch. Records are plain JSON values as `attnzoo.results` gives them; whoever
wants numbers over all of them takes its data frame, whoever wants one cell's parts takes this.
"""

from __future__ import annotations

import itertools
import json
import math
import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from attnzoo import results
from attnzoo.errors import UserError
from attnzoo.paths import inside, regular
from attnzoo.report import TAKEN
from attnzoo.report.belonging import File, check_data, check_places
from attnzoo.train.record import check_json, read_record

PROTOCOL = "protocol.json"
FLOOR = "floor.json"
PIXELS = 100_000
"""No picture has a side of more."""


@dataclass(frozen=True)
class Cell:
    """One setting that was run with every seed.

    added: it is no part of the protocol; searched: its rates were chosen by a search; chosen: what
    that chose.
    """

    id: str
    label: str
    attn: str
    overrides: tuple[str, ...] = ()
    added: bool = False
    searched: bool = True
    chosen: Mapping[str, str] = field(default_factory=dict, hash=False)

    def setting(self, key: str, default: str) -> str:
        """The value of an override, by the last part of its name (`camera` of `data.camera`)."""
        found = default
        for override in self.overrides:
            name, _, value = override.partition("=")
            if name.lstrip("+").split(".")[-1] == key:
                found = value
        return found


@dataclass(frozen=True)
class Row:
    """A row of a table; `group` gathers rows under one heading."""

    label: str
    cell: str
    group: str | None = None

    @property
    def name(self) -> str:
        """The label with its group: what tells the row from all others of the table."""
        return f"{self.label}, {self.group}" if self.group else self.label


@dataclass(frozen=True)
class TableRows:
    """A table's title and rows, without its numbers."""

    name: str
    title: str
    rows: tuple[Row, ...]


@dataclass(frozen=True)
class Failure:
    """Why there is no record of a cell and seed."""

    cell: str
    seed: int
    error: str
    kind: str


@dataclass(frozen=True)
class ShownClip:
    """A clip of which the videos are kept. boxes: the logo's place per frame, in pixels of `size`.

    A box is left, top, right, bottom; None where the logo is not seen.
    """

    name: str
    scenario: str
    fps: float
    frames: int
    size: int
    boxes: tuple[tuple[float, float, float, float] | None, ...]


@dataclass(frozen=True)
class Floor:
    """Distances of sets between real clips. seeds: by seed, then by score; method: in words."""

    seeds: Mapping[int, Mapping[str, float]]
    method: str

    def mean(self, key: str) -> float | None:
        """The mean over the seeds that have the score; None if none has."""
        values = [scores[key] for scores in self.seeds.values() if key in scores]
        return sum(values) / len(values) if values else None


@dataclass(frozen=True)
class Folder:
    """The whole folder; videos and pictures stay on the disk.

    Of records, failures and the floor those of the protocol's seeds. records: by cell, then by
    seed; curves: by cell, as in their files; floor: None where there is no file.
    """

    path: Path
    name: str
    seeds: tuple[int, ...]
    cells: Mapping[str, Cell]
    tables: Mapping[str, TableRows]
    records: Mapping[str, Mapping[int, Mapping[str, Any]]]
    failures: tuple[Failure, ...] = ()
    costs: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    curves: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    clips: tuple[ShownClip, ...] = ()
    floor: Floor | None = None

    @property
    def quick(self) -> bool:
        """Whether the run was too short to judge by."""
        return self.name == "quick"

    def cells_of(self, *tables: str) -> list[Cell]:
        """The distinct cells of some tables, in the order in which they first stand there."""
        rows = [row for name in tables if name in self.tables for row in self.tables[name].rows]
        return [self.cells[cell] for cell in dict.fromkeys(row.cell for row in rows)]

    def records_of(self, cell: str) -> Mapping[int, Mapping[str, Any]]:
        """A cell's records by seed; empty where all failed."""
        return self.records.get(cell, {})

    def record_path(self, cell: str, seed: int) -> Path:
        """Where a record lies, relative to the folder."""
        return _place(cell, seed)

    def clips_told(self, *tables: str) -> str:
        """How many clips a seed is scored on, by the records of some tables, default all.

        Where tables differ, of each; nothing without a record.
        """
        found: dict[str, list[str]] = {}
        for name in tables or self.tables:
            records = [r for cell in self.cells_of(name) for r in self.records_of(cell.id).values()]
            numbers = sorted({len(record["sampling"]["clips"]) for record in records})
            if numbers:
                told = " or ".join(map(str, numbers))
                found.setdefault(told, []).append(name.removeprefix("table"))
        if len(found) < 2:
            return next(iter(found), "")
        each = (f"{n} (table{'s' * (len(t) > 1)} {', '.join(t)})" for n, t in found.items())
        return " or ".join(each)

    def video(self, kind: str, clip: str) -> Path | None:
        """The video of a clip by a cell, or of the data (`real`, `pose`); None if there is none."""
        path = inside(self.path, f"clips/{kind}/{clip}.mp4", f"{self.path}: clip {clip}")
        return path if path.is_file() else None

    def reference(self, clip: str) -> Path | None:
        """The picture of a clip's person and background; None if there is none."""
        path = inside(self.path, f"clips/reference/{clip}.png", f"{self.path}: clip {clip}")
        return path if path.is_file() else None


def read_folder(path: Path) -> Folder:
    """Reads a results folder.

    Raises:
        UserError: there is no protocol, or a file is not what it should be; it is named.
    """
    protocol = _object(
        path / PROTOCOL, "; a results folder is what `python -m attnzoo.tables` made"
    )
    try:
        cells = {name: _cell(name, cell) for name, cell in protocol["cells"].items()}
        tables = {name: _table(name, table) for name, table in protocol["tables"].items()}
        name, seeds = _text(protocol["name"], "name"), tuple(protocol["seeds"])
        if not all(type(seed) is int for seed in seeds):
            raise ValueError(f"seeds are {seeds!r:.60}, not numbers")
        if len(set(seeds)) < len(seeds):
            raise ValueError(f"seeds are {seeds!r:.60}, not different ones")
        settings = protocol.get("settings", {})
        if not isinstance(settings, dict):
            raise ValueError("settings are no object")
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise _wrong(path / PROTOCOL, error) from error
    for cell in cells:
        inside(path, f"records/{cell}", f"{path / PROTOCOL}: cell {cell}")
    for table in tables.values():
        for row in table.rows:
            if row.cell not in cells:
                raise UserError(f"{path / PROTOCOL}: {table.name} has an unknown cell {row.cell!r}")
    records, failures = _records(path, cells, seeds)
    files = [
        File(path / _place(cell, seed), record, cells[cell], seed)
        for cell, of_cell in records.items()
        for seed, record in of_cell.items()
    ]
    check_places(files, settings)
    check_data(files)
    return Folder(
        path=path,
        name=name,
        seeds=seeds,
        cells=cells,
        tables=tables,
        records=records,
        failures=failures,
        costs=_each(path / "costs", cells, _check_cost),
        curves=_each(path / "curves", cells, _check_curve),
        clips=_clips(path / "clips" / "index.json"),
        floor=_floor(path / FLOOR, seeds),
    )


def make_inside(folder: Path, name: str) -> Path:
    """Makes a folder of a results folder, if it is not there.

    Raises:
        UserError: it leads out of the results folder, or is a file.
    """
    place = folder / name
    inside(folder, name, str(place))
    try:
        place.mkdir(parents=True, exist_ok=True)
    except FileExistsError as error:
        raise UserError(f"{place}: a file; the report writes a folder of that name") from error
    return place


def frame_of(folder: Folder) -> pd.DataFrame:
    """The scores of the folder's records as `attnzoo.results.load` has them.

    Raises:
        UserError: there is no record, or one cannot be read.
    """
    frame = results.load(folder.path / "records")
    own = {str(Path(c, f"seed{seed}.json")) for c in folder.records for seed in folder.records[c]}
    known = frame["path"].isin(own)
    return frame if known.all() else frame[known].reset_index(drop=True)


def _place(cell: str, seed: int) -> Path:
    return Path("records", cell, f"seed{seed}.json")


def _records(
    path: Path, cells: Mapping[str, Cell], seeds: Sequence[int]
) -> tuple[dict[str, dict[int, Mapping[str, Any]]], tuple[Failure, ...]]:
    records: dict[str, dict[int, Mapping[str, Any]]] = {}
    failures: list[Failure] = []
    for cell, seed in itertools.product(cells, seeds):
        place = _place(cell, seed)
        if _there(path, place):
            _object(path / place)
            records.setdefault(cell, {})[seed] = read_record(path / place)
        failed = place.with_suffix(".error.json")
        if _there(path, failed):
            content = _object(path / failed)
            try:
                error, kind = str(content["error"]), str(content["kind"])
            except KeyError as missing:
                raise _wrong(path / failed, missing) from missing
            failures.append(Failure(cell, seed, error, kind))
    return records, tuple(failures)


def _there(folder: Path, place: Path) -> bool:
    """Whether anything is at a place, which has to lie in the folder, links followed."""
    if not os.path.lexists(folder / place):
        return False
    inside(folder, str(place), str(folder / place))
    return True


def _floor(path: Path, seeds: Sequence[int]) -> Floor | None:
    """The floor by the file; seeds that the protocol does not have are left out."""
    if not path.is_file():
        return None
    content = _object(path)
    try:
        if content["schema"] != 1:
            raise ValueError(f"its schema is {content['schema']!r:.60}, not 1")
        found = {
            int(seed): {name: _finite(value, name) for name, value in scores.items()}
            for seed, scores in content["seeds"].items()
        }
        method = _text(content["method"], "method")
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise _wrong(path, error) from error
    return Floor({seed: scores for seed, scores in found.items() if seed in seeds}, method)


def _each(
    folder: Path, cells: Mapping[str, Cell], check: Callable[[Mapping[str, Any]], None]
) -> dict[str, Mapping[str, Any]]:
    """The files of a folder that has one a cell, by cell."""
    files = {cell: folder / f"{cell}.json" for cell in cells}
    found = {cell: _object(file) for cell, file in files.items() if file.is_file()}
    for cell, content in found.items():
        try:
            check(content)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise _wrong(files[cell], error) from error
        if content.get("cell", cell) != cell:
            raise UserError(
                f"{files[cell]}: it is of cell {content['cell']!r:.60}, and {cell} has this place: "
                "it belongs into another, or is another cell's"
            )
    return found


def _check_cost(cost: Mapping[str, Any]) -> None:
    """ValueError (or what a missing part raises) unless tables and plots can be made of it."""
    profile, environment = (cost.get(key) or {} for key in ("profile", "environment"))
    for part in (profile, environment):
        if not isinstance(part, dict):
            raise ValueError(f"{part!r:.60} is no object")
    for name in ("forward", "training"):
        if profile.get(name):
            _check_step(profile[name], name)
    for key in ("hardware", "versions"):
        if not isinstance(environment.get(key) or {}, dict):
            raise ValueError(f"environment.{key} is no object")
    load = cost.get("load") or {}  # of earlier results nobody knows it
    if not isinstance(load, dict):
        raise ValueError(f"load is {load!r:.60}, no object")
    if load.get("others") is not None:
        _finite(load["others"], "load.others")


def _check_step(step: Mapping[str, Any], name: str) -> None:
    """Likewise of what a step costs; memory is null where a device does not tell it."""
    for key in ("latency_s", "frames_per_s", "peak_memory_bytes", "flops"):
        if key not in step:
            raise ValueError(f"{name} lacks {key}")
        if key != "latency_s" and step[key] is not None:
            _finite(step[key], f"{name}.{key}")
    latency, ends = step["latency_s"], ("low", "median", "high")
    if not isinstance(latency, dict) or not {*ends} <= {*latency}:
        raise ValueError(f"{name}.latency_s is {latency!r:.60}, not low, median and high")
    found = [_finite(latency[end], f"{name}.latency_s.{end}") for end in ends]
    if found != sorted(found) or found[0] < 0:
        raise ValueError(f"{name}.latency_s: low, median and high are {found}, not rising from 0")
    _whole(latency.get("n", 0), f"{name}.latency_s.n", 0)


def _check_curve(curve: Mapping[str, Any]) -> None:
    """Likewise of scores over steps."""
    for kind in ("denoising", "training"):
        if curve.get(kind) is not None:
            _check_scores(curve[kind], kind)


def _check_scores(part: Mapping[str, Any], kind: str) -> None:
    steps = [_whole(step, f"{kind}.steps", 0) for step in part["steps"]]
    if not steps or len(set(steps)) < len(steps):
        raise ValueError(f"{kind}.steps are {steps!r:.60}, not one or more different numbers")
    if len(part["scores"]) != len(steps):
        raise ValueError(f"{kind} has {len(part['scores'])} scores at {len(steps)} steps")
    for one in part["scores"]:
        if not isinstance(one, dict):
            raise ValueError(f"{kind}.scores hold {one!r:.60}, not scores by name")
        for name, score in one.items():
            place = f"{kind}.scores.{name}"
            clips = score.get("clips", []) if isinstance(score, dict) else None
            if clips is None or "value" not in score or not isinstance(clips, list):
                raise ValueError(f"{place} is {score!r:.60}, not a value and a list of clips")
            for value in (score["value"], *clips):
                if value is not None:
                    _finite(value, place)


def _clips(index: Path) -> tuple[ShownClip, ...]:
    if not index.is_file():
        return ()
    try:
        return tuple(
            ShownClip(
                name=_named(clip["name"], "name"),
                scenario=_words(clip["scenario"], "scenario"),
                fps=_speed(clip["fps"]),
                frames=_whole(clip["frames"], "frames", 1),
                size=_whole(clip["size"], "size", 1, PIXELS),
                boxes=tuple(_box(box) for box in clip["boxes"]),
            )
            for clip in _json(index)
        )
    except (KeyError, TypeError, ValueError) as error:
        raise _wrong(index, error) from error


_NAMED = re.compile(r"[^/\\\0]+")
_LONGEST = 200
"""Bytes of a name: disks take 255, of which endings and what is half-written need some."""


def _named(value: Any, what: str) -> str:
    """A name that makes a file's: it may not lead anywhere else."""
    name = _text(value, what)
    if not _NAMED.fullmatch(name) or name in (".", ".."):
        raise ValueError(f"{what} {name!r:.60} cannot be a file's name")
    if (size := len(name.encode())) > _LONGEST:
        raise ValueError(f"{what} {name!r:.60} has {size} bytes, more than {_LONGEST}")
    return name


def _free(table: str) -> str:
    """A table's name, which is its files' too."""
    if table in TAKEN:
        raise ValueError(f"table {table!r} cannot be called so: the report has a file of that name")
    return _named(table, "table")


def _text(value: Any, what: str) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{what} is {value!r:.60}, not a text")
    return value


def _words(value: Any, what: str) -> str:
    """A text that is drawn and printed."""
    text = _text(value, what)
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise ValueError(
            f"{what} {text!r:.60} has half a letter, which cannot be written"
        ) from error
    return text


def _finite(value: Any, what: str) -> float:
    """What is finite, `check_json` has seen."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"{what} is {value!r:.60}, not a number")
    return float(value)


def _whole(value: Any, what: str, least: int, most: float = math.inf) -> int:
    if type(value) is not int or not least <= value <= most:
        upto = "" if math.isinf(most) else f" to {most}"
        raise ValueError(f"{what} is {value!r:.60}, not a whole number from {least}{upto}")
    return value


def _speed(value: Any) -> float:
    if (fps := _finite(value, "fps")) <= 0:
        raise ValueError(f"fps is {fps:g}, not more than 0")
    return fps


def _cell(name: str, cell: Mapping[str, Any]) -> Cell:
    overrides = cell["overrides"]
    if not isinstance(overrides, list):
        raise ValueError(f"overrides of {name} are {overrides!r:.60}, not a list")
    if not isinstance(cell.get("chosen") or {}, dict):
        raise ValueError(f"chosen settings of {name} are no object")
    added, searched = cell.get("added", False), cell.get("searched", True)
    for key, value in (("added", added), ("searched", searched)):
        if not isinstance(value, bool):
            raise ValueError(f"{key} of {name} is {value!r:.60}, not true or false")
    return Cell(
        _named(name, "cell"),
        _words(cell["label"], "label"),
        _text(cell["attn"], "attn"),
        tuple(_text(one, "overrides") for one in overrides),
        added,
        searched,
        {str(key): str(value) for key, value in (cell.get("chosen") or {}).items()},
    )


def _table(name: str, table: Mapping[str, Any]) -> TableRows:
    rows = tuple(map(_row, table["rows"]))
    if not rows:
        raise ValueError(f"table {name!r:.60} has no rows")
    return TableRows(_free(name), _words(table["title"], "title"), rows)


def _row(row: Mapping[str, Any]) -> Row:
    group = row.get("group")
    named = None if group is None else _words(group, "group")
    return Row(_words(row["label"], "label"), _text(row["cell"], "cell"), named)


def _box(values: Any) -> tuple[float, float, float, float] | None:
    if values is None:
        return None
    left, top, right, bottom = (_finite(value, "box") for value in values)
    if left > right or top > bottom or max(map(abs, (left, top, right, bottom))) > PIXELS:
        raise ValueError(f"box is {values!r:.60}, not left, top, right, bottom in pixels")
    return left, top, right, bottom


def _object(path: Path, hint: str = "") -> Mapping[str, Any]:
    content = _json(path, hint)
    if not isinstance(content, dict):
        raise UserError(f"{path}: an object is expected, not {type(content).__name__}")
    return content


def _json(path: Path, hint: str = "") -> Any:
    try:
        content = json.loads(regular(path).read_text())
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}{hint}") from error
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path}: not JSON: {error}") from error
    try:
        check_json(content, path.stem)
    except ValueError as error:
        raise UserError(f"{path}: not as it should be: {error}") from error
    return content


def _wrong(path: Path, error: Exception) -> UserError:
    return UserError(f"{path}: not as it should be ({type(error).__name__}: {error})")
