"""A report of more rows than plots can show."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from attnzoo.report.folder import Cell, Folder, Row, TableRows
from attnzoo.report.pairs import COLUMNS, Scores
from attnzoo.report.plots.data import MOST, Data, shortened


def test_plots_of_a_long_table_show_its_first_rows_and_say_so() -> None:
    rows = tuple(Row(f"row {i}", "none") for i in range(MOST + 2))
    tables = {"table2": TableRows("table2", "", rows), "table3": TableRows("table3", "", rows[:3])}
    cell = Cell("none", "VD", "none")
    short, cut = shortened(Folder(Path("x"), "full", (0,), {"none": cell}, tables, {}))
    assert short.tables["table2"].rows == rows[:MOST]
    assert short.tables["table3"] == tables["table3"]
    assert cut == [f"the first {MOST} of {MOST + 2} rows of table2"]
    nothing = pd.DataFrame(columns=["cell", "score", *COLUMNS])
    caption = Data(short, Scores(nothing), cut).and_gaps("Means.")
    assert caption == f"Means. Drawn: {cut[0]}; the tables have all of them."
