"""Fills a store with all that the training windows of a run need, and goes on where it stopped."""

from __future__ import annotations

import logging
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch
from tqdm import tqdm

from attnzoo.data.catalogue import Catalogue
from attnzoo.data.prepared import Plan, recordings_of, windows_of
from attnzoo.data.source import Source
from attnzoo.data.store import Store, Unsound
from attnzoo.data.windows import Recording, Windows
from attnzoo.errors import UserError
from attnzoo.models.methods import Method
from attnzoo.paths import make_writable
from attnzoo.preparation.asked import asked
from attnzoo.preparation.identity import keys_of, sheet_of
from attnzoo.preparation.making import Maker
from attnzoo.train.device import check_machine
from attnzoo.train.settings import Experiment, Precision

_LOG = logging.getLogger(__name__)

_HALF = {Precision.fp32: None, Precision.bf16: torch.bfloat16, Precision.fp16: torch.float16}

PARTS = ("items", "locks", "catalogue", "sheets")
"""The folders of a store."""
AT_ONCE = 16
"""Windows whose missing items are made together."""


@dataclass
class Outcome:
    """What was found and done: items made, items that were there, and damaged ones made again."""

    windows: int = 0
    made: int = 0
    kept: int = 0
    rebuilt: int = 0
    _sound: set[str] = field(default_factory=set, repr=False, compare=False)


def recordings(source: Source) -> Windows:
    """The training windows of data that are read from files.

    Raises:
        UserError: the data are made on the fly.
    """
    found = windows_of(source.train)
    if found is None:
        raise UserError(
            f"data={source.name}: its clips are drawn and not read, so there is nothing to "
            "prepare; data=tiktok and data=video have data.prepared=FOLDER"
        )
    return found


def prepare(experiment: Experiment, source: Source, folder: Path) -> Outcome:
    """Computes what is not in the store in `folder` yet.

    An item is whole or absent, so a killed process costs the one that it was at. Every item that is
    there is read and its checksum compared; a damaged one is made again, with a notice. Several
    processes share the recordings between them.

    Raises:
        UserError: bad input; a frame is damaged; weights are missing.
    """
    windows = recordings(source)
    device = check_machine(experiment)
    store = Store(folder)
    _writable(folder)
    with store.shared():
        asks = asked(experiment, source.frames, source.size)
        model = experiment.model.build().to(device)
        keys = keys_of(experiment, source, store.catalogue, write=True)
        digests: dict[Recording, Sequence[str]] = {}
        plan = Plan(windows, digests, keys, asks)
        maker = Maker(
            model,
            plan,
            source.train,
            store,
            device=device,
            half=_HALF[experiment.precision],
            foreground=experiment.method is Method.dreampose,
            workers=experiment.workers,
        )
        outcome = Outcome()
        _all(plan, maker, store, digests, outcome)
        for recording in _tested(source):
            known(recording, store.catalogue)
        in_order = {recording: digests[recording] for recording in recordings_of(windows)}
        store.put_sheet(
            sheet_of(experiment, source, keys, in_order),
            {"asked": [[list(reference), list(grid)] for reference, grid in asks]},
        )
    return outcome


def known(recording: Recording, catalogue: Catalogue) -> Sequence[str]:
    """The digests of a recording's frames, written down; files are read only where they changed."""
    stamps = recording.stamps()
    page = catalogue.page(recording.page_name, stamps)
    if page is None:
        page = recording.page()
        if stamps:
            catalogue.put(recording.page_name, stamps, page)
    return page.digests


def _tested(source: Source) -> list[Recording]:
    found = windows_of(source.test)
    return [] if found is None else recordings_of(found)


def _all(
    plan: Plan,
    maker: Maker,
    store: Store,
    digests: dict[Recording, Sequence[str]],
    outcome: Outcome,
) -> None:
    """All recordings: first those that nobody else is at, then the others, to see them done."""
    numbers: dict[Recording, list[int]] = {}
    for index, (recording, _) in enumerate(plan.windows.starts):
        numbers.setdefault(recording, []).append(index)
    left = list(numbers)
    seconds = 0.2 if sys.stderr.isatty() else 10.0
    with tqdm(total=len(plan.windows), desc="windows", unit="window", mininterval=seconds) as bar:
        for wait in (False, True):
            for recording in tuple(left):
                with store.claimed(recording.page_name, wait=wait) as mine:
                    if not mine:
                        continue
                    left.remove(recording)
                    digests[recording] = known(recording, store.catalogue)
                    _one(recording, numbers[recording], maker, store, outcome, bar)


def _one(
    recording: Recording,
    windows: Sequence[int],
    maker: Maker,
    store: Store,
    outcome: Outcome,
    bar: tqdm[object],
) -> None:
    """One recording's windows, some at once."""
    nobody = maker.plan.keys.nobody()
    if _missing(store, [nobody], outcome):
        maker.nobody(recording, maker.plan.where(windows[0])[0])
        outcome.made += 1
    outcome._sound.add(nobody)
    for at in range(0, len(windows), AT_ONCE):
        part = windows[at : at + AT_ONCE]
        wanted = dict.fromkeys(key for index in part for key in maker.plan.needs(index))
        missing = _missing(store, wanted, outcome)
        if missing:
            maker.make(recording, part, missing)
            outcome.made += len(missing)
            outcome._sound.update(missing)
        outcome.windows += len(part)
        bar.set_postfix_str(f"{outcome.made} items made, {outcome.kept} there", refresh=False)
        bar.update(len(part))


def _missing(store: Store, keys: Sequence[str] | dict[str, None], outcome: Outcome) -> list[str]:
    """The items that are not there, or not as they were written."""
    absent = []
    for key in keys:
        if key in outcome._sound:
            continue
        try:
            store.get(key)
        except Unsound as error:
            absent.append(key)
            if error.damaged:
                outcome.rebuilt += 1
                _LOG.warning("%s: it is made again", error)
        else:
            outcome.kept += 1
            outcome._sound.add(key)
    return absent


def _writable(folder: Path) -> None:
    for part in ("", *PARTS):
        make_writable(folder / part, f"data.prepared={folder}")
