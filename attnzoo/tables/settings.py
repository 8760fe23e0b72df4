"""What the command was told, checked."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from attnzoo import config
from attnzoo._options import suggestion
from attnzoo.bench.settings import Given, path, positive, single, truth
from attnzoo.errors import UserError
from attnzoo.tables.protocol import ID, Cell, Protocol, Row
from attnzoo.tables.reading import LONGEST, read_protocol
from attnzoo.tables.reserved import check_overrides
from attnzoo.tables.search import CHOSEN as FOUND
from attnzoo.tables.search import chosen_there

OUTPUTS, QUICK = Path("outputs/tables"), Path("outputs/tables-quick")
CHOSEN = "chosen.yaml"
ADDED_TO = ("table1", "table2")
"""The tables in which an added variant gets a row, where the protocol has them."""

MOST_SEEDS, MOST_PROCESSES = 10_000, 1024
MOST_DIGITS = 12
"""Of both numbers of `part=`."""

SETTINGS = (
    "out", "quick", "six", "only", "seeds", "workers", "threads", "search", "add", "reuse", "part",
    "protocol", "check",
)  # fmt: skip


@dataclass(frozen=True)
class Settings:
    """One command.

    protocol: with what was added; tables: which of its tables; named: they were asked for; workers,
    threads: processes, and threads of torch in each (None: torch's own choice); search: chooses
    settings and runs no table; check: looks at what is there, and does nothing; reuse: a folder of
    earlier results; part: this command's share of the runs, number and count.
    """

    protocol: Protocol
    tables: tuple[str, ...]
    named: bool
    out: Path
    workers: int
    threads: int | None
    search: bool
    check: bool
    reuse: Path | None
    part: tuple[int, int] | None
    plugins: tuple[str, ...]
    command: str

    @property
    def cells(self) -> list[str]:
        """Those of the tables, each once; of a search for added ones these alone."""
        cells = self.protocol.only(self.tables)
        added = [name for name in cells if self.protocol.cells[name].added]
        return added if self.search and added else cells


def settings_of(given: Given, plugins: Sequence[str], command: str) -> Settings:
    """What was typed, checked.

    Raises:
        UserError: an unknown key, or a value that cannot be.
    """
    for key in given:
        if key not in SETTINGS:
            raise UserError(f"unknown setting {key!r}{suggestion(key, SETTINGS)}")
    search, check = truth(given, "search"), truth(given, "check")
    for key in ("search", "add", "reuse", "part"):
        if check and key in given:
            raise UserError(f"check=, {key}=: give one of them")
    protocol = _protocol(given)
    tables = _tables(given, protocol)
    out = path(given, "out") or (QUICK if truth(given, "quick") else OUTPUTS)
    variants = _texts(given, "add")
    # A search chooses anew, whatever an earlier one chose.
    chosen = {} if search or not variants else chosen_there(out)
    added = _added(variants, chosen, out, protocol)
    protocol = _with(protocol, added, tables)
    threads = positive(given, "threads", None)
    gpu = torch.cuda.is_available()
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    workers = positive(given, "workers", None)
    for key, value in (("workers", workers), ("threads", threads)):
        if value is not None and value > MOST_PROCESSES:
            raise UserError(f"{key}={value}: at most {MOST_PROCESSES}")
    if workers is None:
        # Several processes of several threads stall each other; a GPU is one process's.
        workers = 1 if gpu else max(1, (cores or 1) // (threads or 1))
    return Settings(
        protocol=protocol,
        tables=tables,
        named="only" in given or truth(given, "six"),
        out=out,
        workers=workers,
        threads=threads or (None if gpu else 1),
        search=search,
        check=check,
        reuse=path(given, "reuse"),
        part=_part(single(given, "part", None)),
        plugins=tuple(plugins),
        command=command,
    )


def _protocol(given: Given) -> Protocol:
    """The file's, with as many seeds as were asked for."""
    file = path(given, "protocol", suffix=".yaml")
    if file is not None and "quick" in given:
        raise UserError("quick=, protocol=: give one of them")
    if file is None:
        name = "quick" if truth(given, "quick") else "full"
        file = config.experiments() / config.PROTOCOLS / f"{name}.yaml"
    chosen = file.with_name(CHOSEN)
    protocol = read_protocol(file, chosen if os.path.lexists(chosen) else None)
    seeds = positive(given, "seeds", None)
    if seeds is not None and seeds > MOST_SEEDS:
        raise UserError(f"seeds={seeds}: at most {MOST_SEEDS}")
    if seeds is None:
        return protocol
    # From the protocol's first on: seeds before it may be of clips that have been looked at.
    first = min(protocol.seeds)
    return replace(protocol, seeds=tuple(range(first, first + seeds)))


def _tables(given: Given, protocol: Protocol) -> tuple[str, ...]:
    """Those asked for, or all that do not stand alone; with `six` the sixth."""
    six = truth(given, "six")
    if six and "only" in given:
        raise UserError("six=, only=: give one of them")
    several = given.get("only", ())
    if any(isinstance(name, tuple) for name in several):
        raise UserError("only=[...]: no list; several tables are given as only=table1,table2")
    wanted = ["table6"] if six else [str(name) for name in several]
    for name in wanted:
        if wanted.count(name) > 1:
            raise UserError(f"only={','.join(wanted)}: {name} stands there twice; name it once")
        if name not in protocol.tables:
            raise UserError(f"only={name}: no such table{suggestion(name, protocol.tables)}")
    return tuple(wanted) or tuple(n for n, table in protocol.tables.items() if not table.alone)


def _texts(given: Given, key: str) -> list[str]:
    value = single(given, key, ())
    several = [value] if isinstance(value, str) else value
    if not isinstance(several, list | tuple) or not all(isinstance(one, str) for one in several):
        raise UserError(f"{key}={value}: a list is needed, as in {key}=[NAME,'NAME option=3']")
    return list(several)


def _added(
    variants: Sequence[str], chosen: Mapping[str, Any], out: Path, protocol: Protocol
) -> dict[str, Cell]:
    """A cell for each `NAME option=value ...`, with the settings that a search in `out` chose.

    Without a search with those that are tried first: the variants' own defaults are of single runs,
    and frame positions learn far slower by them than in any row of the protocol.
    """
    cells = {}
    for text in variants:
        name, *options = text.split()
        cell = "-".join(["add", name, *options]).replace("[", "").replace("]", "")
        if not ID.fullmatch(cell):
            raise UserError(f"add={text}: must be a variant's name and options as key=value")
        if len(cell) > LONGEST:
            raise UserError(f"add={text}: at most {LONGEST} letters, not {len(cell)}")
        if cell in cells or cell in protocol.cells:
            raise UserError(f"add={text}: there is a cell {cell} already; add it once")
        label = " ".join([name, *options])
        overrides = (f"attn={name}", *options)
        if any(option.lstrip("+~").partition("=")[0] == "attn" for option in options):
            raise UserError(f"add={text}: the row is of {name}; add another variant by itself")
        check_overrides(f"add={text}", options)
        if cell in chosen:
            _check_tried(chosen[cell], protocol.search.of(cell, name), f"{out / FOUND}: {cell}")
        own = chosen.get(cell, protocol.first_tried(overrides))
        cells[cell] = Cell(label, overrides, chosen=own, added=True, searched=cell in chosen)
    return cells


def _check_tried(chosen: Mapping[str, Any], tries: Sequence[Sequence[str]], place: str) -> None:
    """UserError for settings that none of the protocol's tries has: another search chose them."""
    said = {key: str(value) for key, value in chosen.items()}
    tried = ((text.partition("=") for text in one) for one in tries)
    if said not in [{key: value for key, _, value in one} for one in tried]:
        told = " ".join(f"{key}={value}" for key, value in said.items())
        raise UserError(
            f"{place} has {told}, which the protocol's search does not try; choose anew by "
            "search=true with the same add=, or delete it there"
        )


def _with(protocol: Protocol, added: dict[str, Cell], tables: Sequence[str]) -> Protocol:
    """The protocol with rows for the added cells."""
    if not added:
        return protocol
    for name in tables:
        if protocol.tables[name].alone:
            raise UserError(
                f"add=: not to {name}, whose settings are its own; add= goes with the tables "
                f"{', '.join(n for n, table in protocol.tables.items() if not table.alone)}"
            )
    places = [name for name in tables if name in ADDED_TO] or list(tables)
    rows = tuple(Row(cell, group="added") for cell in added)
    more: dict[str, Any] = {
        name: replace(protocol.tables[name], rows=(*protocol.tables[name].rows, *rows))
        for name in places
    }
    return replace(protocol, cells={**protocol.cells, **added}, tables={**protocol.tables, **more})


def _part(value: Any) -> tuple[int, int] | None:
    if value is None:
        return None
    number, _, count = str(value).partition("/")
    known = number.isdecimal() and count.isdecimal() and len(number + count) <= MOST_DIGITS
    if not known or int(number) >= int(count):
        raise UserError(f"part={value}: must be NUMBER/COUNT, as in part=0/4 to part=3/4")
    return int(number), int(count)
