"""Files that are whole or not there: written beside their place, to the disk, and renamed into it.

Several processes may write at once, also from several machines on one file system: each has a
partial file of its own. What a killed process left half-written goes when a file is next written
to the folder on the same machine, or when the folder is swept by whoever has it alone (`held`).
"""

from __future__ import annotations

import ctypes
import errno
import json
import logging
import os
import secrets
import shutil
import socket
import stat
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows has none
    fcntl = None  # type: ignore[assignment]

from attnzoo.errors import UserError

_LOG = logging.getLogger(__name__)

PARTIAL = ".partial-"
SUMS = "sums.json"
_FULL = 1 << 16
"""Bytes: less is free on a disk that is full."""
_NAME_BYTES = 150
"""Of a name that some may be put in front of; file systems allow 255."""
NO_LOCKS = (errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS)
"""What locking a file fails with where the file system has no locks."""
SPECIAL = "a pipe, a socket or a device, and no file"
_CWD, _EXCHANGE = -100, 2
"""`AT_FDCWD` and `RENAME_EXCHANGE` of Linux."""
_NO_SYNC = (errno.EINVAL, errno.EOPNOTSUPP, errno.ENOSYS, errno.EROFS)


class Held(Exception):
    """Another process has the lock."""


def special(path: Path) -> bool:
    """Whether a pipe, a socket or a device is there, links followed: no file and no folder."""
    try:
        mode = path.stat().st_mode
    except OSError:
        return False
    return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))


@contextmanager
def replacing(path: Path, *, over: bool = True) -> Iterator[Path]:
    """A path beside `path`, with its suffix, to write a file or folder to; then it takes its place.

    If the block fails, what it wrote goes and `path` stays as it was. A process that is killed may
    leave the partial one behind; its name begins with `PARTIAL`. Without `over` a folder does not
    take the place of one that holds something by then.

    Raises:
        UserError: a pipe or a device is there, which a file would put an end to.
        OSError: it cannot take its place.
    """
    if special(path):
        raise UserError(f"{path}: {SPECIAL}; name a file, or take it away")
    _sweep_dead(path.parent)
    beside = _beside(path)
    try:
        yield beside
        _settle(beside)
        if over and beside.is_dir() and path.is_dir():
            _exchange(beside, path)
        else:
            beside.replace(path)
        _to_disk(path.parent)
    except OSError:
        raise
    except Exception as error:
        # Libraries in other languages say that a write failed, and not why.
        if shutil.disk_usage(path.parent).free < _FULL:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path)) from error
        raise
    finally:
        remove(beside)


def _beside(path: Path) -> Path:
    mine = f"{_here()}-{os.getpid()}-{secrets.token_hex(4)}"
    return path.with_name(f"{PARTIAL}{mine}-{short(path)}")


def short(path: Path) -> str:
    """A file's name, or, where more in front would make it longer than names may be, its sum."""
    if len(os.fsencode(path.name)) <= _NAME_BYTES:
        return path.name
    suffix = path.suffix if len(os.fsencode(path.suffix)) < _NAME_BYTES else ""
    return f"{zlib.crc32(os.fsencode(path.name)):08x}{suffix}"


def _settle(path: Path) -> None:
    """Has the disk write a file, or all of a folder: a rename may outlive what it renames."""
    below = sorted(path.rglob("*")) if path.is_dir() else []
    for one in (*below, path):
        if not one.is_symlink():
            _to_disk(one)


def _to_disk(path: Path) -> None:
    try:
        file = os.open(path, os.O_RDONLY)
    except PermissionError:  # a folder that may be written to and not looked into
        return
    try:
        os.fsync(file)
    except OSError as error:
        if error.errno not in _NO_SYNC:
            raise
    finally:
        os.close(file)


def _exchange(new: Path, path: Path) -> None:
    """Puts a folder in another's place: none replaces one that holds something.

    Linux exchanges them in one step; `new` is the old one then. Elsewhere the old one is moved away
    and deleted when the new one is there, so that there is none only between two renames, and never
    half of one.
    """
    if _exchanged(new, path):
        return
    old = _beside(path)
    try:
        path.replace(old)
        new.replace(path)
    except BaseException:  # a signal, too
        if old.exists() and not path.exists():
            old.replace(path)
        raise
    remove(old)


def _exchanged(one: Path, other: Path) -> bool:
    """Whether the system could give each the other's name in one step."""
    try:
        rename = ctypes.CDLL(None).renameat2
    except (OSError, AttributeError, TypeError):
        return False
    return not rename(_CWD, os.fsencode(one), _CWD, os.fsencode(other), _EXCHANGE)


def remove(path: Path) -> None:
    """Deletes a file or a folder with all in it, if it is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def sweep(folder: Path) -> None:
    """Deletes what killed processes left half-written in `folder`, which nobody else writes to."""
    for path in folder.glob(f"{PARTIAL}*"):
        remove(path)


def _sweep_dead(folder: Path) -> None:
    """Deletes what processes of this machine that are no more left half-written there."""
    start = f"{PARTIAL}{_here()}-"
    for left in folder.glob(f"{start}*"):
        pid = left.name.removeprefix(start).partition("-")[0]
        if pid.isdecimal() and not _alive(int(pid)):
            remove(left)


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


@cache
def _here() -> str:
    """Short for this machine; containers on it have process numbers of their own.

    Several may have one name on a file system that they share, as `localhost`.
    """
    found = [socket.gethostname()]
    with suppress(OSError):
        found.append(os.readlink("/proc/self/ns/pid"))
    with suppress(OSError):
        found.append(Path("/etc/machine-id").read_text().strip())
    return f"{zlib.crc32(' '.join(found).encode()):08x}"


def seal(folder: Path) -> None:
    """Writes checksums of all files in a folder into it."""
    (folder / SUMS).write_text(json.dumps(_sums(folder), indent=1) + "\n")


def check_seal(folder: Path) -> None:
    """Whether the files of a folder are as they were sealed; one without a seal is let pass.

    Raises:
        ValueError: a file has changed, is gone or has come; it is named.
        OSError: one cannot be read.
    """
    if not (folder / SUMS).is_file():
        return
    wanted, found = json.loads((folder / SUMS).read_text()), _sums(folder)
    for name in sorted({*wanted, *found}):
        if wanted.get(name) != found.get(name):
            raise ValueError(f"{name} is not as it was written")


def _sums(folder: Path) -> dict[str, int]:
    """CRC-32: it finds every flipped bit, as fast as a disk reads."""
    found = {}
    for path in sorted(p for p in folder.rglob("*") if p.is_file() and p.name != SUMS):
        sum_ = 0
        with path.open("rb") as file:
            while chunk := file.read(1 << 20):
                sum_ = zlib.crc32(chunk, sum_)
        found[path.relative_to(folder).as_posix()] = sum_
    return found


@contextmanager
def held(path: Path, *, shared: bool = False, waits: bool = False) -> Iterator[None]:
    """Inside, no other process holds the lock file at `path`; `shared`: but for others that share.

    A killed process holds nothing. The file goes at the end, if it was not shared. On a file system
    without locks nothing is kept apart, which is logged. `waits`: until others have let go.

    Raises:
        Held: another process has it.
        OSError: the file cannot be made.
    """
    file = _locked(path, shared, waits)
    try:
        yield
    finally:
        if not shared:
            path.unlink(missing_ok=True)
        os.close(file)


def _locked(path: Path, shared: bool, waits: bool) -> int:
    mode = 0 if fcntl is None else fcntl.LOCK_SH if shared else fcntl.LOCK_EX
    taken = False
    while not taken:
        file = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            if fcntl is not None:
                fcntl.flock(file, mode if waits else mode | fcntl.LOCK_NB)
            # Whoever had it may have deleted the file between our opening and locking it.
            if os.path.samestat(os.fstat(file), os.stat(path)):
                return file
        except FileNotFoundError:
            pass
        except BlockingIOError:
            taken = True
        except OSError as error:
            if error.errno in NO_LOCKS:
                _LOG.warning("%s: this disk has no locks; let no other command work here", path)
                return file
            os.close(file)
            raise
        os.close(file)
    # Raised here, it does not come from the system's word for a lack of threads, which is the same.
    raise Held(str(path))
