"""What takes long to make is made by one of the test processes, for all of them."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Callable
from pathlib import Path

from pytest import TempPathFactory


def made_once(factory: TempPathFactory, name: str, make: Callable[[Path], None]) -> Path:
    """A folder of this process's own with what `make` leaves in a folder.

    It is called by the first process that asks; the others wait, and get a copy, too.
    """
    base = factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        base = base.parent
    shared = base / f"once-{name}"
    with open(base / f"once-{name}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not shared.exists():
            # One that fails fails for whoever asks next as well, from the beginning.
            unfinished = factory.mktemp(name)
            make(unfinished)
            unfinished.rename(shared)
    own = factory.mktemp(name) / name
    shutil.copytree(shared, own)
    return own
