"""Which dances are trained on and which are tested on: by name, from a list."""

from __future__ import annotations

import re
from collections.abc import Sequence

from attnzoo.data.tiktok_take import Take
from attnzoo.errors import UserError
from attnzoo.paths import regular, typed

DISCO = "disco"
DISCO_TEST = range(335, 341)
"""Numbers of the dances that DisCo tests on; it trains on all others."""

_DIGITS = 18
"""No dance's number has more, and of thousands Python makes no integer."""

_PUBLISHED = re.compile(r"(?:TiktokDance_)?(\d{5})")


def listed(takes: Sequence[Take], which: str, setting: str) -> list[Take]:
    """The dances that a list names, in the data's order.

    Args:
        takes: all dances.
        which: `disco`, or a text file with a dance on each line: its whole name, or its number
            (335 names 00335 and TiktokDance_00335). Empty lines and what follows a # are left out.
        setting: what names the list in an error.

    Raises:
        UserError: no such file; a line that names no dance, or several; an empty list.
    """
    if which == DISCO:
        found = [take for take in takes if _number(take.name) in DISCO_TEST]
        if not found:
            raise UserError(
                f"{setting}={DISCO}: no dance has a number from {DISCO_TEST.start} to "
                f"{DISCO_TEST.stop - 1}; there are {some(takes)}"
            )
        return found
    names = _lines(which, setting)
    chosen = {_find(takes, name, f"{setting}={which}: line {line}") for line, name in names}
    return [take for i, take in enumerate(takes) if i in chosen]


def some(takes: Sequence[Take]) -> str:
    """The first names, for an error."""
    return ", ".join(take.name for take in takes[:8]) + (", ..." if len(takes) > 8 else "")


def dance_of(name: str) -> str:
    """What two layouts call the same dance: 00335 of 00335 and TiktokDance_00335.

    A name of another form, as Custom_002 of a recording of one's own, is nobody else's.
    """
    published = _PUBLISHED.fullmatch(name)
    return published[1] if published else name


def _lines(which: str, setting: str) -> list[tuple[int, str]]:
    try:
        lines = regular(typed(which, f"{setting}={which}")).read_text("utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "no text"
        raise UserError(
            f"{setting}={which}: cannot be read ({reason}); give a text file with a dance's name "
            f"on each line, or {DISCO}"
        ) from error
    names = [(i, text.partition("#")[0].strip()) for i, text in enumerate(lines, start=1)]
    kept = [(i, name) for i, name in names if name]
    if not kept:
        raise UserError(f"{setting}={which}: names no dance; must hold one name on each line")
    return kept


def _find(takes: Sequence[Take], name: str, place: str) -> int:
    found = [i for i, take in enumerate(takes) if take.name == name]
    number = _number(name) if name.isdecimal() else None
    if not found and number is not None:
        found = [i for i, take in enumerate(takes) if _number(take.name) == number]
    if len(found) == 1:
        return found[0]
    if found:
        several = some([takes[i] for i in found])
        raise UserError(f"{place}: {name} names {several}; give the whole name of one")
    raise UserError(f"{place}: there is no dance {name:.60}; there are {some(takes)}")


def _number(name: str) -> int | None:
    """The first number in a name: 335 of TiktokDance_00335; None too for more than `_DIGITS`."""
    digits = re.findall(r"\d+", name)
    return int(digits[0]) if digits and len(digits[0]) <= _DIGITS else None
