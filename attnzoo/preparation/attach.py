"""Data whose training clips come from a store that was filled for the same settings."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from attnzoo.data.prepared import Asked, Plan, PreparedClips, recordings_of
from attnzoo.data.source import Source
from attnzoo.data.store import Store
from attnzoo.data.windows import Recording
from attnzoo.errors import UserError
from attnzoo.preparation.identity import keys_of, sheet_of
from attnzoo.preparation.prepare import recordings
from attnzoo.train.settings import Experiment

COMMAND = "python -m attnzoo.prepare"


def attach(
    experiment: Experiment, source: Source, folder: Path, settings: Sequence[str] = ()
) -> Source:
    """The same data; training reads the store and neither pictures nor weights of frozen parts.

    Test clips stay what they are: scores need their pictures.

    Args:
        experiment: what the store must have been filled for.
        source: the opened data.
        folder: the store's.
        settings: of the command line, for the command that an error names.

    Raises:
        UserError: the store lacks something; says which command fills it.
    """
    windows = recordings(source)
    remedy = f"run `{' '.join((COMMAND, *map(_quoted, settings)))}`" + (
        "" if settings else " with this run's settings"
    )
    store = Store(folder)
    keys = keys_of(experiment, source, store.catalogue, write=False)

    def refuse(file: Path) -> None:
        raise UserError(
            f"data.prepared={folder}: {file.relative_to(folder)} is damaged, its checksum does not "
            f"fit; {remedy}"
        )

    digests = {r: _digests(r, store, folder, remedy, refuse) for r in recordings_of(windows)}
    sheet = store.sheet(sheet_of(experiment, source, keys, digests), refuse)
    try:
        asks = [] if sheet is None else _asked(sheet)
    except (KeyError, TypeError, ValueError):
        sheet = None  # of another form, as of another version
    if sheet is None:
        raise UserError(
            f"data.prepared={folder}: not, or not to the end, prepared for these data, this model "
            f"and this flow; {remedy}"
        )
    plan = Plan(windows, digests, keys, asks)
    return replace(source, train=PreparedClips(plan, store, remedy))


def _asked(sheet: Mapping[str, Any]) -> list[Asked]:
    return [(tuple(reference), (h, w)) for reference, (h, w) in sheet["asked"]]


def _digests(
    recording: Recording,
    store: Store,
    folder: Path,
    remedy: str,
    damaged: Callable[[Path], None],
) -> Sequence[str]:
    stamps = recording.stamps()
    if not stamps:
        return recording.page().digests
    page = store.catalogue.page(recording.page_name, stamps, damaged)
    if page is None:
        raise UserError(
            f"data.prepared={folder}: {recording.name} was never prepared, or its files have "
            f"changed since; {remedy}"
        )
    return page.digests


def _quoted(text: str) -> str:
    return f"'{text}'" if any(c in text for c in ' []{}()*?$&;|<>"\\') else text
