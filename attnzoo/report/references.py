"""Which row each row of a table is tested against, and all these comparisons by families."""

from __future__ import annotations

from attnzoo.report.folder import Folder, TableRows
from attnzoo.report.folder import Row as TableRow
from attnzoo.report.pairs import Family
from attnzoo.report.published import role

REFERENCES = {
    "table1": "none",
    "table2": "stsa [4,4,4]",
    "table3": "stsa [4,4,4]",
    "table4": "none",
}
"""The row that others are tested against, as the paper speaks of it, by its `role`."""

NOISE_CAMERA = "table6"
_MAIN = "table1"

Corner = tuple[str, str]
"""Noise and camera."""


def references(folder: Folder, rows: TableRows) -> list[int]:
    """For each row, the place of the row that it is tested against; its own, of that row itself.

    The one named above; in other tables the row of the same group and variant that the first table
    has, too, or else the first of them. A row that was added is tested against one of the
    protocol's of its variant, or any, and is nobody's reference.
    """
    roles = [role(folder.cells[row.cell]) for row in rows.rows]
    named = REFERENCES.get(rows.name)
    if named is not None:
        return [roles.index(named) if named in roles else 0] * len(roles)
    main = {row.cell for row in folder.tables[_MAIN].rows} if _MAIN in folder.tables else set()
    alike = [_alike(folder, rows, row) for row in rows.rows]
    return [next((i for i in own if rows.rows[i].cell in main), own[0]) for own in alike]


def _alike(folder: Folder, rows: TableRows, row: TableRow) -> list[int]:
    """The places of the rows that a row may be tested against."""
    own = folder.cells[row.cell]
    cells = [folder.cells[other.cell] for other in rows.rows]
    places = [i for i, cell in enumerate(cells) if not cell.added] or list(range(len(cells)))
    same = [i for i in places if cells[i].attn == own.attn]
    if own.added:
        return same or places
    return [i for i in same if rows.rows[i].group == row.group]


def corner(folder: Folder, cell: str) -> Corner:
    """Noise and camera of a cell."""
    setting = folder.cells[cell].setting
    return setting("noise", "shared"), setting("camera", "still")


def kind(folder: Folder, cell: str) -> str:
    """The variant of a cell, `mixed` for modules of which only some are aligned.

    A cell that was added has a name of its own.
    """
    found = folder.cells[cell]
    if found.added:
        return f"added: {found.id}"
    return "mixed" if found.setting("aligned", "all") != "all" else found.attn


def comparisons(folder: Folder, name: str) -> list[tuple[str, str]]:
    """Each row of a table with its reference; of the sixth `none` with the same noise and camera.

    Of the fourth, whose rows are the first's, those of the first kind.
    """
    rows = folder.tables[name]
    if name == NOISE_CAMERA:
        cells = [row.cell for row in rows.rows]
        bare = {corner(folder, cell): cell for cell in cells if kind(folder, cell) == "none"}
        pairs = [(cell, bare.get(corner(folder, cell), cell)) for cell in cells]
    else:
        against = references(folder, rows)
        pairs = [(row.cell, rows.rows[i].cell) for row, i in zip(rows.rows, against, strict=True)]
    return [pair for pair in pairs if pair[0] != pair[1]]


def families(folder: Folder) -> list[Family]:
    """Comparisons whose seeds vary alike: of tables of variants, of settings of one, of the sixth.

    Settings of one variant train nearly alike and vary by far less: those of tables whose rows
    stand in groups, or are of one variant. Rows that were added are no part of a family: they
    change nobody else's test.
    """
    tables: dict[str, list[str]] = {}
    for name, table in folder.tables.items():
        own = [row for row in table.rows if not folder.cells[row.cell].added]
        grouped = any(row.group is not None for row in own)
        cells = [folder.cells[row.cell] for row in own]
        alike = len({(cell.attn, cell.setting("method", "video")) for cell in cells}) == 1
        settings = grouped or alike
        kind_of = name if name == NOISE_CAMERA else "settings" if settings else "variants"
        tables.setdefault(kind_of, []).append(name)
    found = []
    for names in tables.values():
        pairs = (pair for name in names for pair in comparisons(folder, name))
        known = (p for p in dict.fromkeys(pairs) if not any(folder.cells[c].added for c in p))
        found.append(Family(tuple(names), tuple(known)))
    return [family for family in found if family.pairs]
