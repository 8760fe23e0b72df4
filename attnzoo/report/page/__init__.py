"""The HTML page: one file that holds all it shows."""

from __future__ import annotations

import logging
from pathlib import Path

from attnzoo.errors import UserError
from attnzoo.files import held
from attnzoo.paths import check_place

_LOG = logging.getLogger(__name__)

NAME = "report.html"
LOCK = ".report.lock"
"""In a results folder, of who writes its tables, plots and page."""


def make_page(results: Path, out: Path | None = None) -> Path:
    """Writes the tables and plots of a results folder, then the page; see `attnzoo.report.make`."""
    from attnzoo.report.page.build import Content, write_page
    from attnzoo.report.page.plots import picture
    from attnzoo.report.plots import left_out, write_plots
    from attnzoo.report.tables import findings, write_tables

    out = results / NAME if out is None else out
    if out.is_dir():
        raise UserError(f"{out}: a folder; the page needs a file's name, such as {out / NAME}")
    if not out.absolute().parent.is_dir():
        raise UserError(f"{out}: there is no folder {out.parent}")
    check_place(out)
    found = findings(results)
    # Each deletes what others have left half-written.
    with held(results / LOCK, waits=True):
        write_tables(results, found)
        pictures = tuple(picture(plot) for plot in write_plots(results))
        missing = tuple((one.name, one.reason) for one in left_out(results))
        for remark in write_page(Content(found, pictures, missing), out):
            _LOG.warning(remark)
    return out
