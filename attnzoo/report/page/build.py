"""The page as one file: all that it shows is in it, and it asks nobody for anything."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template
from markupsafe import Markup

from attnzoo.files import replacing
from attnzoo.report import explanation, verdict
from attnzoo.report.claims import Claim, not_run, open_ones, own_verdict
from attnzoo.report.folder import Folder
from attnzoo.report.markdown import named
from attnzoo.report.measures import MEASURES
from attnzoo.report.page import facts
from attnzoo.report.page.packed import data_address, packed_json, script_hash, script_json
from attnzoo.report.page.plots import Picture
from attnzoo.report.page.videos import Videos, choose_videos
from attnzoo.report.power import too_small
from attnzoo.report.table import MARKED, Column, Table
from attnzoo.report.tables import Findings
from attnzoo.report.unlike import unlike
from attnzoo.report.verdict import Comparison, Verdict

LIMIT = 15_000_000
"""Bytes that a page may have: what can still be sent and opened anywhere."""

_ROOM_FOR_REMARKS = 1000
_SCRIPTS = ("tables.js", "records.js", "player.js")
_HERE = Path(__file__).parent

_BETTER = {"higher": "↑ higher is better", "lower": "↓ lower is better", "zero": "→0 is best"}
_MARKS = {"better": " (+)", "worse": " (−)"}
_SHORT = {"holds": "holds", "does_not": "does not", "unknown": "cannot be told"}
_COUNTED = {"holds": "hold", "does_not": "do not", "unknown": "cannot be told"}
_RECORDED = ("added", "trained", "trained_2", "training_time")
"""Columns of costs that are not profiled: they come from the records."""
_QUICK = (
    "This run was too short to judge by: it shows that everything works, and no difference in it "
    "is a finding."
)
_PARTS = ("claims", "tables", "videos", "plots", "protocol", "environment")


@dataclass(frozen=True)
class Content:
    """What the page is made from. pictures: plots; left_out: plots that could not be, and why."""

    found: Findings
    pictures: tuple[Picture, ...] = ()
    left_out: tuple[tuple[str, str], ...] = ()

    @property
    def folder(self) -> Folder:
        """The results folder."""
        return self.found.folder


def write_page(content: Content, out: Path, *, limit: int = LIMIT) -> tuple[str, ...]:
    """Writes the page and returns what has been left out of it, a sentence each.

    Where `limit` bytes do not hold everything, videos go first, then the records, then the tables
    as files to save.

    Raises:
        UserError: a file is not what it should be.
    """
    folder = content.folder
    records = _packed_records(folder)
    remarks: list[str] = []
    without = choose_videos(folder, 0)
    used = len(_render(content, records, without, remarks))
    if used > limit:
        size = sum(map(len, records.values())) / 1e6
        remarks.append(
            f"The records of {len(records)} cells ({size:.1f} MB) are not in this page, to keep it "
            f"under {limit / 1e6:g} MB; they lie in records/."
        )
        records = {}
        used = len(_render(content, records, without, remarks))
    files = used <= limit
    if not files:
        remarks.append(
            f"The tables as files to save are not in this page, to keep it under {limit / 1e6:g} "
            "MB; they lie in tables/."
        )
        used = len(_render(content, records, without, remarks, files))
    videos = choose_videos(folder, max(0, limit - used - _ROOM_FOR_REMARKS))
    if videos.left_out:
        remarks.append(
            f"{videos.left_out} of {videos.left_out + len(videos.sources)} videos are not in this "
            f"page, to keep it under {limit / 1e6:g} MB; they lie in clips/."
        )
    page = _render(content, records, videos, remarks, files)
    if len(page) > limit:
        remarks.append(
            f"The page has {len(page) / 1e6:.1f} MB without videos and records, more than "
            f"{limit / 1e6:g} MB."
        )
    with replacing(out) as beside:
        beside.write_bytes(page)
    return tuple(remarks)


def _packed_records(folder: Folder) -> dict[str, str]:
    """Of each cell that has any: records, errors and costs by their paths, packed."""
    packed = {}
    for cell in folder.cells:
        files: dict[str, Any] = {}
        for seed in folder.seeds:
            record = folder.record_path(cell, seed)
            for path in (record, record.with_suffix(".error.json")):
                if (folder.path / path).is_file():
                    files[path.as_posix()] = json.loads((folder.path / path).read_text())
        if cell in folder.costs:
            files[f"costs/{cell}.json"] = folder.costs[cell]
        if files:
            packed[cell] = packed_json(files)
    return packed


def _render(
    content: Content,
    records: Mapping[str, str],
    videos: Videos,
    remarks: Sequence[str],
    files: bool = True,
) -> bytes:
    folder, found = content.folder, content.found
    script = "\n".join((_HERE / name).read_text(encoding="utf-8") for name in _SCRIPTS)
    data = [("records", script_json(records))]
    if folder.clips:
        data.append(("videos-data", script_json(videos.as_json(folder))))
    numbers = [one.verdict for one in found.claims]
    text = _template().render(
        policy=_policy(script),
        title=f"attnzoo: results of the {folder.name} run",
        summary=facts.summary(found.protocol, folder),
        remarks=[*([_QUICK] if folder.quick else []), *remarks],
        parts=[(name, name.capitalize()) for name in _PARTS],
        claims=found.claims,
        verdicts=[(one.name, numbers.count(one)) for one in Verdict],
        left_open=open_ones(found.claims),
        not_run=not_run(found.claims),
        explanation=found.explanation,
        on_trial=_paragraphs(explanation.__doc__),
        powers=found.powers,
        rule=_paragraphs(verdict.__doc__),
        unlike=unlike(found.protocol),
        caveats=found.caveats,
        nominal=found.nominal,
        tables=found.told,
        unpacked=set(records),
        files=lambda stem: list(_downloads(folder.path / "tables", stem)) if files else [],
        clips=folder.clips,
        clip_seed=folder.seeds[0] if folder.seeds else 0,
        presets=videos.presets,
        pictures=content.pictures,
        left_out=content.left_out,
        protocol=facts.protocol_facts(found.protocol, folder),
        settings=facts.settings(found.protocol),
        cells=facts.cell_lines(found.protocol, folder),
        failures=facts.failure_lines(folder),
        search=facts.search_lines(folder.path),
        environments=facts.machines(folder),
        data=data,
        # Both are files of this package, and hold no text of any record.
        style=Markup((_HERE / "page.css").read_text(encoding="utf-8")),
        script=Markup(script),
    )
    # A path that is no Unicode, as of a file in a message, is shown by its bytes.
    return text.encode(errors="backslashreplace")


def _template() -> Template:
    # Whatever is not said to be safe is escaped, in texts and in attributes.
    environment = Environment(
        loader=FileSystemLoader(_HERE),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        extremes=_extremes,
        heading=_heading,
        measure=_measure,
        named=named,
        percent=_percent,
        score=_score,
        too_small=too_small,
        on_paper=_on_paper,
        tally=_tally,
    )
    environment.globals.update(
        better=_BETTER, marks=_MARKS, short=_SHORT, counted=_COUNTED, marked=MARKED
    )
    return environment.get_template("page.html")


def _policy(script: str) -> str:
    """Nothing is loaded from anywhere, and no script runs but the page's own."""
    return (
        f"default-src 'none'; script-src {script_hash(script)}; style-src 'unsafe-inline'; "
        "img-src data: blob:; media-src blob:; base-uri 'none'; form-action 'none'"
    )


def _heading(table: Table) -> str:
    return f"Table {table.name.removeprefix('table')}: {table.title}"


def _percent(value: float) -> str:
    return f"{100 * value:+.1f} %".replace("-", "−")


def _score(column: Column) -> str:
    """What of a record a column's numbers are from: a score, `cost`, or nothing in particular."""
    if column.kind == "cost":
        return "" if column.key in _RECORDED else "cost"
    return column.key.split("/")[0]


def _on_paper(claim: Claim) -> str:
    """What the rule says of the paper's own numbers for a claim that has some."""
    found = own_verdict(claim)
    return "" if found is None else found.value


def _tally(comparisons: Sequence[Comparison]) -> str:
    """How many comparisons of a claim got which verdict."""
    verdicts = [one.verdict for one in comparisons]
    counts = [(v.name, verdicts.count(v)) for v in Verdict if v in verdicts]
    return ", ".join(f"{n} {(_SHORT if n == 1 else _COUNTED)[name]}" for name, n in counts)


def _extremes(comparisons: Sequence[Comparison]) -> list[tuple[str, Comparison]]:
    """The comparison with the least and the one with the largest gain: neither is picked."""
    known = sorted(
        (one for one in comparisons if one.gain is not None), key=lambda one: one.gain or 0
    )
    if len(known) < 2:
        return [("gain", one) for one in known]
    return [("least", known[0]), ("largest", known[-1])]


def _measure(key: str) -> str:
    return MEASURES[key].name if key in MEASURES else key


def _paragraphs(document: str | None) -> list[str]:
    """A docstring without its title line and without marks of code."""
    parts = (document or "").replace("`", "").split("\n\n")[1:]
    return [" ".join(part.split()) for part in parts]


def _downloads(folder: Path, stem: str) -> Iterator[tuple[str, str]]:
    for suffix in (".md", ".csv", ".tex"):
        file = folder / f"{stem}{suffix}"
        if file.is_file():
            yield file.name, data_address(file.read_bytes(), suffix)
