"""How plots name and write scores."""

from __future__ import annotations

import textwrap

from attnzoo.report.measures import Measure

ARROWS = {"lower": "↓", "higher": "↑", "zero": "→0"}
_TIE = "\N{NO-BREAK SPACE}"


def title(measure: Measure) -> str:
    """Name and direction, which stays with the last word."""
    return f"{measure.name}{_TIE}{ARROWS[measure.better]}"


def axis(measure: Measure) -> str:
    """Name, unit and direction."""
    unit = f"{_TIE}[{measure.unit}]" if measure.unit else ""
    return f"{measure.name}{unit}{_TIE}{ARROWS[measure.better]}"


def wrapped(text: str, width: int, *, hyphens: bool = False) -> str:
    """The text in lines of about so many letters; a word is never broken but at its hyphens."""
    lines = textwrap.wrap(text, width, break_on_hyphens=hyphens, break_long_words=False)
    return "\n".join(lines) or text


def number(value: float) -> str:
    """Three digits, with a true minus sign."""
    return f"{value:#.3g}".rstrip(".").replace("-", "−")


def percent(share: float) -> str:
    """A share in per cent with its sign."""
    return f"{100 * share:+.1f} %".replace("-", "−")
