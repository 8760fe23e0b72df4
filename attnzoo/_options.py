"""Options of a mechanism: read from its constructor's signature, and values made to fit them.

Part of the registry: imports the standard library only.
"""

from __future__ import annotations

import difflib
import inspect
import math
import typing
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from types import CodeType
from typing import Any, get_args, get_origin

from attnzoo.errors import UserError

COST_SYMBOLS = ("b", "f", "h", "w", "c")
"""What a cost expression may use beside the options, `min` and `max`."""

_SCALARS = (bool, int, float, str)
_RESERVED = {"name": "it is the field that holds the variant's own name"}


class RegistrationError(UserError):
    """A mechanism that cannot be registered; one line that says where and what is wrong."""


@dataclass(frozen=True)
class Option:
    """One option: the name, annotation (resolved) and default of a keyword-only argument."""

    name: str
    annotation: Any
    default: Any

    def describe(self, fixed: bool = False) -> str:
        """`size=[4,4,4]`: its default as it is typed on a command line, and its choices."""
        text = f"{self.name}={_typed(self.default)}"
        if isinstance(self.default, Enum):
            text += "  (" + " | ".join(type(self.default).__members__) + ")"
        elif self.annotation is bool:
            text += "  (true | false)"
        return text + ("  fixed by the slot" if fixed else "")


def options_of(cls: type, place: str) -> tuple[Option, ...]:
    """The options in the signature of `cls.__init__`.

    Raises:
        RegistrationError: naming the argument that is not fit to be one.
    """
    parameters = list(inspect.signature(cls.__init__).parameters.values())[1:]  # type: ignore[misc]
    positional = [p.name for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD]
    for p in parameters:
        if p.kind in (p.VAR_POSITIONAL, p.VAR_KEYWORD):
            star = "*" if p.kind is p.VAR_POSITIONAL else "**"
            raise RegistrationError(
                f"{place}: {cls.__name__} takes {star}{p.name}; name each option instead"
            )
    if positional != ["channels", "heads"]:
        raise RegistrationError(
            f"{place}: {cls.__name__} must take (channels, heads, *, options), "
            f"not ({', '.join(positional)}) before the star"
        )
    keyword_only = [p for p in parameters if p.kind is p.KEYWORD_ONLY]
    for p in keyword_only:
        where = f"{place}: option {p.name!r} of {cls.__name__}"
        if p.name in _RESERVED:
            raise RegistrationError(f"{where}: the name is taken; {_RESERVED[p.name]}")
        if p.annotation is p.empty:
            raise RegistrationError(f"{where} has no annotation")
        if p.default is p.empty:
            raise RegistrationError(f"{where} has no default")
    hints = _hints(cls, place)
    return tuple(_option(p.name, hints[p.name], p.default, cls, place) for p in keyword_only)


def _hints(cls: type, place: str) -> dict[str, Any]:
    try:
        return typing.get_type_hints(cls.__init__)  # type: ignore[misc]
    except NameError as error:
        raise RegistrationError(
            f"{place}: an annotation of {cls.__name__} cannot be resolved: {error}; "
            "it must be importable at the top of the file"
        ) from error


def _option(name: str, annotation: Any, default: Any, cls: type, place: str) -> Option:
    where = f"{place}: option {name!r} of {cls.__name__}"
    if not _supported(annotation):
        raise RegistrationError(
            f"{where} is of type {_spelt(annotation)}; "
            "right are bool, int, float, str, an Enum, or a tuple of those"
        )
    try:
        fitting = converted(name, annotation, default)
    except UserError as error:
        raise RegistrationError(f"{where} has a default of another type: {error}") from error
    if fitting is not default and fitting != default:
        raise RegistrationError(
            f"{where} has the default {default!r}, must be {fitting!r} for {_spelt(annotation)}"
        )
    return Option(name, annotation, fitting)


def _supported(annotation: Any) -> bool:
    if get_origin(annotation) is tuple:
        return all(item is ... or _supported(item) for item in get_args(annotation))
    return annotation in _SCALARS or (isinstance(annotation, type) and issubclass(annotation, Enum))


def converted(what: str, annotation: Any, value: Any) -> Any:
    """`value` as `annotation` wants it: lists become tuples, names become members of an Enum.

    Raises:
        UserError: it does not fit; the message begins with `what`.
    """
    if get_origin(annotation) is tuple:
        return _converted_tuple(what, get_args(annotation), value)
    if issubclass(annotation, Enum):
        if isinstance(value, annotation):
            return value
        if isinstance(value, str) and value in annotation.__members__:
            return annotation[value]
        members = annotation.__members__
        raise UserError(f"{what}={_typed(value)} is no choice{suggestion(str(value), members)}")
    if annotation is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    fits = isinstance(value, annotation) and (annotation is bool or not isinstance(value, bool))
    if not fits or (annotation is float and not math.isfinite(value)):
        words = {bool: "true or false", int: "an integer", float: "a number", str: "a string"}
        raise UserError(f"{what}={_typed(value)} must be {words[annotation]}")
    return value


def _converted_tuple(what: str, items: tuple[Any, ...], value: Any) -> tuple[Any, ...]:
    many = len(items) == 2 and items[1] is ...
    right = f"a list of {_spelt(items[0])}" if many else "[" + ", ".join(map(_spelt, items)) + "]"
    if isinstance(value, (str, bytes)) or not isinstance(value, Iterable):
        raise UserError(f"{what}={_typed(value)} must be {right}")
    values = list(value)
    if not many and len(values) != len(items):
        raise UserError(f"{what}={_typed(values)} must be {right}, {len(items)} values")
    each = items[:1] * len(values) if many else items
    try:
        return tuple(converted(what, item, v) for item, v in zip(each, values, strict=True))
    except UserError as error:
        raise UserError(f"{what}={_typed(values)} must be {right}") from error


def cost_code(cost: str, options: Iterable[str], place: str) -> CodeType:
    """A cost expression, compiled.

    Raises:
        RegistrationError: it is no expression, or uses what is neither shape nor option.
    """
    try:
        code = compile(cost, f"<cost at {place}>", "eval")
    except SyntaxError as error:
        raise RegistrationError(f"{place}: cost {cost!r}: {error.msg}") from error
    known = {*COST_SYMBOLS, "min", "max", *options}
    for symbol in code.co_names:
        if symbol not in known:
            raise RegistrationError(f"{place}: cost uses {symbol!r}{suggestion(symbol, known)}")
    return code


def suggestion(given: str, known: Iterable[str]) -> str:
    """`; did you mean 'size'? There are: align, bias, size`: the end of an error message."""
    names = sorted(known)
    near = difflib.get_close_matches(given, names, n=1, cutoff=0.4)
    text = f"; did you mean {near[0]!r}?" if near else ";"
    return f"{text} there are: {', '.join(names)}" if names else "; there are none"


def _typed(value: Any) -> str:
    """As it is typed on a command line."""
    if isinstance(value, Enum):
        return value.name
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (tuple, list)):
        return "[" + ",".join(map(_typed, value)) + "]"
    return str(value) if isinstance(value, (str, int, float)) else repr(value)


def _spelt(annotation: Any) -> str:
    plain = isinstance(annotation, type) and not get_args(annotation)
    return annotation.__name__ if plain else str(annotation)
