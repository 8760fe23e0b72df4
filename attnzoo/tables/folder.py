"""The folder of results: where a record lies, whether it stands, and what becomes of a failure."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from attnzoo.errors import UserError
from attnzoo.files import remove, replacing
from attnzoo.paths import inside
from attnzoo.tables.jobs import Job
from attnzoo.train.record import read_record

WORK = ".cells"
"""Where runs lie that are not finished; a finished one leaves nothing there."""

BEFORE = f"{WORK}/before"
"""Where records lie that were to be made anew, and could not be."""


def write_json(path: Path, content: Any) -> None:
    """Writes plain JSON values whole or not at all; the folder is made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as beside:
        beside.write_text(json.dumps(content, indent=1, allow_nan=False) + "\n")


def working(folder: Path, job: Job) -> Path:
    """Where a job keeps its checkpoints: two cells of equal settings do not share a folder."""
    place = Path(job.place)
    return folder / WORK / f"{place.parent.name}-{place.stem}-{job.key[:16]}"


def stands(folder: Path, job: Job) -> bool:
    """Whether the job's record is there, made under the same key, with its clips and curves.

    Raises:
        UserError: it is there and cannot be read, which may pass: it is not one to be made again.
    """
    path = folder / job.place
    if not path.is_file():
        return False
    try:
        record = read_record(path)
    except UserError as error:
        if isinstance(error.__cause__, OSError):
            raise
        return False
    whole = all(place.exists() for place in beside(folder, job, record))
    return whole and bool(record["environment"].get("key") == job.key)


def beside(folder: Path, job: Job, record: Mapping[str, Any]) -> Iterator[Path]:
    """The files that stand beside a job's record: its curves, and a clip of each scenario."""
    if job.curves_place is not None:
        yield folder / job.curves_place
    if job.clips is not None:
        sampling, seen = record["sampling"], set[str]()
        for clip, scenario in zip(sampling["clips"], sampling["scenarios"], strict=True):
            if scenario not in seen:
                seen.add(scenario)
                yield folder / job.clips / f"{clip}.mp4"


def error_path(path: Path) -> Path:
    """Where the failure of a record's run lies."""
    return path.with_suffix(".error.json")


def records_in(folder: Path) -> list[Path]:
    """All records of tables, whether they stand or not."""
    return sorted(p for p in folder.glob("records/*/seed*.json") if p.suffixes == [".json"])


def made_key(record: Mapping[str, Any]) -> str | None:
    """The key that a record was made under, wherever it was taken over; None if it does not say."""
    environment = record["environment"]
    key = environment.get("reused_key", environment.get("key"))
    return None if key is None else str(key)


def publish(folder: Path, job: Job, record: Mapping[str, Any]) -> None:
    """Puts what a finished run has made into its places, the record last."""
    work = working(folder, job)
    if job.clips is not None:
        _moved(work / "clips", folder / job.clips)
    if job.curves_place is not None:
        _moved(work / "curves.json", folder / job.curves_place)
    # An earlier failure goes first: a kill in between must not leave it beside the record.
    error_path(folder / job.place).unlink(missing_ok=True)
    # Weights and pictures are not kept, so the record names none.
    write_json(folder / job.place, {**record, "files": []})
    remove(work)
    before = _before(folder, job)
    if before.exists():  # else another part may be about to put something there
        before.unlink()
        with suppress(OSError):  # what is not empty stays
            before.parent.rmdir()
            before.parent.parent.rmdir()


def _moved(made: Path, place: Path) -> None:
    if not made.exists():  # it was moved before the last kill
        return
    place.parent.mkdir(parents=True, exist_ok=True)
    remove(place)
    made.replace(place)


def write_error(folder: Path, job: Job, kind: str, said: str, *, passing: bool) -> None:
    """Says in the record's place why there is none.

    An older record of it stands if other code or libraries made it and the failure may pass, and
    nothing is said there; else it is put aside, into `BEFORE`.
    """
    path = folder / job.place
    if path.exists():
        if passing and _of_other_code(path, job):
            return
        aside = _before(folder, job)
        said = f"{said} (the record of before lies in {aside.relative_to(folder)})"
    seed = next((o.partition("=")[2] for o in job.overrides if o.startswith("seed=")), "0")
    content = {
        "schema": 1,
        "cell": path.parent.name,
        "seed": int(seed),
        "error": " ".join(said.split()),
        "kind": kind,
    }
    write_json(error_path(path), content)
    while path.exists():
        aside.parent.mkdir(parents=True, exist_ok=True)
        with suppress(FileNotFoundError):  # another part has just taken the empty folder away
            path.replace(aside)


def _of_other_code(path: Path, job: Job) -> bool:
    try:
        return _alike(read_record(path), job)
    except UserError:
        return False


def _before(folder: Path, job: Job) -> Path:
    place = Path(job.place)
    return folder / BEFORE / place.parent.name / place.name


def reuse(folder: Path, other: Path, job: Job, *, added: bool) -> Mapping[str, Any] | None:
    """Copies a job's record from another folder and marks it; the record, None without one.

    Its clips and curves come along. One that was made under another key says under which, as
    `environment.reused_key`; that of an added cell, of which no hash says what it is, is left. So
    is one of other settings or data, as a change of the protocol leaves behind, and one without the
    clips or curves that the job makes.

    Raises:
        UserError: what lies there is no record.
    """
    if not (other / job.place).is_file():
        return None
    record = read_record(_lent(other, job.place))
    made = made_key(record)
    if made != job.key and (added or not _alike(record, job)):
        return None
    if not all(place.exists() for place in beside(other, job, record)):
        return None
    lent = [place for place in (job.clips, job.curves_place) if place is not None]
    record["environment"] |= {"reused": True, "key": job.key, "reused_key": made}
    if made == job.key:
        del record["environment"]["reused_key"]
    for place in lent:
        _copied(_lent(other, place), folder / place)
    error_path(folder / job.place).unlink(missing_ok=True)
    write_json(folder / job.place, record)
    return record


def _alike(record: Mapping[str, Any], job: Job) -> bool:
    """Whether a record is of the job's settings, data and base, whatever code made it."""
    same = record["environment"].get("overrides") == list(job.overrides)
    return same and record["data"]["split_hash"] in ("", job.split_hash) and upon(record, job)


def upon(record: Mapping[str, Any], job: Job) -> bool:
    """Whether a record stands on the job's files of weights; older ones do not say."""
    found = record["environment"].get("based_on")
    return found is None or found == dict(job.based_on)


def _lent(other: Path, place: str) -> Path:
    """What is to be copied out of another folder, which may have come from anywhere.

    Raises:
        UserError: it, or something in it, is a link: that may lead to what nobody means to lend.
    """
    source = inside(other, place, f"reuse={other}")
    for path in (other / place, *sorted(source.rglob("*"))):
        if path.is_symlink():
            raise UserError(f"reuse={other}: {path} is a link; put the file in its place")
    return source


def _copied(source: Path, place: Path) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    with replacing(place) as beside:
        if source.is_dir():
            shutil.copytree(source, beside)
        else:
            shutil.copyfile(source, beside)
