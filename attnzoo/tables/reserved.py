"""What overrides of a protocol may not set: what it gives each run itself, and what is no run's."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import Any

from hydra.errors import HydraException

from attnzoo.errors import UserError
from attnzoo.overrides import parsed
from attnzoo.tables.protocol import Protocol

CLIPS, PART = "sample.clips", "data.part"
GIVEN = ("seed", "sample.first", CLIPS)
"""What `Protocol.overrides` gives each run, so that no two are scored on the same clips."""
COMMANDS = ("resume", "tracker", "hydra")
"""What is of the command `run` alone."""


def check_overrides(
    place: str, overrides: Sequence[str], most: float = 0, *, part: bool = True
) -> None:
    """UserError for one that sets what the protocol gives, or what no run of a table has.

    most: clips that `sample.clips` may ask for, 0 where it may not stand; part: whether the part of
    the data may be set.
    """
    for text in overrides:
        for key, value in _set(text):
            if (why := _refused(key, value, most, part)) is not None:
                raise UserError(f"{place}: {text}: {why}; take it out")


def _refused(key: str, value: Any, most: float, part: bool) -> str | None:
    if key.split(".")[0].split("/")[0] in COMMANDS:
        return "is of the command run alone"
    if key == PART and not part:
        return "searches are on the validation part"
    if key not in GIVEN or (key == CLIPS and type(value) is int and 1 <= value <= most):
        return None
    fewer = f", {CLIPS} up to {most:g} alone" if key == CLIPS and most else ""
    return f"the protocol itself gives each run its seed and its share of the test clips{fewer}"


def check_protocol(protocol: Protocol) -> None:
    """Likewise of all overrides of a protocol, chosen ones among them.

    A cell may be scored on fewer clips than its seed's share has, and searches on any number.
    """
    check_overrides("settings", protocol.settings)
    for name, cell in protocol.cells.items():
        check_overrides(f"cell {name}", cell.overrides, protocol.clips)
        chosen = [f"{key}={value}" for key, value in cell.chosen.items()]
        check_overrides(f"chosen settings of {name}", chosen)
    search = protocol.search
    check_overrides("search.common", search.common, math.inf, part=False)
    for several in (search.settings, *search.own.values()):
        for one in several:
            check_overrides("search", one, part=False)


@cache
def _set(text: str) -> tuple[tuple[str, Any], ...]:
    """The settings of an override with their values, those of a dictionary each by itself."""
    try:
        (override,) = parsed([text])
    except HydraException:  # composing says what is wrong with it
        return ()
    value = None if override.is_delete() else override.value()
    return tuple(_leaves(override.key_or_group, value))


def _leaves(key: str, value: Any) -> Iterator[tuple[str, Any]]:
    yield key, value
    if isinstance(value, Mapping):
        for name, one in value.items():
            yield from _leaves(f"{key}.{name}", one)
