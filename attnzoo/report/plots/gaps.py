"""What is missing from a plot, said in its caption."""

from __future__ import annotations

from collections.abc import Sequence

from attnzoo.report.folder import Folder


def and_gaps(caption: str, missing: Sequence[str], folder: Folder) -> str:
    """The caption, with what is missing and that a short run is no judgement."""
    parts = [caption]
    if missing:
        parts.append(f"Missing: {', '.join(dict.fromkeys(missing))}.")
    if folder.quick:
        parts.append("A quick run, too short to judge by.")
    return " ".join(parts)


def failed(folder: Folder, cell: str) -> str | None:
    """Why a cell has no record at all, in one line; None if it has one."""
    if folder.records_of(cell):
        return None
    errors = [f"{f.kind}: {f.error}" for f in folder.failures if f.cell == cell]
    return f"failed ({errors[0]})" if errors else "not run"
