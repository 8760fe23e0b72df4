"""Tables 1, 2, 3 and 5: rows of cells, measures and costs across, the paper's numbers beside."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from scipy import stats

from attnzoo.report.costs import COLUMNS, cost_cells, cost_notes, reused
from attnzoo.report.folder import Cell as Setting
from attnzoo.report.folder import Folder, TableRows
from attnzoo.report.folder import Row as TableRow
from attnzoo.report.marks import marked, marks_note
from attnzoo.report.measures import MEASURES, Measure
from attnzoo.report.pairs import Scores, rank
from attnzoo.report.published import HIGHER, published, ranks
from attnzoo.report.references import references
from attnzoo.report.table import Cell, Column, Published, Row, Table, number


def quality_table(folder: Folder, scores: Scores, rows: TableRows) -> Table:
    """One of the tables whose columns are measures and costs."""
    measures = shown_measures(scores, rows)
    against = references(folder, rows)
    columns = [
        Column(m.key, m.name, m.section, m.unit, m.better, "score", m.published) for m in measures
    ]
    grid = [[score_cell(scores, row.cell, m) for m in measures] for row in rows.rows]
    gains = {
        (i, j): scores.gain(row.cell, rows.rows[against[i]].cell, measure.key)
        for i, row in enumerate(rows.rows)
        for j, measure in enumerate(measures)
        if i != against[i]
    }
    added = [i for i, row in enumerate(rows.rows) if folder.cells[row.cell].added]
    grid, untested = marked(grid, gains, added)
    bad = [[scores.badness(row.cell, m.key) for m in measures] for row in rows.rows]
    grid = _ranked(grid, bad, folder, rows)
    printed = _published(folder, rows, measures)
    table_rows = [
        replace(
            described(folder, row),
            cells=(
                *(replace(cell, published=p) for cell, p in zip(cells, own, strict=True)),
                *cost_cells(folder, row.cell),
            ),
        )
        for row, cells, own in zip(rows.rows, grid, printed, strict=True)
    ]
    floor = [_floor(folder, scores, rows, measure) for measure in measures]
    if any(cell.value is not None for cell in floor):
        cells = (*floor, *(Cell(note="real clips cost nothing") for _ in COLUMNS))
        table_rows.append(Row("real clips", "", cells, status="floor"))
    notes = (
        *_agreements(printed, bad, measures),
        marks_note(_named(rows, against)),
        untested,
        _added_note(folder, rows),
        _reused_note(folder, rows),
        *cost_notes(folder, [row for row in table_rows if row.status != "floor"]),
        *_floor_notes(floor),
    )
    columns += COLUMNS
    return Table(rows.name, rows.title, tuple(columns), tuple(table_rows), notes)


def shown_measures(scores: Scores, rows: TableRows) -> list[Measure]:
    """Those that any row has; LPIPS and its embedded kin are both there if both were computed."""
    return [
        measure
        for key, measure in MEASURES.items()
        if any(len(scores.sample(row.cell, key).values) for row in rows.rows)
    ]


def score_cell(scores: Scores, cell: str, measure: Measure, scenario: str | None = None) -> Cell:
    """A cell's mean with its interval."""
    sample = scores.sample(cell, measure.key, scenario)
    if not len(sample.values):
        return Cell(note=sample.reason)
    found = scores.estimate(cell, measure.key, scenario)
    note = "" if found.low is not None else found.method
    return Cell(number(found.value), found.value, found.low, found.high, found.n, note=note)


def described(folder: Folder, row: TableRow) -> Row:
    """A row without its cells: what has failed or was reused, and the files behind it."""
    failures = [one for one in folder.failures if one.cell == row.cell]
    files = [str(folder.record_path(row.cell, seed)) for seed in folder.records_of(row.cell)]
    notes = [f"seed {one.seed} failed: {one.kind}: {one.error}" for one in failures]
    if len({one.error for one in failures}) == 1 and not files:
        notes = [f"failed: {failures[0].kind}: {failures[0].error}"]
    missing = sorted({*folder.seeds} - {*folder.records_of(row.cell)} - {f.seed for f in failures})
    status = "failed" if failures else "unfinished" if files and missing else ""
    if missing and (files or failures):
        # Its means are of other trainings and videos than those of its neighbours.
        notes.append(f"seed{'s' * (len(missing) > 1)} {', '.join(map(str, missing))} not run")
    lent = reused(folder, row.cell)
    if lent:
        notes.append(lent)
        status = status or "reused"
    if not failures and not files:
        notes.append("not run")
    return Row(row.label, row.cell, (), row.group or "", status, "; ".join(notes), tuple(files))


def _reused_note(folder: Folder, rows: TableRows) -> str:
    """What of a reused row is not of this machine: costs are always measured anew."""
    if not any(reused(folder, row.cell) for row in rows.rows):
        return ""
    return (
        "Reused rows have records of another run: their training time is that of the machine "
        "named with the row, all other costs were measured here."
    )


def _added_note(folder: Folder, rows: TableRows) -> str:
    """How rows are ranked beside those of the protocol."""
    added = [folder.cells[row.cell] for row in rows.rows if folder.cells[row.cell].added]
    if not added:
        return ""
    return " ".join(filter(None, (_added_ranks(rows), _not_searched(added))))


def _not_searched(cells: Sequence[Setting]) -> str:
    """Whose rates nobody has chosen as the others' were."""
    labels = ", ".join(cell.label for cell in cells if not cell.searched)
    if not labels:
        return ""
    return f"Rates of {labels} were not searched: they are those that searches try first."


def _added_ranks(rows: TableRows) -> str:
    if all(row.group is not None for row in rows.rows):
        return "Added rows are no part of the protocol, and have no rank among its groups."
    return (
        "Added rows are no part of the protocol. Their rank is the one among all rows, the added "
        "ones too; the others keep the ranks and tests that they have without them, beside the "
        "paper's."
    )


def _ranked(
    grid: Sequence[Sequence[Cell]],
    bad: Sequence[Sequence[float | None]],
    folder: Folder,
    rows: TableRows,
) -> list[list[Cell]]:
    """With ranks inside each group of rows; of rows that were added, among all without a group."""
    done = [list(cells) for cells in grid]
    added = [i for i, row in enumerate(rows.rows) if folder.cells[row.cell].added]
    groups: dict[str | None, list[int]] = {}
    for i, row in enumerate(rows.rows):
        if i not in added:
            groups.setdefault(row.group, []).append(i)
    families = [(places, {*places}) for places in groups.values()]
    if None in groups:
        families.append(([*groups[None], *added], {*added}))
    for among, ranked in families:
        for j in range(len(bad[0]) if bad else 0):
            places = rank([bad[i][j] for i in among])
            for i, place in zip(among, places, strict=True):
                if i in ranked:
                    done[i][j] = replace(done[i][j], rank=place)
    return done


def _published(
    folder: Folder, rows: TableRows, measures: Sequence[Measure]
) -> list[list[tuple[Published, ...]]]:
    """By row and measure: the paper's numbers and their ranks among the rows of this table."""
    texts = [published(rows.name, folder.cells[row.cell]) for row in rows.rows]
    metrics = {metric for measure in measures for metric in measure.published}
    places = {
        metric: ranks(
            metric, {str(i): float(t[metric]) for i, t in enumerate(texts) if metric in t}
        )
        for metric in metrics
    }
    return [
        [
            tuple(
                Published(metric, float(text[metric]), text[metric], places[metric].get(str(i)))
                for metric in measure.published
                if metric in text
            )
            for measure in measures
        ]
        for i, text in enumerate(texts)
    ]


def _floor(folder: Folder, scores: Scores, rows: TableRows, measure: Measure) -> Cell:
    """The measure of the real clips themselves: the mean over the rows' records, or the folder's.

    A note says how the latter was made.
    """
    real = [scores.sample(row.cell, measure.key).real for row in rows.rows]
    known = [value for value in real if value is not None]
    if known:
        value = sum(known) / len(known)
        return Cell(number(value), value)
    apart = None if folder.floor is None else folder.floor.mean(measure.key)
    if folder.floor is None or apart is None:
        return Cell(note="not known of real clips")
    return Cell(number(apart), apart, note=folder.floor.method)


def _floor_notes(floor: Sequence[Cell]) -> list[str]:
    """How the real clips' distances were made, where there are any."""
    methods = dict.fromkeys(cell.note for cell in floor if cell.value is not None and cell.note)
    return [f"Distances of sets of the real clips: {method}." for method in methods]


def _agreements(
    printed: Sequence[Sequence[tuple[Published, ...]]],
    bad: Sequence[Sequence[float | None]],
    measures: Sequence[Measure],
) -> list[str]:
    """One sentence on how far our order of rows is the paper's, by each pair of measures."""
    found = []
    videos = {"warp_error_1": ("FID-VID", "FVD"), "warp_error_4": ("FID-VID", "FVD")}
    texts = [{p.metric: p.value for cell in row for p in cell} for row in printed]
    for j, measure in enumerate(measures):
        for metric in measure.published or videos.get(measure.key, ()):
            both = [
                (own[j], text[metric] * (-1 if metric in HIGHER else 1))
                for own, text in zip(bad, texts, strict=True)
                if metric in text and own[j] is not None
            ]
            if len(both) >= 3:
                tau = float(stats.kendalltau(*zip(*both, strict=True)).statistic)
                found.append(f"{measure.name} and {metric} {tau:+.2f}")
    if not found:
        return []
    return [
        "Agreement of our order of rows with the paper's (Kendall's tau, 1 the same, -1 reversed): "
        + ", ".join(found)
        + "."
    ]


def _named(rows: TableRows, against: Sequence[int]) -> str:
    """The reference rows in words."""
    names = list(dict.fromkeys(f'"{rows.rows[i].label}"' for i in against))
    return " or ".join(names) + ", the row of its kind and group" * (len(names) > 1)
