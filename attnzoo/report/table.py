"""A table as plain data: what Markdown, CSV, LaTeX and the page are made from."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

MARKED = ("failed", "unfinished", "reused")
"""What of a row's status stands beside its label."""


@dataclass(frozen=True)
class Published:
    """The paper's number beside one of ours. rank: of its row, 1 the best, among the same rows."""

    metric: str
    value: float
    text: str
    rank: int | None = None


@dataclass(frozen=True)
class Column:
    """A column. better: `lower`, `higher`, `zero` or nothing; section: what stands together.

    kind: `score`, `cost` or `ratio` (to a reference, in percent). published: the paper's metrics
    that ask for the same thing.
    """

    key: str
    name: str
    section: str
    unit: str = ""
    better: str = ""
    kind: str = "score"
    published: tuple[str, ...] = ()

    @property
    def title(self) -> str:
        """Name, unit and direction in one line."""
        arrow = {"lower": " ↓", "higher": " ↑", "zero": " →0"}.get(self.better, "")
        unit = f" [{self.unit}]" if self.unit else ""
        return f"{self.name}{unit}{arrow}"


@dataclass(frozen=True)
class Cell:
    """One number of a row and all that is known of it.

    text: the value as printed, `–` where there is none, and then `note` says why. low, high: 95 %
    interval, of a latency its range or quartiles, None where there is none. n: how many pairs of
    video and seed, of a latency how many rounds. rank: among the rows,
    1 the best. gain: how much better than the reference row, as a share of its badness; p: of that
    difference, after Holm's correction over the table; mark: `better` or `worse` where p is below
    5 %, else nothing.
    """

    text: str = "–"
    value: float | None = None
    low: float | None = None
    high: float | None = None
    n: int = 0
    rank: int | None = None
    published: tuple[Published, ...] = ()
    gain: float | None = None
    p: float | None = None
    mark: str = ""
    note: str = ""

    @property
    def interval(self) -> str:
        """`[low, high]` with the digits of the value, or nothing."""
        if self.low is None or self.high is None:
            return ""
        return f"[{number(self.low, like=self.value)}, {number(self.high, like=self.value)}]"


@dataclass(frozen=True)
class Row:
    """A row: `cells` in the order of the table's columns.

    status: `failed`, `unfinished` (seeds are missing), `reused`, `floor` (real clips in place of
    generated ones) or nothing; records: the files that the numbers are from, relative to the
    results folder.
    """

    label: str
    cell: str
    cells: tuple[Cell, ...]
    group: str = ""
    status: str = ""
    note: str = ""
    records: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The label with its group: what tells the row from all others of the table."""
        return f"{self.label}, {self.group}" if self.group else self.label


@dataclass(frozen=True)
class Table:
    """A table with what has to be known to read it, a sentence a note."""

    name: str
    title: str
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    notes: tuple[str, ...] = field(default=())

    def with_notes(self, *notes: str) -> Table:
        """The same with further notes."""
        return replace(self, notes=(*self.notes, *notes))

    @property
    def sections(self) -> tuple[str, ...]:
        """The sections in order."""
        return tuple(dict.fromkeys(column.section for column in self.columns))


def number(value: float | None, like: float | None = None) -> str:
    """Four significant digits, at the decimals of `like`; `–` for none."""
    if value is None:
        return "–"
    size = abs(value if like is None else like)
    if size == 0:
        return f"{value:.4g}"
    decimals = 3
    while size >= 10 and decimals > 0:
        size, decimals = size / 10, decimals - 1
    while size < 1 and decimals < 6:
        size, decimals = size * 10, decimals + 1
    return f"{value:,.{decimals}f}"
