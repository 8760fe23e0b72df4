"""Tables as Markdown: one grid a section, the paper's numbers in columns of their own."""

from __future__ import annotations

from collections.abc import Sequence

from attnzoo.report.published import OVERFLOWED
from attnzoo.report.table import MARKED, Cell, Column, Row, Table

MARKS = {"better": " (+)", "worse": " (-)", "": ""}


def markdown(table: Table, heading: str) -> str:
    """The whole table under a heading; notes come last."""
    lines = [f"# {heading}", ""]
    for section in table.sections:
        places = [i for i, column in enumerate(table.columns) if column.section == section]
        rows = [row for row in table.rows if row.status != "floor" or _any(row, places)]
        lines += [f"## {section}", "", *_grid(table, places, rows), ""]
    lines += _rows_notes(table.rows)
    lines += [f"- {note}" for note in table.notes if note]
    return "\n".join(lines) + "\n"


def _any(row: Row, places: Sequence[int]) -> bool:
    return any(row.cells[i].value is not None for i in places)


def _grid(table: Table, places: Sequence[int], rows: Sequence[Row]) -> list[str]:
    columns = [table.columns[i] for i in places]
    grouped = any(row.group for row in table.rows)
    head = ["group"] * grouped + ["row"]
    for column in columns:
        head += [
            column.title,
            *(f"{named(metric)} in the paper" for metric in paper(table, column)),
        ]
    lines = ["| " + " | ".join(head) + " |", "| --- " * (1 + grouped) + "|"]
    lines[1] += " ---: |" * (len(head) - 1 - grouped)
    group = None
    for row in rows:
        cells = [escaped("" if row.group == group else row.group)] * grouped + [label(row)]
        group = row.group
        for i, column in zip(places, columns, strict=True):
            cells.append(text(row.cells[i]))
            cells += [paper_text(row.cells[i], metric) for metric in paper(table, column)]
        lines.append("| " + " | ".join(cells) + " |")
    return lines


def paper(table: Table, column: Column) -> list[str]:
    """The published metrics of a column for which any row of this table has a number."""
    place = table.columns.index(column)
    found = {p.metric for row in table.rows for p in row.cells[place].published}
    return [metric for metric in column.published if metric in found]


def text(cell: Cell) -> str:
    """Value, mark, interval (of a latency its range) and rank."""
    if cell.value is None:
        return cell.text
    parts = [cell.text + MARKS[cell.mark]]
    if cell.interval:
        parts.append(cell.interval)
    if cell.rank is not None:
        parts.append(f"#{cell.rank}")
    return " ".join(parts)


def named(metric: str) -> str:
    """A published metric by a name that is true."""
    return OVERFLOWED.get(metric, metric)


def paper_text(cell: Cell, metric: str) -> str:
    """The paper's number as it prints it, with its rank."""
    for one in cell.published:
        if one.metric == metric:
            return one.text if one.rank is None else f"{one.text} #{one.rank}"
    return ""


def label(row: Row) -> str:
    """A row's label, with what has happened to it."""
    return escaped(row.label) + (f" **{row.status}**" if row.status in MARKED else "")


def escaped(words: str) -> str:
    """Text that ends no cell and is no markup."""
    return words.replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;").replace("\n", " ")


def _rows_notes(rows: Sequence[Row]) -> list[str]:
    noted = dict.fromkeys((row.name, row.note) for row in rows if row.note)
    return [f"- {escaped(name)}: {escaped(note)}" for name, note in noted]
