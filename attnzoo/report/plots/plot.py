"""What a plot is: its files, and all that a page needs to show them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from matplotlib.figure import Figure


@dataclass(frozen=True)
class Plot:
    """A plot that was written.

    name: the files' stem; title: one line; caption: what is drawn, how, and what is missing, in
    plain sentences; alt: for who cannot see it, what it shows; files: SVG (where there is one) and
    PNG, in this order.
    """

    name: str
    title: str
    caption: str
    alt: str
    files: tuple[Path, ...]


@dataclass(frozen=True)
class Sketch:
    """A plot that is drawn and not yet written."""

    name: str
    title: str
    caption: str
    alt: str
    figure: Figure


@dataclass(frozen=True)
class LeftOut:
    """A plot that the folder has nothing for, and why."""

    name: str
    reason: str


Drawn = Sketch | LeftOut
