"""The folder of results: where a record lies, whether it stands, and what becomes of a failure."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from attnzoo.errors import UserError
from attnzoo.files import remove, replacing
from attnzoo.tables.jobs import Job
from attnzoo.tables.protocol import Protocol
from attnzoo.train.record import read_record

WORK = ".cells"
"""Where runs lie that are not finished, by their keys; a finished one leaves nothing there."""
PROTOCOL = "protocol.json"
AND = " && "


def write_json(path: Path, content: Any) -> None:
    """Writes plain JSON values whole or not at all; the folder is made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as beside:
        beside.write_text(json.dumps(content, indent=1, allow_nan=False) + "\n")


def working(folder: Path, job: Job) -> Path:
    """Where a job keeps its checkpoints."""
    return folder / WORK / job.key


def stands(folder: Path, job: Job) -> bool:
    """Whether the job's record is there, made under the same key."""
    path = folder / job.place
    if not path.is_file():
        return False
    try:
        return bool(read_record(path)["environment"].get("key") == job.key)
    except UserError:
        return False


def error_path(path: Path) -> Path:
    """Where the failure of a record's run lies."""
    return path.with_suffix(".error.json")


def publish(folder: Path, job: Job, record: Mapping[str, Any]) -> None:
    """Puts what a finished run has made into its places, the record last."""
    work = working(folder, job)
    if job.clips is not None:
        _moved(work / "clips", folder / job.clips)
    if job.curves_place is not None:
        _moved(work / "curves.json", folder / job.curves_place)
    # Weights and pictures are not kept, so the record names none.
    write_json(folder / job.place, {**record, "files": []})
    error_path(folder / job.place).unlink(missing_ok=True)
    remove(work)


def _moved(made: Path, place: Path) -> None:
    if not made.exists():  # it was moved before the last kill
        return
    place.parent.mkdir(parents=True, exist_ok=True)
    remove(place)
    made.replace(place)


def write_error(folder: Path, job: Job, kind: str, said: str) -> None:
    """Says in the record's place why there is none; an older record of it goes."""
    path = folder / job.place
    seed = next((o.partition("=")[2] for o in job.overrides if o.startswith("seed=")), "0")
    content = {
        "schema": 1,
        "cell": path.parent.name,
        "seed": int(seed),
        "error": " ".join(said.split()),
        "kind": kind,
    }
    write_json(error_path(path), content)
    path.unlink(missing_ok=True)


def reuse(folder: Path, other: Path, job: Job) -> bool:
    """Copies a job's record from another folder and marks it; whether there was one.

    Its clips and curves come along.

    Raises:
        UserError: what lies there is no record.
    """
    if not (other / job.place).is_file():
        return False
    record = read_record(other / job.place)
    record["environment"] |= {"reused": True, "key": job.key}
    for place in (job.clips, job.curves_place):
        if place is not None and (other / place).exists():
            _copied(other / place, folder / place)
    write_json(folder / job.place, record)
    return True


def _copied(source: Path, place: Path) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    with replacing(place) as beside:
        if source.is_dir():
            shutil.copytree(source, beside)
        else:
            shutil.copyfile(source, beside)


def described(
    folder: Path, protocol: Protocol, tables: Sequence[str], command: str, *, part: bool
) -> dict[str, Any]:
    """`protocol.json`: these tables, and those that were run here before under the same protocol.

    part: this is a share of the command, which says nothing of commands where one stands.
    """
    try:
        before = json.loads((folder / PROTOCOL).read_text())
        same = before["hash"] == protocol.hash()
        earlier, commands = list(before["tables"]), str(before["command"]).split(AND)
    except (OSError, ValueError, KeyError, TypeError):
        same, earlier, commands = False, [], []
    if not same:
        earlier, commands = [], []
    together = [name for name in protocol.tables if name in earlier or name in tables]
    if command not in commands and not (part and commands):
        commands.append(command)
    return protocol.described(together, AND.join(commands))


def check_same_protocol(other: Path, own: str) -> None:
    """UserError unless the results in `other` were made under the protocol with the hash `own`."""
    path = other / PROTOCOL
    try:
        theirs = json.loads(path.read_text())["hash"]
    except OSError as error:
        raise UserError(
            f"reuse={other}: no {PROTOCOL} can be read there ({error.strerror}); "
            "give a folder that attnzoo.tables has written"
        ) from error
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise UserError(f"reuse={other}: {path} is no protocol ({error})") from error
    if theirs != own:
        raise UserError(
            f"reuse={other}: its protocol has the hash {str(theirs)[:12]}, this one {own[:12]}; "
            "results of different protocols do not belong in one table"
        )
