"""What a run of the bench is told, as plain values; how they are typed is the command's matter."""

from __future__ import annotations

import difflib
import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from attnzoo._options import suggestion
from attnzoo.errors import UserError
from attnzoo.paths import typed

Given = Mapping[str, Sequence[Any]]
"""Values by key, in the order in which they were typed; a key without comma has one."""


@dataclass(frozen=True)
class SuiteOptions:
    """Settings that every fixed suite takes.

    out: the folder that is written, None: the suite's own; rounds: timed rounds of all candidates,
    None: the suite's own number; threads: of torch, None: as it is; device: where all runs; quick:
    fewer rounds and smaller shapes, to see that it works.
    """

    out: Path | None = None
    rounds: int | None = None
    threads: int | None = None
    device: str = "cpu"
    quick: bool = False

    @staticmethod
    def of(given: Given, suite: str) -> SuiteOptions:
        """The options that were typed.

        Raises:
            UserError: an unknown key, or a value that cannot be.
        """
        known = [field.name for field in fields(SuiteOptions)]
        for key in given:
            if key not in known:
                raise UserError(f"suite={suite} has no setting {key!r}{suggestion(key, known)}")
        rounds, threads = (positive(given, key, None) for key in ("rounds", "threads"))
        return SuiteOptions(
            out=path(given, "out"),
            rounds=rounds,
            threads=threads,
            device=str(single(given, "device", "cpu")),
            quick=truth(given, "quick"),
        )


def single(given: Given, key: str, default: Any) -> Any:
    """The one value of a key.

    Raises:
        UserError: there are several.
    """
    values = given.get(key, (default,))
    if len(values) != 1:
        raise UserError(f"{key}={','.join(map(said, values))}: one value is needed")
    return values[0]


def truth(given: Given, key: str, default: bool = False) -> bool:
    """The one value of a key that is true or false."""
    return as_truth(key, single(given, key, default))


def as_truth(key: str, value: Any) -> bool:
    """UserError unless `value` is a bool."""
    if not isinstance(value, bool):
        raise UserError(f"{key}={said(value)}: must be true or false")
    return value


def positive(given: Given, key: str, default: int | None) -> int | None:
    """The one value of a key that is a positive integer."""
    value = single(given, key, default)
    return value if value is default else as_positive(key, value)


def as_positive(key: str, value: Any) -> int:
    """UserError unless `value` is a positive integer."""
    if type(value) is not int or value < 1:
        raise UserError(f"{key}={said(value)}: must be a positive integer")
    return value


def said(value: Any) -> str:
    """A value as it is typed."""
    if isinstance(value, tuple):
        return f"[{','.join(map(said, value))}]"
    return (
        "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
    )


def number(given: Given, key: str, default: float | None) -> float | None:
    """The one value of a key that is a positive number."""
    value = single(given, key, default)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not value > 0:
        raise UserError(f"{key}={said(value)}: must be a positive number")
    try:
        found = float(value)
    except OverflowError:  # an integer that no float holds
        found = math.inf
    if not math.isfinite(found):
        raise UserError(f"{key}={str(value)[:60]}: must be finite, at most 1e308")
    return found


def path(given: Given, key: str, suffix: str | None = None) -> Path | None:
    """The one value of a key that is a file or folder."""
    value = single(given, key, None)
    if value is None:
        return None
    found = typed(str(value), f"{key}={value}")
    if suffix is not None and found.suffix != suffix:
        raise UserError(f"{key}={value}: must end with {suffix}")
    return found


def one_of(key: str, value: Any, known: Collection[str]) -> str:
    """UserError unless `value` is one of the names."""
    if value not in known:
        near = difflib.get_close_matches(str(value), list(known), n=1, cutoff=0.6)
        hint = f"did you mean {near[0]}? " if near else ""
        raise UserError(f"{key}={said(value)}: {hint}there are {', '.join(known)}")
    return str(value)
