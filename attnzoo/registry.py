"""The registry: a frozen record per mechanism, and the way from a name to a module.

Imports the standard library only. A mechanism is one file in `attnzoo/attention/` (or one entry
point in the group `attnzoo.attention` of an installed package, or a file given to `load_plugin`)
with one class under `register`. The class's keyword-only constructor arguments are its options:
their annotations and defaults are read from the signature and stand nowhere else.
"""

from __future__ import annotations

import dataclasses
import fnmatch
import functools
import importlib
import logging
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any, TypeVar

from attnzoo._entry import Entry, Kind
from attnzoo._imports import (
    digest,
    entry_point_fault,
    imported,
    is_typed_again,
    loaded_files,
    place_of,
    plugin_module,
)
from attnzoo._options import Option, RegistrationError, converted, cost_code, options_of, suggestion
from attnzoo._siblings import code_digest
from attnzoo.errors import UserError

__all__ = [
    "Entry",
    "Kind",
    "Option",
    "RegistrationError",
    "cost",
    "create",
    "get",
    "list_variants",
    "load_plugin",
    "preserved",
    "register",
    "schema",
    "show",
]

ENTRY_POINTS = "attnzoo.attention"
"""The entry-point group by which an installed package offers mechanisms."""

_LOG = logging.getLogger(__name__)
_PACKAGE = Path(__file__).parent
_C = TypeVar("_C", bound=type)
_SCHEMA_SUFFIX = "_options"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")


_entries: dict[str, Entry] = {}
_broken: dict[str, str] = {}
"""What is wrong with an entry point, by its name."""
_discovered = False


def register(
    name: str,
    *,
    title: str,
    source: str,
    kind: Kind,
    cost: str,
    needs_flow: bool = False,
    min_frames: int = 1,
    last_linear: str | None = None,
    modules: Sequence[Mapping[str, Any]] = ({},),
    norm: bool = True,
    every_layer: bool = False,
    sees_exactly: bool = True,
    reference: Callable[..., Any] | None = None,
    expected_failures: Mapping[str, str] | None = None,
) -> Callable[[_C], _C]:
    """Class decorator that enters a mechanism under `name`; see `Entry` for the arguments.

    The constructor is `__init__(self, channels: int, heads: int, *, option: type = default, ...)`
    with options of type bool, int, float, str, an Enum, or a tuple of those.

    Raises:
        RegistrationError: the name is taken; the signature has `*args`, `**kwargs`, an option
            without annotation or default or of another type; `modules` or `cost` use an option
            that the class does not have; an expected failure has no reason.
    """

    caller = sys._getframe(1)
    place = place_of(caller.f_code.co_filename, caller.f_lineno)

    def enter(cls: _C) -> _C:
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            raise RegistrationError(
                f"{place}: {name!r} cannot be a variant's name: letters, digits and _.- are right, "
                "since it is a choice on the command line and a folder's name"
            )
        if not isinstance(kind, Kind):
            raise RegistrationError(f"{place}: the kind is {kind!r}, must be one of attnzoo.Kind")
        if name in _entries and not is_typed_again(_entries[name].cls, cls):
            raise RegistrationError(
                f"the name {name!r} is used twice: {_entries[name].place} and {place}"
            )
        options = options_of(cls, place)
        entry = Entry(
            name=name,
            title=title,
            source=source,
            kind=kind,
            needs_flow=needs_flow,
            min_frames=min_frames,
            last_linear=last_linear,
            modules=tuple(dict(module) for module in modules),
            norm=norm,
            every_layer=every_layer,
            cost=cost,
            cls=cls,
            options=options,
            place=place,
            sha256=_code_of(caller.f_code.co_filename),
            sees_exactly=sees_exactly,
            reference=reference,
            expected_failures=dict(expected_failures or {}),
        )
        for check, reason in entry.expected_failures.items():
            if not reason.strip():
                raise RegistrationError(f"{place}: the expected failure of {check!r} has no reason")
        for key in sorted(entry.fixed):
            if key not in {option.name for option in options}:
                raise RegistrationError(
                    f"{place}: modules fixes {key!r}, which is no option of {cls.__name__}"
                )
        _cost_code(entry)
        _entries[name] = entry
        return cls

    return enter


def _code_of(file: str) -> str | None:
    """Of a plug-in with what it imports from beside it; all of the package have its version."""
    return digest(file) if Path(file).is_relative_to(_PACKAGE) else code_digest(file)


def get(name: str) -> Entry:
    """The record of a mechanism.

    Raises:
        UserError: there is none of that name; says which there are, the nearest first.
    """
    _discover()
    if name not in _entries and name in _broken:
        raise UserError(_broken[name])
    if name not in _entries:
        raise UserError(f"unknown variant {name!r}{suggestion(name, _entries)}")
    return _entries[name]


def list_variants(pattern: str = "*") -> list[str]:
    """Sorted names that match a glob, all without one."""
    _discover()
    return sorted(fnmatch.filter(_entries, pattern))


def schema(name: str) -> type:
    """The configuration of a mechanism as a dataclass: `name` and every option that is free."""
    return _schema(get(name))


@functools.cache
def _schema(entry: Entry) -> type:
    # The field that holds the name is annotated here, all others by the signature itself.
    fields: list[tuple[str, Any, Any]] = [("name", str, dataclasses.field(default=entry.name))]
    fields += [(o.name, o.annotation, dataclasses.field(default=o.default)) for o in entry.free]
    made = dataclasses.make_dataclass(entry.name + _SCHEMA_SUFFIX, fields)
    made.__module__ = __name__
    made.__doc__ = f"Options of {entry.name}: {entry.title}."
    return made


def create(name: str, channels: int = 320, heads: int = 8, **options: Any) -> Any:
    """One `torch.nn.Module` of the mechanism, as initialised: `[b, f, h, w, c]` to the same shape.

    An option may be given as on the command line: an Enum by its member's name, a tuple as a list.

    Raises:
        UserError: unknown variant or option, or a value that is not possible.
    """
    entry = get(name)
    return entry.cls(channels, heads, **_checked(entry, options))


def cost(name: str, *, b: int, f: int, h: int, w: int, c: int, **options: Any) -> int:
    """FLOPs of scores and values of one module, forward: the entry's expression with numbers.

    Exact where sizes divide and nothing is shifted, an upper bound elsewhere.
    """
    entry = get(name)
    values = {option.name: option.default for option in entry.options}
    values |= _checked(entry, options)
    values |= {"b": b, "f": f, "h": h, "w": w, "c": c}
    scope = {"__builtins__": {}, "min": min, "max": max}
    return int(eval(_cost_code(entry), scope, values))


def show(name: str) -> str:
    """All that is declared about a mechanism, to be printed."""
    return get(name).describe()


def load_plugin(path_or_module: str | Path) -> list[str]:
    """Imports mechanisms of a user's own, from a `.py` file or a module; returns their names.

    A file that is loaded already is not loaded again.

    Raises:
        UserError: no such file or module, an import that fails, or nothing registered by it.
    """
    _discover()
    before = _snapshot()
    try:
        module = plugin_module(str(path_or_module))
        names = _names_from(module.__name__, before)
        if not names:
            raise UserError(f"plugin {str(path_or_module)!r} {_NOTHING}")
    except BaseException:
        _restore(before)  # of a file that fails half-way nothing stays
        raise
    return names


_NOTHING = "registers no mechanism; @attnzoo.register does"


def _names_from(module: str, before: _Snapshot) -> list[str]:
    """Sorted names that came since, or that the module or one inside it had entered earlier."""
    inside = f"{module}."
    return sorted(
        name
        for name, entry in _entries.items()
        if name not in before[0] or f"{entry.cls.__module__}.".startswith(inside)
    )


@contextmanager
def preserved() -> Iterator[None]:
    """Whatever is registered inside is forgotten again; for tests and throw-away mechanisms."""
    _discover()
    before = _snapshot()
    try:
        yield
    finally:
        _restore(before)


_Snapshot = tuple[dict[str, Entry], dict[Path, ModuleType]]


def _snapshot() -> _Snapshot:
    return dict(_entries), dict(loaded_files)


def _restore(snapshot: _Snapshot) -> None:
    _entries.clear()
    _entries.update(snapshot[0])
    loaded_files.clear()
    loaded_files.update(snapshot[1])


def _checked(entry: Entry, options: Mapping[str, Any]) -> dict[str, Any]:
    known = {option.name: option for option in entry.options}
    for key in options:
        if key not in known:
            raise UserError(f"{entry.name} has no option {key!r}{suggestion(key, known)}")
    return {
        key: converted(f"{entry.name}: {key}", known[key].annotation, value)
        for key, value in options.items()
    }


@functools.cache
def _cost_code(entry: Entry) -> CodeType:
    names = [option.name for option in entry.options]
    return cost_code(entry.cost, names, entry.place)


def _discover() -> None:
    """Imports every entry file and every entry point, once.

    A file that does not import is an error that names it, never a shorter list. An entry point
    that does not is another package's fault: it is told of, and the rest goes on.
    """
    global _discovered
    if _discovered:
        return
    _discovered = True
    try:
        for file in sorted((Path(__file__).parent / "attention").glob("[!_]*.py")):
            name = f"attnzoo.attention.{file.stem}"
            imported(str(file), functools.partial(importlib.import_module, name))
            found = sum(entry.cls.__module__ == name for entry in _entries.values())
            if found != 1:
                raise RegistrationError(f"{file} registers {found} mechanisms, must be one")
        for point in entry_points(group=ENTRY_POINTS):
            _load_entry_point(point)
    except BaseException:
        _discovered = False
        raise


def _load_entry_point(point: EntryPoint) -> None:
    before = _snapshot()
    fault = entry_point_fault(point, lambda: bool(_names_from(point.module, before)), _NOTHING)
    if fault is not None:
        _restore(before)
        _broken[point.name] = fault
        _LOG.warning("left out: %s", fault)


def __getattr__(name: str) -> Any:
    # A configuration travels to other processes by pickle, which looks its schema up here.
    if name.endswith(_SCHEMA_SUFFIX) and not name.startswith("_"):
        return schema(name.removesuffix(_SCHEMA_SUFFIX))
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
