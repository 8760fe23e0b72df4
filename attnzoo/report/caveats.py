"""What has to be known of a run's own numbers: few samples, lost logos, one measure's weight."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from attnzoo.report.claims import CLAIMS, Judged, judged
from attnzoo.report.folder import Folder, TableRows
from attnzoo.report.measures import MEASURES
from attnzoo.report.pairs import Scores
from attnzoo.report.searched import searched
from attnzoo.report.transient import transient
from attnzoo.report.verdict import Verdict

DOUBTED = "fd_embedded_video"
"""It has a sample a video, fewer than dimensions."""
_SHORT = {Verdict.unknown: "cannot be told"}


def caveats(
    folder: Folder, scores: Scores, protocol: Mapping[str, Any], found: Sequence[Judged]
) -> list[str]:
    """Paragraphs for the head of the claims."""
    few = few_samples(folder, list(folder.cells))
    parts = (
        transient(folder),
        " ".join(filter(None, (few, without(folder, scores, protocol, found) if few else ""))),
        searched(folder, protocol),
    )
    return [part for part in parts if part]


def few_samples(folder: Folder, cells: Sequence[str]) -> str:
    """What records note of their distances of sets; nothing where they note nothing."""
    noted: dict[str, None] = {}
    for cell in cells:
        for record in folder.records_of(cell).values():
            for key, measure in MEASURES.items():
                note = (record["scores"].get(key) or {}).get("note") if measure.distance else None
                if note:
                    noted[f"{measure.name} ({note})"] = None
    return f"Distances of sets are of each seed: {'; '.join(noted)}." if noted else ""


def without(
    folder: Folder, scores: Scores, protocol: Mapping[str, Any], found: Sequence[Judged]
) -> str:
    """Which claims would have another verdict without the measure of fewest samples."""
    left = [
        replace(claim, measures=tuple(key for key in claim.measures if key != DOUBTED))
        for claim in CLAIMS
    ]
    again = judged(folder, scores, protocol, left)
    changed = [
        f"{i} ({_said(other.verdict)} in place of {_said(one.verdict)})"
        for i, (one, other) in enumerate(zip(found, again, strict=True), 1)
        if one.verdict is not other.verdict
    ]
    name = MEASURES[DOUBTED].name
    which = ", ".join(changed) or "none"
    return (
        f"Claims that have another verdict without {name}, corrected for the fewer comparisons: "
        f"{which}."
    )


def _said(verdict: Verdict) -> str:
    return _SHORT.get(verdict, verdict.value)


def lost_logos(scores: Scores, rows: TableRows) -> str:
    """What a lost logo counts as, and in how many clips it is lost; nothing without logos."""
    seen, lost, counted = 0, [], 0.0
    for row in rows.rows:
        place, colour = (scores.sample(row.cell, f"logo_{what}") for what in ("position", "colour"))
        seen += len(place.keys)
        # Only what was found nowhere has a place and no colour.
        nowhere = {*place.keys} - {*colour.keys} if colour.keys else set()
        lost += list(nowhere)
        counted = max(
            [counted, *(v for k, v in zip(place.keys, place.values, strict=True) if k in nowhere)]
        )
    if not seen:
        return ""
    rule = (
        "A frame in which the logo is lost counts in its position and jitter as far as was looked, "
        "a 16th of the picture's side, and in its shape as 1."
    )
    share = (
        f"It is lost in all frames of {len(lost)} of {seen} clips ({100 * len(lost) / seen:.0f} %)"
    )
    which = ", always of the same real clip" if len(lost) > 1 == len({*lost}) else ""
    each = f"; each counts {counted:.3g} pixels" if lost else ""
    return f"{rule} {share}{which}{each}."
