"""Paths as people type them, and paths that come out of a file.

Part of the registry: imports the standard library only.
"""

from __future__ import annotations

import errno
import os
import tempfile
from pathlib import Path

from attnzoo.errors import UserError
from attnzoo.files import SPECIAL, special


def typed(text: str | Path, what: str) -> Path:
    """A path from a command line, with `~` expanded; nothing has to be there.

    Args:
        text: the path; an empty one is refused, since it would mean the working directory.
        what: how an error begins, such as `data.path=clip.mp4`.

    Raises:
        UserError: it is empty, begins with the home of nobody, or can be no path here.
    """
    if not str(text):
        raise UserError(f"{what}: an empty path; name a file or a folder")
    try:
        path = Path(text).expanduser()
    except RuntimeError as error:
        raise UserError(f"{what}: no such user, {Path(text).parts[0]}") from error
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        pass
    except (OSError, ValueError) as error:  # too long, a link to itself, not ours, a zero inside
        raise UserError(f"{what}: {getattr(error, 'strerror', None) or error}") from error
    return path


class NoFile(OSError, UserError):
    """A pipe, a socket or a device where a file is to be read."""

    def __str__(self) -> str:
        return f"{self.filename}: {self.strerror}"


def regular(path: Path) -> Path:
    """`path`, of which a file is to be read: what is none may keep its reader waiting for ever.

    Raises:
        NoFile: a pipe, a socket or a device is there, links followed.
    """
    if special(path):
        raise NoFile(errno.EINVAL, SPECIAL, str(path))
    return path


def check_place(file: Path) -> None:
    """UserError where a file that somebody names would put an end to what is no file.

    A file takes the place of what is there, and of a link the link's own, as of `/dev/stdout`.
    """
    if special(file):
        raise UserError(f"{file}: {SPECIAL}; name a file")
    if file.is_symlink():
        raise UserError(f"{file}: a link; name the file that it leads to")


def inside(folder: Path, name: str, what: str, called: str = "") -> Path:
    """`folder/name`, for a name that a file gives: it has to lie in the folder, links followed.

    `called` is what to call the folder in an error.

    Raises:
        UserError: it does not, or can be no path; the message begins with `what`.
    """
    try:
        root = folder.resolve()
        path = (root / name).resolve()
    except (OSError, ValueError, RuntimeError) as error:
        said = getattr(error, "strerror", None) or " ".join(str(error).split())
        raise UserError(f"{what}: {name!r:.300} cannot be a path here ({said})") from error
    if not path.is_relative_to(root):
        raise UserError(f"{what}: {name} leaves {called or f'the folder {folder}'}")
    return path


def check_folder(folder: Path, what: str) -> None:
    """UserError, beginning with `what`, if a folder can be neither made nor written; makes none."""
    try:
        existing = next(p for p in (folder, *folder.absolute().parents) if os.path.lexists(p))
        with tempfile.TemporaryFile(dir=existing):
            pass
    except OSError as error:
        raise UserError(
            f"{what}: cannot be written ({error.strerror}); take another folder"
        ) from error


def make_writable(folder: Path, what: str) -> None:
    """Makes a folder, if it is not there, and tries to write in it; leaves no file.

    Raises:
        UserError: it cannot be; the message begins with `what`.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise UserError(f"{what}: cannot be written ({error.strerror})") from error
