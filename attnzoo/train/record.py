"""`record.json`: everything about a finished run, in one schema.

The dataclasses below are the schema; a field's type is what its JSON value must be, and a key
that is missing, unknown or of another type is refused when a record is written or read. Numbers
are finite, steps of losses rise, and nothing is nested deeper than who reads it can go. `SCHEMA`
grows by one when a key changes its meaning, comes or goes; what older records lack is filled in as
they are read (`attnzoo.train.migration`). Nothing here needs torch.
"""

from __future__ import annotations

import itertools
import json
import types
from collections.abc import Sequence
from dataclasses import MISSING, dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import Any, Union, get_args, get_origin, get_type_hints

from attnzoo.errors import UserError
from attnzoo.files import replacing
from attnzoo.json_files import decoded
from attnzoo.paths import regular
from attnzoo.train.migration import migrated
from attnzoo.train.plain import plain

SCHEMA = 3
NAME = "record.json"
LARGEST = 1e300
"""No number is larger: beyond it sums, and other units, are no numbers."""
DEEPEST = 100
"""Lists and objects inside one another, at most: who reads them calls itself for each."""


@dataclass(frozen=True)
class DataRecord:
    """What it was trained and tested on.

    settings: the data group as resolved; split: which clips are in which part; split_hash: SHA-256
    of it; frames of a clip and size in pixels.
    """

    name: str
    frames: int
    size: int
    settings: dict[str, Any]
    split: dict[str, Any]
    split_hash: str


@dataclass(frozen=True)
class NoiseRecord:
    """What the frames of a clip share of their noise, in training and in sampling."""

    training: str
    sampling: str


@dataclass(frozen=True)
class Curve:
    """Losses over a stage, `loss[i]` the mean over the steps after `step[i - 1]` to `step[i]`."""

    step: list[int]
    loss: list[float]


@dataclass(frozen=True)
class LoaderRecord:
    """Whether clips came as fast as training took them.

    frames_per_second: what the loader makes; needed: what training would take if it never waited;
    waited: seconds of the stage in which it did.
    """

    frames_per_second: float
    needed: float
    waited: float


@dataclass(frozen=True)
class StageRecord:
    """One stage as it went: trained_parameters is their number; seconds without checkpoints.

    A stage in which there is nothing to train has no steps. loader: null where nothing was
    measured. skipped: steps that changed nothing, since loss or gradient was no number; spikes:
    steps whose loss was far above all shortly before (`attnzoo.train.spikes`). None of these was
    counted in records of before.
    """

    steps: int
    learning_rate: float
    warmup: int
    trained_parameters: int
    seconds: float
    frames_per_second: float | None
    loss: Curve
    loader: LoaderRecord | None = None
    skipped: list[int] = field(default_factory=list)
    spikes: list[int] = field(default_factory=list)


@dataclass(frozen=True)
class TrainingRecord:
    """Both stages and what they have in common; see `attnzoo.train.settings.Training`.

    processes: those of the (last) launch, which shared each step's clips.
    """

    batch: int
    accumulate: int
    clip_norm: float
    weight_decay: float
    schedule: str
    ema: float
    null_tokens: float
    high_noise: float
    positions_rate: float
    resumed: int
    stage1: StageRecord
    stage2: StageRecord
    processes: int = 1


@dataclass(frozen=True)
class ParameterRecord:
    """Numbers of parameters.

    total: the whole model; unet: the inflated U-Net; added: what the base had not, `slots`, frame
    `positions` and what the method brings; replaced: self-attentions taken over with their weights.
    """

    total: int
    unet: int
    added: int
    slots: int
    positions: int
    replaced: int


@dataclass(frozen=True)
class SamplingRecord:
    """How the scored clips were made; clips: their names in order, scenarios: one for each."""

    steps: int
    guidance: float
    fps: int
    clips: list[str]
    scenarios: list[str]
    seconds: float
    frames_per_second: float


@dataclass(frozen=True)
class Record:
    """The whole record.

    method: of the paper's first table, video, disco or dreampose; options: all of the variant's
    own, with defaults filled in; flow: what the motion is taken from that variants follow, null
    where the data have none; scores: by name, each as `attnzoo.metrics.score.Score` (a value, or
    null with its reason); profile: what `attnzoo.bench.profile` measured, null if nothing was asked
    for; environment: hardware, versions, `code`, the variant's file and its SHA-256, and `model`,
    what the variant was put into; seconds: from start to end of the (last) process; files: what
    lies beside.
    """

    schema: int
    method: str
    variant: str
    options: dict[str, Any]
    kind: str
    slots: str
    stack: str
    seed: int
    device: str
    precision: str
    noise: NoiseRecord
    flow: str | None
    data: DataRecord
    parameters: ParameterRecord
    training: TrainingRecord
    sampling: SamplingRecord
    scores: dict[str, Any]
    profile: dict[str, Any] | None
    environment: dict[str, Any]
    seconds: float
    files: list[str]


def write_record(record: Record, folder: Path) -> dict[str, Any]:
    """Writes `record.json` whole or not at all, and returns what stands in it.

    Raises:
        ValueError: it does not have the schema; nothing is written.
    """
    content: dict[str, Any] = plain(record)
    check_record(content)
    with replacing(folder / NAME) as beside:
        beside.write_text(json.dumps(content, indent=1, allow_nan=False) + "\n")
    return content


def read_record(path: Path) -> dict[str, Any]:
    """The record in a file or a run's folder.

    One of an older schema is brought to this one.

    Raises:
        UserError: there is none, or not one of a schema that can be read.
    """
    path = path / NAME if path.is_dir() else path
    try:
        content: dict[str, Any] = decoded(regular(path).read_bytes())
    except OSError as error:
        raise UserError(f"{path}: no record can be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path}: not a record: {error}") from error
    try:
        content = migrated(content)
        check_record(content)
    except ValueError as error:
        raise UserError(f"{path}: not a record of schema {SCHEMA}: {error}") from error
    return content


def check_record(content: Any) -> None:
    """ValueError that names the first key whose value is not as the schema has it."""
    _check(content, Record, "record")
    if content["schema"] != SCHEMA:
        raise ValueError(f"record.schema is {content['schema']}, not {SCHEMA}")
    for stage in ("stage1", "stage2"):
        _check_losses(content["training"][stage]["loss"], f"record.training.{stage}.loss")
    for name, score in content["scores"].items():
        place = f"record.scores.{name}"
        if not isinstance(score, dict) or "value" not in score:
            raise ValueError(f"{place} has no value")
        _check(score["value"], float | None, f"{place}.value")
        if score["value"] is None and not score.get("reason"):
            raise ValueError(f"{place} is null and gives no reason")
        _check(score.get("influence", []), list[float], f"{place}.influence")


def check_json(value: Any, place: str) -> None:
    """ValueError unless it is a JSON value of finite numbers, nested at most `DEEPEST` deep."""
    _check_json(value, (place,))


def _check_json(value: Any, path: tuple[str | int, ...]) -> None:
    """`path` is put into words where something is wrong alone: there are millions of values."""
    if len(path) > DEEPEST + 1:
        raise ValueError(f"{_words(path):.60} is nested more than {DEEPEST} deep")
    if isinstance(value, dict):
        for name, item in value.items():
            if not isinstance(name, str):
                _need(False, name, "a text as key", _words(path))
            _check_json(item, (*path, name))
    elif isinstance(value, list):
        for i, item in enumerate(value):
            _check_json(item, (*path, i))
    elif isinstance(value, int | float):
        if not _finite(value):
            _need(False, value, "a finite number", _words(path))
    elif value is not None and not isinstance(value, str):
        _need(False, value, "a JSON value", _words(path))


def _words(path: tuple[str | int, ...]) -> str:
    first, *rest = path
    return f"{first}" + "".join(f"[{one}]" if isinstance(one, int) else f".{one}" for one in rest)


def _check_losses(curve: dict[str, Any], place: str) -> None:
    steps: Sequence[int] = curve["step"]
    if len(steps) != len(curve["loss"]):
        raise ValueError(f"{place} has {len(curve['loss'])} losses at {len(steps)} steps")
    for before, step in itertools.pairwise([0, *steps]):
        if step <= before:
            raise ValueError(f"{place}.step must rise from 1 on, not from {before} to {step}")


def _check(value: Any, kind: Any, place: str) -> None:
    if is_dataclass(kind):
        _check_object(value, kind, place)
    elif get_origin(kind) in (Union, types.UnionType):
        _check_union(value, get_args(kind), place)
    elif get_origin(kind) is list:
        _need(isinstance(value, list), value, "a list", place)
        for i, item in enumerate(value):
            _check(item, get_args(kind)[0], f"{place}[{i}]")
    elif get_origin(kind) is dict:
        check_json(value, place)
        _need(isinstance(value, dict), value, "an object", place)
    elif kind is float:
        number = isinstance(value, int | float) and not isinstance(value, bool)
        _need(number and _finite(value), value, "a finite number", place)
    elif kind is int:
        _need(isinstance(value, int) and not isinstance(value, bool), value, "an integer", place)
        _need(_finite(value), value, "a finite number", place)
    else:
        _need(isinstance(value, kind), value, f"of type {kind.__name__}", place)


def _check_object(value: Any, kind: Any, place: str) -> None:
    _need(isinstance(value, dict), value, "an object", place)
    hints, names = get_type_hints(kind), {f.name for f in fields(kind)}
    # What has a default came later, and older records of this schema do without.
    needed = {f.name for f in fields(kind) if f.default_factory is MISSING and f.default is MISSING}
    for problem, keys in (("lacks", needed - set(value)), ("has unknown", set(value) - names)):
        if keys:
            raise ValueError(f"{place} {problem} {', '.join(sorted(keys))}")
    for name in names & set(value):
        _check(value[name], hints[name], f"{place}.{name}")


def _check_union(value: Any, kinds: tuple[Any, ...], place: str) -> None:
    if value is None and type(None) in kinds:
        return
    others = [kind for kind in kinds if kind is not type(None)]
    _check(value, others[0], place)


def _finite(value: float) -> bool:
    """Of integers that no float holds, too: comparing does not convert them."""
    return abs(value) <= LARGEST


def _need(fine: bool, value: Any, what: str, place: str) -> None:
    if not fine:
        shown = repr(value)
        raise ValueError(f"{place} must be {what}, not {shown[:60]}")
