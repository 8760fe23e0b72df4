"""The rank that the paper's own table gives a row."""

from __future__ import annotations

from attnzoo.report.folder import Folder, Row
from attnzoo.report.plots.measures import Measure


def rank(folder: Folder, table: str, row: Row, measure: Measure) -> int | None:
    """The published rank of a row by the first published metric that asks for the same thing."""
    return None
