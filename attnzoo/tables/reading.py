"""Protocols from files.

A file is YAML and has the fields of `Protocol`, and `grids`: tables of all combinations of some
settings. `base: NAME` takes over what another file of the same folder says; of that, mappings are
merged key by key, and lists and values replaced.
"""

from __future__ import annotations

import itertools
import reprlib
from collections import Counter
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import MISSING, fields, replace
from pathlib import Path
from typing import Any

from attnzoo._options import suggestion
from attnzoo.errors import UserError
from attnzoo.report import TAKEN
from attnzoo.tables.protocol import ID, Cell, Curves, Protocol, Row, Search, Table
from attnzoo.tables.reserved import check_protocol
from attnzoo.train.settings import TIMES
from attnzoo.yaml_files import read_yaml

LONGEST = 200
"""Letters of a name: disks take 255, of which endings and what is half-written need some."""


def read_protocol(path: Path, chosen: Path | None = None) -> Protocol:
    """The protocol in a file, with the searched settings in the file `chosen`.

    Raises:
        UserError: a file that cannot be read, or says what no protocol can.
    """
    content = _content(path)
    found = {} if chosen is None else _yaml(chosen)
    try:
        protocol = _protocol(content)
        protocol = replace(protocol, cells=_with_chosen(protocol.cells, found))
        check_protocol(protocol)
        return protocol
    except UserError as error:
        raise UserError(f"{path}: {error}") from error


def _content(path: Path, over: Sequence[str] = ()) -> dict[str, Any]:
    content = _yaml(path)
    base = content.pop("base", None)
    if base is None:
        return content
    if not isinstance(base, str) or not ID.fullmatch(base):
        raise UserError(
            f"{path}: base: must name a file beside it, without .yaml, not {_said(base)}"
        )
    if base in (path.stem, *over):
        raise UserError(f"{path}: base: {base} is based on this file itself")
    return _merged(_content(path.with_name(f"{base}.yaml"), (path.stem, *over)), content)


def _merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in over.items():
        both = isinstance(value, Mapping) and isinstance(base.get(key), Mapping)
        merged[key] = _merged(base[key], value) if both else value
    return merged


def _yaml(path: Path) -> dict[str, Any]:
    content = read_yaml(path)
    if not isinstance(content, dict):
        raise UserError(f"{path}: must hold keys with values")
    return content


def _protocol(content: Mapping[str, Any]) -> Protocol:
    content = dict(content)
    grids = content.pop("grids", {})
    _check_keys("protocol", content, Protocol)
    cells = {name: _cell(name, value) for name, value in _map("cells", content["cells"])}
    tables = {name: _table(name, value) for name, value in _map("tables", content["tables"])}
    for name, value in _map("grids", grids):
        made, table = _grid(name, value)
        _refuse_taken(f"grids.{name}", "a table", [name], tables)
        _refuse_taken(f"grids.{name}", "a cell", made, cells)
        cells |= made
        tables[name] = table
    clips = _integers("clips", [content["clips"]], 1)[0]
    protocol = Protocol(
        name=_text("name", content["name"]),
        seeds=_integers("seeds", content["seeds"], 0),
        clips=clips,
        settings=_settings("settings", content["settings"]),
        cells=cells,
        tables=tables,
        curves=_curves(content.get("curves", {}), clips),
        search=_search(content.get("search", {})),
        profile_rounds=_integers("profile_rounds", [content.get("profile_rounds", 5)], 1)[0],
    )
    _check_names(protocol)
    return protocol


def _refuse_taken(place: str, kind: str, names: Iterable[str], taken: Container[str]) -> None:
    """UserError where a name would take another's place."""
    for name in names:
        if name in taken:
            raise UserError(f"{place}: there is {kind} {name!r} already; take another name")


def _check_names(protocol: Protocol) -> None:
    """UserError where a name that is used is nobody's."""
    used = [
        *((f"tables.{t}", row.cell) for t, table in protocol.tables.items() for row in table.rows),
        *((f"cells.{name}.like", c.like) for name, c in protocol.cells.items() if c.like),
        *(("curves.cells", name) for name in protocol.curves.cells),
    ]
    for place, name in used:
        if name not in protocol.cells:
            raise UserError(f"{place}: no cell {name!r}{suggestion(str(name), protocol.cells)}")
    for name, cell in protocol.cells.items():
        other = None if cell.like is None else protocol.cells[cell.like].like
        if other not in (None, cell.like):  # followed once, it would have nobody's settings
            raise UserError(f"cells.{name}.like: {cell.like} is like {other} itself; name {other}")


def _cell(name: str, value: Any) -> Cell:
    place = _named(f"cells.{name}", name, "cell")
    _check_keys(place, value, Cell, without=("chosen", "fixed", "added"))
    like = value.get("like")
    if like is not None:
        _text(f"{place}.like", like)
    overrides = _texts(f"{place}.overrides", value["overrides"])
    return Cell(
        _text(f"{place}.label", value["label"]), overrides, None if like is None else str(like)
    )


def _table(name: str, value: Any) -> Table:
    _check_keys(_free(f"tables.{name}", name), value, Table)
    rows = []
    if not isinstance(value["rows"], list) or not value["rows"]:
        raise UserError(f"tables.{name}.rows: must be a list of cells, not {_said(value['rows'])}")
    for row in value["rows"]:
        given = {"cell": row} if isinstance(row, str) else row
        _check_keys(f"tables.{name}.rows", given, Row)
        for key, one in given.items():
            if not isinstance(one, str | None) or (key == "cell" and not one):
                raise UserError(f"tables.{name}.rows: {key} must be a text, not {_said(one)}")
        rows.append(Row(**given))
    for (cell, _), count in Counter((row.cell, row.group) for row in rows).items():
        if count > 1:
            raise UserError(f"tables.{name}.rows: {cell} stands twice in one group; name it once")
    title, alone = _text(f"tables.{name}.title", value["title"]), value.get("alone", False)
    if not isinstance(alone, bool):
        raise UserError(f"tables.{name}.alone: must be true or false, not {_said(alone)}")
    return Table(title, tuple(rows), alone)


def _grid(name: str, value: Any) -> tuple[dict[str, Cell], Table]:
    """A table of all combinations: `axes` by name, of each its values with label and overrides.

    A cell is called by the table's name and its values'; the last axis makes the rows of a group.
    Without `like` it has the grid's own settings alone, and is not searched.
    """
    place = _free(f"grids.{name}", name)
    given = dict(_map(place, value))
    unknown = sorted(set(given) - {"title", "settings", "axes"})
    if unknown or not given.get("axes") or "title" not in given:
        raise UserError(f"{place}: title, settings and axes are needed, not {sorted(given)}")
    common = _texts(f"{place}.settings", value.get("settings", []))
    cells: dict[str, Cell] = {}
    rows = []
    several = _map(f"{place}.axes", value["axes"])
    axes = [list(_map(f"{place}.axes.{axis}", v)) for axis, v in several]
    for point in itertools.product(*axes):
        cell = "-".join([name, *(key for key, _ in point)])
        values = [_cell(key, one) for key, one in point]
        _named(place, cell, "cell")
        likes = list(dict.fromkeys(one.like for one in values if one.like))
        if len(likes) > 1:
            raise UserError(f"{place}: {cell} would be like {' and '.join(likes)}; name one")
        like = likes[0] if likes else None
        overrides = [text for one in values for text in one.overrides]
        label = ", ".join(one.label for one in values)
        _refuse_taken(place, "a cell", [cell], cells)
        cells[cell] = Cell(label, (*common, *overrides), like, fixed=like is None)
        rows.append(Row(cell, values[-1].label, ", ".join(one.label for one in values[:-1])))
    return cells, Table(_text(f"{place}.title", value["title"]), tuple(rows), alone=True)


def _named(place: str, name: str, what: str) -> str:
    """The place, if a file or folder can be called by the name."""
    if not ID.fullmatch(name):
        raise UserError(f"{place}: a {what}'s name has letters, digits and _.=,- alone")
    if len(name) > LONGEST:
        raise UserError(f"{place}: a {what}'s name has at most {LONGEST} letters, not {len(name)}")
    return place


def _free(place: str, name: str) -> str:
    """Likewise of a table, which may not be called as what the report writes beside it."""
    if name in TAKEN:
        raise UserError(f"{place}: the report has a file of that name; call the table otherwise")
    return _named(place, name, "table")


def _curves(value: Any, clips: int) -> Curves:
    """clips: those that a seed is scored on, of which curves show some or all."""
    _check_keys("curves", value, Curves)
    default = Curves()
    found = Curves(
        cells=_texts("curves.cells", value.get("cells", [])),
        clips=_integers("curves.clips", [value.get("clips", default.clips)], 1)[0],
        denoising=_integers("curves.denoising", value.get("denoising", default.denoising), 1),
        training=_shares("curves.training", value.get("training", default.training)),
    )
    if max(found.denoising) > TIMES:
        raise UserError(f"curves.denoising: {max(found.denoising)}: must be at most {TIMES} steps")
    if "clips" in value and found.cells and found.clips > clips:
        raise UserError(f"curves.clips: {found.clips}: a seed is scored on {clips}, the most")
    return found


def _search(value: Any) -> Search:
    _check_keys("search", value, Search)
    own = {
        name: _tries(f"search.own.{name}", several)
        for name, several in _map("search.own", value.get("own", {}))
    }
    return Search(
        _texts("search.common", value.get("common", [])),
        _tries("search.settings", value.get("settings", [])),
        own,
        _integers("search.seeds", [value.get("seeds", 1)], 1)[0],
    )


def _tries(place: str, value: Any) -> tuple[tuple[str, ...], ...]:
    if not isinstance(value, list):
        raise UserError(f"{place}: must be a list of lists of texts, not {_said(value)}")
    return tuple(_texts(place, one) for one in value)


def _with_chosen(cells: Mapping[str, Cell], chosen: Mapping[str, Any]) -> dict[str, Cell]:
    for name in chosen:
        if name not in cells:
            raise UserError(f"chosen settings of no cell: {name!r}{suggestion(name, cells)}")
    for name, value in chosen.items():
        _map(f"chosen settings of {name}", value)
        if (like := cells[name].like) not in (None, name):
            raise UserError(f"chosen settings of {name}: it takes those of {like}; take them out")
    return {
        name: replace(cell, chosen=dict(chosen.get(cell.like or name, {})))
        for name, cell in cells.items()
    }


def _check_keys(place: str, value: Any, kind: type, without: Sequence[str] = ()) -> None:
    """UserError unless `value` has the fields of a dataclass, and all that have no default."""
    if not isinstance(value, Mapping):
        raise UserError(f"{place}: must hold keys with values, not {_said(value)}")
    known = {f.name: f for f in fields(kind) if f.name not in without}
    for key in value:
        if key not in known:
            raise UserError(f"{place}: unknown key {key!r}{suggestion(str(key), known)}")
    for name, one in known.items():
        needed = one.default is MISSING and one.default_factory is MISSING
        if needed and name not in value:
            raise UserError(f"{place}: lacks {name}")


def _map(place: str, value: Any) -> list[tuple[str, Any]]:
    if not isinstance(value, Mapping):
        raise UserError(f"{place}: must hold names with values, not {_said(value)}")
    named = [(str(name), one) for name, one in value.items()]
    for name, count in Counter(name for name, _ in named).items():
        if count > 1:  # 1 and "1", of a file and of the one that it is based on
            raise UserError(f"{place}: {name!r} stands there twice, as a number and as a text")
    return named


def _said(value: Any) -> str:
    """A value in short; what aliases have made of it may be larger than any memory."""
    return reprlib.repr(value)


def _shares(place: str, value: Any) -> tuple[float, ...]:
    # Not isinstance: true is an int, too.
    numbers = isinstance(value, list | tuple) and all(type(v) in (int, float) for v in value)
    if not numbers or not all(0 < one <= 1 for one in value):
        raise UserError(f"{place}: must be numbers above 0 up to 1, not {_said(value)}")
    return tuple(map(float, value))


def _settings(place: str, value: Any) -> tuple[str, ...]:
    for text in (found := _texts(place, value)):
        if "=" not in text:
            raise UserError(f"{place}: {text!r} is no key=value")
    return found


def _texts(place: str, value: Any) -> tuple[str, ...]:
    if not isinstance(value, list | tuple) or not all(isinstance(one, str) for one in value):
        raise UserError(f"{place}: must be a list of texts, not {_said(value)}")
    return tuple(value)


def _text(place: str, value: Any) -> str:
    if not isinstance(value, str | int | float) or isinstance(value, bool):
        raise UserError(f"{place}: must be a text, not {_said(value)}")
    return str(value)


def _integers(place: str, value: Any, least: int) -> tuple[int, ...]:
    """One or more different integers."""
    fine = isinstance(value, list | tuple) and value and all(type(one) is int for one in value)
    if not fine or min(value) < least or len(set(value)) < len(value):
        raise UserError(f"{place}: must be different integers from {least} on, not {_said(value)}")
    return tuple(value)
