"""A small file system in memory in the place of a folder."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def possible() -> None:
    """OSError where this process may not mount."""
    with tempfile.TemporaryDirectory() as folder, mounted(Path(folder), "size=64k"):
        pass


@contextmanager
def mounted(folder: Path, options: str) -> Iterator[None]:
    """A tmpfs at `folder` inside; what is in it is gone afterwards.

    Raises:
        OSError: it cannot be mounted.
    """
    folder.mkdir(exist_ok=True)
    _run("mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder))
    try:
        yield
    finally:
        _run("umount", str(folder))


def clear(folder: Path) -> None:
    """Unmounts what a killed run of this harness has left mounted below `folder`."""
    for line in Path("/proc/mounts").read_text().splitlines():
        place = line.split()[1]
        if place.startswith(f"{folder}{os.sep}"):
            _run("umount", place)


def remount(folder: Path, options: str) -> None:
    """Changes the options of what is mounted there."""
    _run("mount", "-o", f"remount,{options}", str(folder))


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise OSError(f"{' '.join(command)}: {done.stderr.strip()}")
