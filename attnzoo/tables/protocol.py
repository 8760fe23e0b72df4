"""A protocol: what is compared with what, fixed before anything is run."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.=,-]*")
"""What a cell may be called: it is a folder's name, too."""


@dataclass(frozen=True)
class Cell:
    """One setting that is run with every seed.

    label: what tables call it; overrides: those of `python -m attnzoo.run`; like: the cell whose
    searched settings it takes, None for its own; chosen: those settings; fixed: it is of a grid,
    whose settings it has, and is not searched; added: it is no part of the protocol but was added
    on the command line; searched: of one that was added, whether a search has chosen its settings.
    """

    label: str
    overrides: tuple[str, ...]
    like: str | None = None
    chosen: Mapping[str, Any] = field(default_factory=dict)
    fixed: bool = False
    added: bool = False
    searched: bool = True

    @property
    def attn(self) -> str:
        """The variant that the overrides name."""
        named = [text.partition("=")[2] for text in self.overrides if text.startswith("attn=")]
        return named[-1] if named else "stsa"


@dataclass(frozen=True)
class Row:
    """A row of a table: a cell, under a label of its own (None: the cell's), in a group."""

    cell: str
    label: str | None = None
    group: str | None = None


@dataclass(frozen=True)
class Table:
    """A table; alone: it has settings of its own and is run only when asked for by name."""

    title: str
    rows: tuple[Row, ...]
    alone: bool = False


@dataclass(frozen=True)
class Curves:
    """Scores over steps, of the first seed.

    cells: of which; clips: of how many of the scored clips; denoising: numbers of sampling steps;
    training: shares of stage 1 after which the averaged weights are tried.
    """

    cells: tuple[str, ...] = ()
    clips: int = 4
    denoising: tuple[int, ...] = (2, 5, 10, 20)
    training: tuple[float, ...] = (0.25, 0.5, 0.75)


@dataclass(frozen=True)
class Search:
    """The budget of every cell's search: runs with each of its settings on the validation part.

    seeds: how many runs each setting gets, with seeds that follow the protocol's; common: overrides
    behind the protocol's own that make these runs shorter; settings: those of every cell; own:
    further ones by variant, of each variant as many; a variant that it does not name has those of
    `none`.
    """

    common: tuple[str, ...] = ()
    settings: tuple[tuple[str, ...], ...] = ()
    own: Mapping[str, tuple[tuple[str, ...], ...]] = field(default_factory=dict)
    seeds: int = 1

    def of(self, cell: str, attn: str) -> tuple[tuple[str, ...], ...]:
        """What is tried of a cell: `own` names it, or its variant, or it has those of `none`."""
        own = self.own
        return self.settings + own.get(cell, own.get(attn, own.get("none", ())))


@dataclass(frozen=True)
class Protocol:
    """What is run.

    seeds: each seed is scored on its own share of the test clips; clips: how many that is;
    settings: overrides of every cell; cells, tables: by their names; profile_rounds: timed rounds
    of a cost, 5 as `attnzoo.run` has them.
    """

    name: str
    seeds: tuple[int, ...]
    clips: int
    settings: tuple[str, ...]
    cells: Mapping[str, Cell]
    tables: Mapping[str, Table]
    curves: Curves = field(default_factory=Curves)
    search: Search = field(default_factory=Search)
    profile_rounds: int = 5

    def hash(self) -> str:
        """SHA-256 of what decides numbers: not of labels, titles, seeds, and what was added."""
        cells = {
            name: [list(cell.overrides), dict(cell.chosen)]
            for name, cell in sorted(self.cells.items())
            if not cell.added
        }
        text = json.dumps([list(self.settings), self.clips, cells], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()

    def overrides(self, cell: str, seed: int) -> list[str]:
        """Those of `python -m attnzoo.run` that make the run of a cell with a seed."""
        chosen = [f"{key}={value}" for key, value in self.cells[cell].chosen.items()]
        share = [f"seed={seed}", f"sample.clips={self.clips}", f"sample.first={seed * self.clips}"]
        return [*self.settings, *share, *self.cells[cell].overrides, *chosen]

    def first_tried(self, overrides: Sequence[str]) -> dict[str, str]:
        """What searches try first, but for what these overrides set themselves."""
        own = {text.partition("=")[0] for text in overrides}
        tried = (text.partition("=") for text in next(iter(self.search.settings), ()))
        return {key: value for key, _, value in tried if key not in own}

    def only(self, tables: Sequence[str]) -> list[str]:
        """The cells of these tables, each once, in the order of their rows."""
        return list(dict.fromkeys(row.cell for name in tables for row in self.tables[name].rows))

    def described(self, tables: Sequence[str], command: str) -> dict[str, Any]:
        """`protocol.json` of a run of these tables."""
        cells = self.only(tables)
        return {
            "schema": 1,
            "name": self.name,
            "hash": self.hash(),
            "command": command,
            "seeds": list(self.seeds),
            "clips": self.clips,
            "settings": dict(text.split("=", 1) for text in self.settings),
            "cells": {name: _described(self.cells[name]) for name in cells},
            "tables": {
                name: {
                    "title": self.tables[name].title,
                    "rows": [
                        {
                            "label": row.label or self.cells[row.cell].label,
                            "cell": row.cell,
                            "group": row.group,
                        }
                        for row in self.tables[name].rows
                    ],
                }
                for name in tables
            },
            "curves": [name for name in self.curves.cells if name in cells],
        }


def _described(cell: Cell) -> dict[str, Any]:
    about = {
        "label": cell.label,
        "overrides": list(cell.overrides),
        "attn": cell.attn,
        "chosen": dict(cell.chosen),
    }
    return about | ({"added": True, "searched": cell.searched} if cell.added else {})
