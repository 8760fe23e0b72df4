"""Files that are whole or not there: written beside their place and renamed into it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PARTIAL = ".partial-"


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A path beside `path`, with its suffix, to write a file or folder to; then it takes its place.

    If the block fails, what it wrote goes and `path` stays as it was. A process that is killed may
    leave the partial one behind; its name begins with `PARTIAL`.
    """
    beside = path.with_name(f"{PARTIAL}{os.getpid()}-{path.name}")
    try:
        yield beside
        if beside.is_dir() and path.is_dir():
            # A folder replaces no folder that holds something; for a moment there is none.
            shutil.rmtree(path)
        beside.replace(path)
    finally:
        remove(beside)


def remove(path: Path) -> None:
    """Deletes a file or a folder with all in it, if it is there."""
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def sweep(folder: Path) -> None:
    """Deletes what killed processes left half-written in `folder`."""
    for path in folder.glob(f"{PARTIAL}*"):
        remove(path)
