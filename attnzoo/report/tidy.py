"""Tables as CSV: a line a number, with everything that is known of it."""

from __future__ import annotations

import csv
import io

from attnzoo.report.table import Table

FIELDS = (
    "table", "group", "row", "cell", "status", "column", "unit", "better", "kind", "value", "low",
    "high", "n", "rank", "gain", "p", "mark", "published", "published_value", "published_rank",
    "note",
)  # fmt: skip


def tidy(table: Table) -> str:
    """The table in the long form; a column that two published metrics ask for has two lines."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(FIELDS)
    for row in table.rows:
        for column, cell in zip(table.columns, row.cells, strict=True):
            start = (table.name, row.group, row.label, row.cell, row.status, column.key)
            found = (column.unit, column.better, column.kind, cell.value, cell.low, cell.high)
            known = (cell.n or None, cell.rank, cell.gain, cell.p, cell.mark)
            note = cell.note or row.note
            for one in cell.published or (None,):
                paper = ("", None, None) if one is None else (one.metric, one.text, one.rank)
                writer.writerow([*start, *found, *known, *paper, note])
    return out.getvalue()
