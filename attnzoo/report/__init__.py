"""What a reader wants of results: tables, plots, claims, one page. Reads files, needs no torch."""

from __future__ import annotations

from pathlib import Path

__all__ = ["make"]

TAKEN = ("claims", "power")
"""What a report writes beside its tables: no table can be called so."""


def make(results: str | Path, out: str | Path | None = None) -> Path:
    """Makes `tables/`, `plots/` and the page of a results folder.

    `out` is the page, by default `report.html` in the folder.
    What had to be left out of the page for its size is logged as warnings and stands in it.

    Raises:
        UserError: it is no results folder, has nothing to report yet, or a file of it is not what
            it should be.
    """
    from attnzoo.report.page import make_page

    return make_page(Path(results), None if out is None else Path(out))
