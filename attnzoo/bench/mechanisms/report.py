"""The suite's result as text, JSON, Markdown and CSV."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from attnzoo.bench.mechanisms.figure import Figure
from attnzoo.bench.mechanisms.growth import Growth
from attnzoo.bench.table import aligned
from attnzoo.files import replacing

HEAD = ("figure", "median", "quartiles", "rounds", "ms", "must reach", "reached")
GROWTH_HEAD = ("time grows as", "measured", "projections and attention", "attention alone", "at")


@dataclass(frozen=True)
class Report:
    """All of one run. setting: in words; blocks: title and figures; circumstances: machine,
    versions, load; seconds: that the run took.
    """

    setting: str
    blocks: Sequence[tuple[str, Sequence[Figure]]]
    growths: Sequence[Growth]
    circumstances: dict[str, Any]
    seconds: float

    @property
    def missed(self) -> list[str]:
        """Figures that were to be reached and were not."""
        return [
            f"{figure.text} ({title.split(',')[0]})"
            for title, figures in self.blocks
            for figure in figures
            if figure.reached is False
        ]


def block_text(title: str, figures: Sequence[Figure]) -> str:
    """One block for a terminal."""
    lines = [("", *HEAD[1:]), *(_cells(figure, "  ") for figure in figures)]
    return f"{title}\n{aligned(lines, {0, len(HEAD) - 1})}"


def growth_text(growths: Sequence[Growth]) -> str:
    """Exponents for a terminal."""
    return aligned([GROWTH_HEAD, *map(_growth, growths)], {0, len(GROWTH_HEAD) - 1})


def markdown(report: Report) -> str:
    """The same for a page, with machine and versions."""
    parts = [f"# Mechanisms beside their limits\n\n{report.setting}. {_machine(report)}"]
    for title, figures in report.blocks:
        rows = [HEAD, *(_cells(figure, "&nbsp; ") for figure in figures)]
        parts.append(f"## {title[0].upper()}{title[1:]}\n\n{_page(rows)}")
    parts.append(f"## Growth\n\n{_page([GROWTH_HEAD, *map(_growth, report.growths)])}")
    return "\n\n".join(parts) + "\n"


def save(reports: Sequence[Report], folder: Path) -> list[Path]:
    """Writes `mechanisms.json`, `.md` and `.csv`, each whole or not at all."""
    folder.mkdir(parents=True, exist_ok=True)
    plain = [
        {
            "setting": report.setting,
            "seconds": report.seconds,
            **report.circumstances,
            "blocks": {title: [f.plain for f in figures] for title, figures in report.blocks},
            "growth": [growth.plain for growth in report.growths],
        }
        for report in reports
    ]
    rows = [
        {"setting": report.setting, "block": title, **figure.plain}
        for report in reports
        for title, figures in report.blocks
        for figure in figures
    ]
    contents = {
        "json": json.dumps(plain, indent=1, allow_nan=False, default=list) + "\n",
        "md": "\n".join(map(markdown, reports)),
        "csv": pd.DataFrame(rows).to_csv(index=False),
    }
    written = []
    for suffix, content in contents.items():
        path = folder / f"mechanisms.{suffix}"
        with replacing(path) as beside:
            beside.write_text(content, encoding="utf-8")
        written.append(path)
    return written


def _cells(figure: Figure, indent: str) -> tuple[str, ...]:
    name = indent + figure.text if figure.peer else figure.text
    if figure.value is None:
        return (name, "-", "", "", "", figure.must, figure.note or "no")
    value, seconds = figure.value, figure.seconds
    reached = {True: "yes", False: "no", None: ""}[figure.reached]
    note = f"{reached}, {figure.note}" if reached and figure.note else reached or figure.note
    return (
        name,
        f"{value.median:.2f}",
        f"{value.low:.2f} to {value.high:.2f}" if value.n > 1 else "",
        str(value.n),
        f"{1e3 * seconds.median:.1f}" if seconds else "",
        figure.must,
        note,
    )


def _growth(growth: Growth) -> tuple[str, ...]:
    error = "" if growth.time.error is None else f" +-{growth.time.error:.2f}"
    return (
        f"{growth.entry}, {growth.by}",
        f"{growth.time.exponent:.2f}{error}",
        f"{growth.work:.2f}",
        f"{growth.attention:.2f}",
        ", ".join(map(str, growth.values)),
    )


def _page(rows: Sequence[Sequence[str]]) -> str:
    head, *body = [f"| {' | '.join(row)} |" for row in rows]
    return "\n".join([head, "| " + " | ".join("---" for _ in rows[0]) + " |", *body])


def _machine(report: Report) -> str:
    said = report.circumstances
    machine, software = said["hardware"], said["versions"]
    where = machine["gpu"] or f"{machine['cpu']}, {machine['threads']} threads"
    return (
        f"{where}; PyTorch {software['torch']}, diffusers {software['diffusers']}, Python "
        f"{software['python']}; commit {said['commit']}; {report.seconds:.0f} s. Load: "
        f"{said['load']['load']}, others' cores: {said['load']['others']}."
    )
