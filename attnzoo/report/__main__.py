"""`python -m attnzoo.report --results DIR [--out report.html]`: tables, plots and one page.

Writes `DIR/tables/`, `DIR/plots/` and the page from the result files of `python -m attnzoo.tables`.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Sequence

from attnzoo import commands


def command(arguments: Sequence[str]) -> None:
    """Makes the report and says where it is."""
    parser = commands.Parser(
        "attnzoo report",
        description="Tables, plots and one HTML page from the results of attnzoo.tables. The page "
        "holds everything, videos and records too: it needs no network and nothing beside it.",
    )
    parser.add_argument(
        "--results",
        type=commands.path,
        required=True,
        metavar="DIR",
        help="what attnzoo.tables made",
    )
    parser.add_argument(
        "--out", type=commands.path, metavar="FILE", help="the page (default: report.html in DIR)"
    )
    given = parser.parse_args(arguments)
    logging.basicConfig(format="%(message)s", stream=sys.stderr)

    from attnzoo.report import make

    page = make(given.results, given.out)
    print(f"{page}: {page.stat().st_size / 1e6:.1f} MB; {given.results}: tables/, plots/")


def main(arguments: Sequence[str] | None = None) -> None:
    """The command, with its exit status."""
    commands.execute(command, arguments)


if __name__ == "__main__":
    main(sys.argv[1:])
