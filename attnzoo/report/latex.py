"""Tables as LaTeX with booktabs, one `tabular` a section."""

from __future__ import annotations

from collections.abc import Sequence

from attnzoo.report.markdown import named, paper
from attnzoo.report.table import MARKED, Cell, Column, Row, Table, number

# A bracket after the end of a line would be taken for that command's argument.
_SPECIAL = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_",
    "[": "{[}", "{": r"\{", "}": r"\}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}",
    "–": "--", "↓": r"$\downarrow$", "↑": r"$\uparrow$", "→": r"$\rightarrow$",
    "é": r"\'e", "±": r"$\pm$", "×": r"$\times$", "<": r"\textless{}", ">": r"\textgreater{}",
}  # fmt: skip
MARKS = {"better": "$^{+}$", "worse": "$^{-}$", "": ""}


def latex(table: Table, heading: str) -> str:
    """The table as a file to be `\\input`; its preamble needs `booktabs`."""
    lines = [f"% {_comment(heading)}", r"% \usepackage{booktabs}"]
    for section in table.sections:
        places = [i for i, column in enumerate(table.columns) if column.section == section]
        lines += ["", f"% {_comment(section)}", *_tabular(table, places)]
    lines += ["", *(f"% {_comment(note)}" for note in table.notes if note)]
    return "\n".join(lines) + "\n"


def escaped(words: str) -> str:
    """Text without anything that LaTeX takes for a command."""
    return "".join(_SPECIAL.get(sign, sign) for sign in words.replace("\n", " "))


def _comment(words: str) -> str:
    return " ".join(words.split())


def _tabular(table: Table, places: Sequence[int]) -> list[str]:
    columns = [table.columns[i] for i in places]
    head = [""]
    for column in columns:
        head += [
            escaped(column.title),
            *(f"{named(metric)} (paper)" for metric in paper(table, column)),
        ]
    lines = [
        rf"\begin{{tabular}}{{l{'r' * (len(head) - 1)}}}",
        r"\toprule",
        " & ".join(head) + r" \\",
        r"\midrule",
    ]
    group = ""
    for row in table.rows:
        if row.status == "floor" and all(row.cells[i].value is None for i in places):
            continue
        if row.group != group:
            lines.append(rf"\multicolumn{{{len(head)}}}{{l}}{{\emph{{{escaped(row.group)}}}}} \\")
            group = row.group
        cells = [_label(row)]
        for i, column in zip(places, columns, strict=True):
            cells.append(_text(row.cells[i], column))
            cells += [_paper(row.cells[i], metric) for metric in paper(table, column)]
        lines.append(" & ".join(cells) + r" \\")
    return [*lines, r"\bottomrule", r"\end{tabular}"]


def _label(row: Row) -> str:
    status = f" ({row.status})" if row.status in MARKED else ""
    return escaped(row.label + status)


def _text(cell: Cell, column: Column) -> str:
    """The value and half of its interval's length, or a cost's range, its mark and rank."""
    if cell.value is None:
        return "--"
    found = escaped(cell.text).replace("-", "$-$", cell.text.startswith("-"))
    if column.kind == "cost":
        # A range lies about its median as it likes.
        found += f" {escaped(cell.interval)}" if cell.interval else ""
    elif cell.low is not None and cell.high is not None:
        half = number((cell.high - cell.low) / 2, like=cell.value)
        found = rf"{found} $\pm$ {half}"
    rank = "" if cell.rank is None else f" ({cell.rank})"
    return found + MARKS[cell.mark] + rank


def _paper(cell: Cell, metric: str) -> str:
    for one in cell.published:
        if one.metric == metric:
            return one.text if one.rank is None else f"{one.text} ({one.rank})"
    return ""
