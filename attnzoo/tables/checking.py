"""Whether results come from the protocol: what stands in a folder against what would be run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from attnzoo.errors import UserError
from attnzoo.tables.folder import beside, error_path, made_key, records_in, upon
from attnzoo.tables.jobs import Job, jobs_of
from attnzoo.tables.joining import PROTOCOL, Before, read_before, with_added
from attnzoo.tables.protocol import Protocol
from attnzoo.tables.search import CHOSEN, chosen_there, searched
from attnzoo.tables.settings import Settings
from attnzoo.train.record import read_record

NAMED = 4
"""So many of what differs are named."""
OTHER_CODE = "made with other code or libraries"
SETTINGS, DATA = "other settings than the protocol's", "other data than the protocol's"
BASE = "upon other weights than the protocol's"
MISSING, FAILED, LEFT = "missing", "failed", "not of the protocol"
ALONE = "without its clips or curves"
CHOICE = f"settings that are not those of {CHOSEN}"
KINDS = (SETTINGS, DATA, BASE, MISSING, ALONE, FAILED, LEFT, CHOICE, OTHER_CODE)


def check(settings: Settings) -> bool:
    """Prints how what stands in `out` differs from the protocol; whether it comes from it.

    Nothing is run or written. Other code or libraries are told and do not count: results outlive
    edits. Looked at are the tables that stand there, or those that were asked for.

    Raises:
        UserError: there are no results, or a file there cannot be read.
    """
    before = read_before(settings.out)
    if before is None:
        raise UserError(
            f"out={settings.out}: no {PROTOCOL} can be read there; "
            "give a folder that attnzoo.tables has written"
        )
    headings = _headings(before, settings.protocol)
    protocol = with_added(settings.protocol, before, before.added)
    standing = [name for name in before.tables if name in protocol.tables]
    cells = protocol.only(settings.tables if settings.named else standing)
    jobs = jobs_of(protocol, cells)
    found = differences(settings.out, jobs, whole=not settings.named)
    found[CHOICE] = _not_chosen(settings.out, protocol)
    for line in (*headings, *(_line(kind, found[kind]) for kind in KINDS if found.get(kind))):
        print(line)
    fine = not headings and not any(names for kind, names in found.items() if kind != OTHER_CODE)
    said = "comes from" if fine else "does not come from"
    print(f"{settings.out}: {len(jobs)} runs of {len(cells)} cells, {said} the protocol")
    return fine


def _headings(before: Before, protocol: Protocol) -> list[str]:
    """What `protocol.json` itself has differently."""
    lines = []
    if before.hash != protocol.hash():
        lines.append(
            f"hash: {before.hash[:12]} in {PROTOCOL}, {protocol.hash()[:12]} of the protocol"
        )
    if set(before.seeds) != set(protocol.seeds):
        there, own = (", ".join(map(str, seeds)) for seeds in (before.seeds, protocol.seeds))
        lines.append(f"seeds: {there} in {PROTOCOL}, {own} of the protocol")
    unknown = [name for name in before.tables if name not in protocol.tables]
    if unknown:
        lines.append(f"tables: {', '.join(unknown)} in {PROTOCOL}, and not in the protocol")
    return lines


def differences(folder: Path, jobs: Sequence[Job], *, whole: bool) -> dict[str, list[str]]:
    """By kind, the runs whose records are not what the jobs would make.

    whole: these are all jobs that there are, so that records of other cells belong to nobody.
    """
    found: dict[str, list[str]] = {}
    for job in jobs:
        kind = _kind(folder, job)
        if kind is not None:
            found.setdefault(kind, []).append(job.name)
    places = {folder / job.place for job in jobs}
    cells = {path.parent for path in places}
    left = [p for p in records_in(folder) if p not in places and (whole or p.parent in cells)]
    return found | ({LEFT: [str(p.relative_to(folder)) for p in left]} if left else {})


def _kind(folder: Path, job: Job) -> str | None:
    """In what a job's record differs, None where it does not."""
    path = folder / job.place
    if error_path(path).is_file():
        return FAILED
    if not path.is_file():
        return MISSING
    record = read_record(path)
    if record["environment"].get("overrides") != list(job.overrides):
        return SETTINGS
    if record["data"]["split_hash"] not in ("", job.split_hash):
        return DATA
    if not upon(record, job):
        return BASE
    if not all(place.exists() for place in beside(folder, job, record)):
        return ALONE
    return None if made_key(record) == job.key else OTHER_CODE


def _not_chosen(folder: Path, protocol: Protocol) -> list[str]:
    """The cells of which the search in the folder has chosen other settings."""
    there = chosen_there(folder)
    own = [name for name, cell in protocol.cells.items() if not cell.added]
    return [
        name
        for name in searched(protocol, own)
        if name in there and _texts(protocol.cells[name].chosen) != _texts(there[name])
    ]


def _texts(chosen: object) -> object:
    return {k: str(v) for k, v in chosen.items()} if isinstance(chosen, dict) else chosen


def _line(kind: str, names: Sequence[str]) -> str:
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return f"{kind}: {len(names)}: {'; '.join(names[:NAMED])}{more}"
