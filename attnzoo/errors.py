"""What a command says when its input is wrong, or the machine lacks something."""

from __future__ import annotations

import errno
import os
import re
import struct
import zlib
from collections.abc import Iterator

DAMAGED: tuple[type[Exception], ...] = (
    OSError, EOFError, ValueError, TypeError, LookupError, AttributeError, ImportError,
    RuntimeError, ArithmeticError, MemoryError, SyntaxError, struct.error, zlib.error,
)  # fmt: skip
"""What readers of pictures and of weights raise of a damaged file, according to the damage."""


class UserError(ValueError):
    """Bad input from a user: one line that names the value and what would be right.

    Commands print it without a traceback and exit with status 2.
    """


_ERRNOS = {
    errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.EMFILE, errno.ENFILE,
    errno.EFBIG, errno.ENOMEM, errno.EIO, errno.ESTALE, errno.EAGAIN,
}  # fmt: skip
_NO_PLACE = "No usable temporary directory"
_LACKS = re.compile(
    f"{_NO_PLACE}|No space left on device|Disk quota exceeded|Read-only file system|"
    "Permission denied|Too many open files|File too large|allocate memory|not enough memory|"
    "Unable to allocate|out of memory|can't start new thread|"
    "could not create a (primitive|memory object)|failed to map segment",
    re.IGNORECASE,
)
_NOT_WRITTEN = re.compile(r"PytorchStreamWriter|inline_container|file write failed")


# EAGAIN: of threads that a library cannot start; no file or folder answers so.
_ANYWHERE = {errno.ENOSPC, errno.EDQUOT, errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EAGAIN}
_PASSING = {errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ESTALE, errno.EAGAIN}


_IN_WORDS = re.compile(r"\((?:os error )?(\d{1,3})\)")


def _number(error: BaseException) -> int | None:
    """The system's number; libraries in Rust, and torch's C++, have it in their words alone."""
    number = getattr(error, "errno", None)
    if number is not None:
        return int(number)
    text = str(error)
    found = (int(one) for one in _IN_WORDS.findall(text))
    return next((one for one in found if f"{os.strerror(one)} (" in text), None)


def passing(error: BaseException) -> bool:
    """Whether a file could not be read for want of something, which says nothing of the file."""
    return _number(error) in _PASSING


def lacking_anywhere(error: UserError) -> str | None:
    """What the machine lacks, if bad input is said of what failed for that and not of its place.

    Another folder, or permission, would not help: these are no faults of what was given. Memory may
    be asked for in vain by what a damaged file says of itself, and counts for nothing here.
    """
    for seen in _chain(error.__cause__):
        if _number(seen) in _ANYWHERE or _NO_PLACE in str(seen):
            return lacking(seen)
    return None


_MISTAKES = (
    LookupError, AttributeError, NameError, TypeError, AssertionError, ArithmeticError,
)  # fmt: skip


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """An error, and what it comes from; libraries name one as its own cause (OmegaConf, traced)."""
    passed: set[int] = set()
    while error is not None and id(error) not in passed:
        passed.add(id(error))
        yield error
        # A mistake of a program that comes while another error is dealt with comes from itself.
        error = error.__cause__ or (None if isinstance(error, _MISTAKES) else error.__context__)


def lacking(error: BaseException) -> str | None:
    """One line on what the machine lacks, if that is what an error comes from; else None."""
    for seen in _chain(error):
        text = " ".join(str(seen).split())
        if isinstance(seen, OSError) and seen.errno in _ERRNOS:
            return f"{seen.strerror}: {seen.filename}" if seen.filename else str(seen.strerror)
        if isinstance(seen, MemoryError) or _LACKS.search(text):
            return text[:300] or "not enough memory"
        if _NOT_WRITTEN.search(text):  # by torch, which does not say why
            return f"a file could not be written, as where no space is left: {text[:200]}"
    return None
