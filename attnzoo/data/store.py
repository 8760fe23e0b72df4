"""A folder of tensors that were computed beforehand, one item for each thing they were made from.

items/3f/3f2a...    an item: its SHA-256 and then safetensors; named by what decides its numbers
catalogue/          what is known of the files that were read (`attnzoo.data.catalogue`)
sheets/             which items a run's settings need, written when all of them are there
locks/              who is at work on which recording

An item is written beside its place and renamed, so it is whole or absent; its checksum is compared
whenever it is read; so are those of pages and sheets. Several processes may read and write at once.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import logging
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from safetensors.torch import load, save
from torch import Tensor

from attnzoo.data import summed
from attnzoo.data.catalogue import Catalogue
from attnzoo.errors import UserError, passing
from attnzoo.files import NO_LOCKS, PARTIAL, remove, replacing
from attnzoo.paths import regular

_LOG = logging.getLogger(__name__)

_SUM = 32
"""Bytes of a SHA-256."""


class Unsound(UserError):
    """An item is missing, or damaged: its bytes are not those that were written."""

    def __init__(self, message: str, *, damaged: bool) -> None:
        super().__init__(message)
        self.damaged = damaged


def key_of(*parts: object) -> str:
    """The name of an item: SHA-256 of plain values that decide its numbers."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def catalogue_in(folder: Path) -> Catalogue:
    """The catalogue of the store in a folder."""
    return Catalogue(folder / "catalogue")


class Store:
    """The store in `folder`, which need not be there yet."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.catalogue = catalogue_in(folder)

    def get(self, key: str) -> dict[str, Tensor]:
        """An item's tensors.

        Raises:
            Unsound: it is missing, or damaged.
            OSError: the machine lacks something, which says nothing of the item.
        """
        file = self._file(key)
        try:
            content = regular(file).read_bytes()
        except FileNotFoundError as error:
            raise Unsound(f"{file} is missing", damaged=False) from error
        except OSError as error:
            if passing(error):
                raise
            reason = f"{file} cannot be read ({error.strerror})"
            raise Unsound(reason, damaged=True) from error
        payload = memoryview(content)[_SUM:]
        if hashlib.sha256(payload).digest() != content[:_SUM]:
            raise Unsound(f"{file} is damaged, its checksum does not fit", damaged=True)
        return load(bytes(payload))

    def put(self, key: str, tensors: Mapping[str, Tensor]) -> None:
        """Writes an item, whole or not at all; replaces one that is there."""
        file = self._file(key)
        file.parent.mkdir(parents=True, exist_ok=True)
        payload = save({name: t.detach().cpu().contiguous() for name, t in tensors.items()})
        with replacing(file) as beside, beside.open("wb") as stream:
            stream.write(hashlib.sha256(payload).digest())
            stream.write(payload)

    def sheet(
        self, key: str, damaged: Callable[[Path], None] = summed.notice
    ) -> dict[str, Any] | None:
        """The sheet under `key`, None if there is none, or it is damaged, which `damaged` is told.

        Raises:
            OSError: the machine lacks something, which says nothing of the sheet.
        """
        return summed.read(self._sheet(key), damaged)

    def put_sheet(self, key: str, content: Mapping[str, Any]) -> None:
        """Writes a sheet, whole or not at all."""
        summed.write(self._sheet(key), content)

    @contextmanager
    def shared(self) -> Iterator[None]:
        """For as long as a process writes; the first of several sweeps what killed ones left.

        On a file system without locks nobody knows who is the first: nothing is swept, which is
        logged, and several processes do the same work instead of sharing it. Items stay whole.
        """
        with self._locked("all", fcntl.LOCK_EX, wait=False, lockless=False) as alone:
            if alone:
                for path in self.folder.glob(f"*/**/{PARTIAL}*"):
                    remove(path)
        with self._locked("all", fcntl.LOCK_SH, wait=True, lockless=False) as sharing:
            if not sharing:
                _LOG.warning("%s: this disk has no locks; let one command work here", self.folder)
            yield

    @contextmanager
    def claimed(self, name: str, *, wait: bool) -> Iterator[bool]:
        """Whether this process alone works on `name` meanwhile; ends with the process at latest."""
        key = hashlib.sha256(name.encode(errors="surrogateescape")).hexdigest()
        with self._locked(key, fcntl.LOCK_EX, wait=wait, lockless=True) as got:
            yield got

    @contextmanager
    def _locked(self, name: str, kind: int, *, wait: bool, lockless: bool) -> Iterator[bool]:
        """Whether this process has the lock; `lockless` where there are no locks."""
        folder = self.folder / "locks"
        folder.mkdir(parents=True, exist_ok=True)
        handle = os.open(folder / name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            yield _lock(handle, kind if wait else kind | fcntl.LOCK_NB, lockless)
        finally:
            os.close(handle)

    def _file(self, key: str) -> Path:
        return self.folder / "items" / key[:2] / key

    def _sheet(self, key: str) -> Path:
        return self.folder / "sheets" / f"{key}.json"


def _lock(handle: int, operation: int, lockless: bool) -> bool:
    try:
        fcntl.flock(handle, operation)
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno not in NO_LOCKS:
            raise
        return lockless
    return True
