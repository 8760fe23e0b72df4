"""Whether records belong where they lie: a copied file would be counted as another run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attnzoo.errors import UserError

if TYPE_CHECKING:
    from attnzoo.report.folder import Cell


@dataclass(frozen=True)
class File:
    """A record's file, what is in it, and the cell and seed in whose place it lies."""

    path: Path
    record: Mapping[str, Any]
    cell: Cell
    seed: int


def check_places(files: Sequence[File], settings: Mapping[str, Any]) -> None:
    """UserError unless each record is that of its cell and seed.

    Its variant, its seed, and, where it says from what it was composed, all that the protocol sets:
    `settings`, common to all, the cell's overrides and what a search has chosen.
    """
    for file in files:
        cell, record = file.cell, file.record
        for name, own in (("seed", file.seed), ("variant", cell.attn)):
            if record[name] != own:
                raise UserError(
                    f"{file.path}: its {name} is {record[name]}, and cell {cell.id}, seed "
                    f"{file.seed} has {own}: it belongs into another place, or is another run's"
                )
        overrides = record["environment"].get("overrides")
        if overrides is not None:
            _check_settings(file, overrides, settings)


def _check_settings(file: File, overrides: Any, settings: Mapping[str, Any]) -> None:
    if not isinstance(overrides, list):
        raise UserError(f"{file.path}: its overrides are {overrides!r:.60}, not a list")
    made = _set_by(map(str, overrides))
    asked = {
        **_set_by(f"{key}={value}" for key, value in settings.items()),
        **_set_by(file.cell.overrides),
        **file.cell.chosen,
        "seed": str(file.seed),
    }
    for key, value in asked.items():
        if made.get(key) != value:
            raise UserError(
                f"{file.path}: made with {key}={made.get(key, 'its default')}, and protocol.json "
                f"says {key}={value} of cell {file.cell.id}: the table would compare other "
                "settings; make it anew by the command that the protocol names"
            )


def check_data(files: Sequence[File]) -> None:
    """UserError where cells of the same settings of data were made from other data."""
    first: dict[tuple[str, ...], File] = {}
    for file in files:
        if not _split(file):  # an older record may not know it
            continue
        own = _set_by(file.cell.overrides)
        kind = tuple(f"{k}={v}" for k, v in own.items() if k == "data" or k.startswith("data."))
        other = first.setdefault(kind, file)
        if _split(other) != _split(file):
            raise UserError(
                f"{file.path}: made from other data (split {_split(file):.12}) than {other.path} "
                f"({_split(other):.12}): they cannot stand in one table"
            )


def _split(file: File) -> str:
    return str(file.record["data"]["split_hash"] or "")


def _set_by(overrides: Iterable[str]) -> dict[str, str]:
    """The last value of each setting, by its name."""
    parts = (override.partition("=") for override in overrides)
    return {name.lstrip("+"): value for name, _, value in parts}
