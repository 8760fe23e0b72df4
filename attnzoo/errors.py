"""What a command says when its input is wrong."""

from __future__ import annotations

import struct
import zlib

DAMAGED: tuple[type[Exception], ...] = (
    OSError, EOFError, ValueError, TypeError, LookupError, AttributeError, ImportError,
    RuntimeError, ArithmeticError, MemoryError, SyntaxError, struct.error, zlib.error,
)  # fmt: skip
"""What readers of pictures and of weights raise of a damaged file, according to the damage."""


class UserError(ValueError):
    """Bad input from a user: one line that names the value and what would be right.

    Commands print it without a traceback and exit with status 2.
    """
