"""What a folder holds from earlier commands: whether another may join it, and what then stands."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from attnzoo.errors import UserError
from attnzoo.paths import regular
from attnzoo.tables.folder import records_in
from attnzoo.tables.protocol import ID, Cell, Protocol, Row

PROTOCOL = "protocol.json"
AND = " && "
_NO_PROTOCOL = (
    ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError,
    IsADirectoryError,
)  # fmt: skip


@dataclass(frozen=True)
class Before:
    """What `protocol.json` says of earlier commands.

    hash, seeds: of their protocol; tables: their names; added: cells that are no part of the
    protocol; rows: those of added cells, by table.
    """

    hash: str
    seeds: tuple[int, ...]
    tables: tuple[str, ...]
    commands: tuple[str, ...]
    added: Mapping[str, Cell]
    rows: Mapping[str, tuple[Row, ...]]


def read_before(folder: Path) -> Before | None:
    """What stands in a folder; None where there is no `protocol.json`.

    Raises:
        UserError: it is none; it is named.
        OSError: it cannot be read.
    """
    path = folder / PROTOCOL
    try:
        content = json.loads(regular(path).read_text())
        added = {name: _added(name, c) for name, c in content["cells"].items() if c.get("added")}
        return Before(
            hash=str(content["hash"]),
            seeds=tuple(map(int, content["seeds"])),
            tables=tuple(content["tables"]),
            commands=tuple(str(content["command"]).split(AND)),
            added=added,
            rows={
                name: tuple(_row(row) for row in table["rows"] if row["cell"] in added)
                for name, table in content["tables"].items()
            },
        )
    except (FileNotFoundError, NotADirectoryError):
        return None
    except _NO_PROTOCOL as error:
        said = f"{type(error).__name__}: {error}"
        raise UserError(
            f"out={folder}: {path} is no protocol ({said}); give another out=, or delete it"
        ) from error


def _added(name: str, about: Mapping[str, Any]) -> Cell:
    if not ID.fullmatch(name):
        raise ValueError(f"no cell is called {name!r:.60}")
    overrides = tuple(map(str, about["overrides"]))
    chosen = {str(key): value for key, value in about["chosen"].items()}
    searched = bool(about.get("searched", True))
    return Cell(str(about["label"]), overrides, chosen=chosen, added=True, searched=searched)


def _row(row: Mapping[str, Any]) -> Row:
    group = row["group"]
    return Row(str(row["cell"]), str(row["label"]), None if group is None else str(group))


def joined(
    folder: Path, protocol: Protocol, tables: Sequence[str]
) -> tuple[Protocol, tuple[str, ...]]:
    """What stands once these tables are run in a folder: the protocol with all added rows, tables.

    Of earlier commands under the same protocol their tables stay, and their added rows that have
    records.

    Raises:
        UserError: what is there belongs to another protocol, or is of other seeds.
    """
    before = read_before(folder)
    records = records_in(folder)
    if before is not None and before.hash != protocol.hash():
        if records:
            raise UserError(
                f"out={folder}: its records are of the protocol {before.hash[:12]}, this one is "
                f"{protocol.hash()[:12]}; give another out=, or delete it ({PROTOCOL} alone, if "
                "runs that have not changed are to stand)"
            )
        before = None
    if before is None:
        return protocol, tuple(tables)
    there = {path.parent.name for path in records}
    carried = [name for name in before.added if name in there and _free(protocol, name)]
    _check_seeds(folder, before, carried, protocol, tables)
    together = tuple(t for t in protocol.tables if t in before.tables or t in tables)
    return with_added(protocol, before, carried), together


def _free(protocol: Protocol, name: str) -> bool:
    """Whether the protocol itself has no cell of this name."""
    return name not in protocol.cells or protocol.cells[name].added


def _check_seeds(
    folder: Path, before: Before, carried: Iterable[str], protocol: Protocol, tables: Sequence[str]
) -> None:
    """UserError where rows of one table would be means over different seeds."""
    own, theirs = set(protocol.seeds), set(before.seeds)
    standing = {name for name in before.tables if name in protocol.tables}
    whole = standing <= {*tables} and {*carried} <= {*protocol.only(tables)}
    if own == theirs or (own > theirs and whole):
        return
    raise UserError(
        f"out={folder}: what is there is of seeds {_listed(before.seeds)}, this command's are "
        f"{_listed(protocol.seeds)}; give the same, or more and all that is there "
        f"({_listed(sorted({*standing, *carried}))}), or another out="
    )


def _listed(values: Iterable[object]) -> str:
    return ", ".join(map(str, values))


def with_added(protocol: Protocol, before: Before, cells: Iterable[str]) -> Protocol:
    """The protocol with these added cells of before and their rows, ahead of its own added ones."""
    carried = [name for name in cells if _free(protocol, name)]
    tables = {}
    for name, table in protocol.tables.items():
        earlier = [row for row in before.rows.get(name, ()) if row.cell in carried]
        again = {row.cell for row in earlier}
        fixed = [row for row in table.rows if not protocol.cells[row.cell].added]
        added = [row for row in table.rows if protocol.cells[row.cell].added]
        rest = [row for row in added if row.cell not in again]
        tables[name] = replace(table, rows=(*fixed, *earlier, *rest))
    # What this command itself says of a cell counts.
    more = {name: before.added[name] for name in carried if name not in protocol.cells}
    return replace(protocol, cells={**protocol.cells, **more}, tables=tables)


def described(
    folder: Path, protocol: Protocol, tables: Sequence[str], command: str, *, part: bool
) -> dict[str, Any]:
    """`protocol.json` of what `joined` has returned, with the commands that have made it.

    part: this is a share of the command, which says nothing of commands where one stands.

    Raises:
        UserError: what is there is no `protocol.json`.
    """
    before = read_before(folder)
    same = before is not None and before.hash == protocol.hash()
    commands = [*before.commands] if before is not None and same else []
    if command not in commands and not (part and commands):
        commands.append(command)
    return protocol.described(tables, AND.join(commands))


def check_same_protocol(other: Path, own: str) -> None:
    """UserError unless the results in `other` were made under the protocol with the hash `own`."""
    path = other / PROTOCOL
    try:
        theirs = json.loads(regular(path).read_text())["hash"]
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
