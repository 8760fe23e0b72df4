"""The frame of every command: the one place where an error becomes an exit status.

0: done. 1: a fault of the program, with its traceback, or of a mechanism, as `check` says. 2: bad
input, as one line on stderr (with `HYDRA_FULL_ERROR=1` as a traceback). 130: interrupted. 143:
terminated. Of several processes of one run the first that fails speaks, and the others end in
silence.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

from attnzoo import registry
from attnzoo.errors import UserError
from attnzoo.paths import typed

BAD_INPUT = 2
INTERRUPTED = 128 + signal.SIGINT
TERMINATED = 128 + signal.SIGTERM

FAULT = 1

Command = Callable[[Sequence[str]], None]
"""Takes the arguments behind its own name."""


def path(text: str) -> Path:
    """The type of an argument that is a file or a folder."""
    try:
        return typed(text, text or "''")
    except UserError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def seed(text: str) -> int:
    """The type of an argument that seeds something."""
    if not text.isdecimal() or int(text) > MOST_SEED:
        raise argparse.ArgumentTypeError(f"{text}: must be an integer from 0 to {MOST_SEED}")
    return int(text)


MOST_SEED = 2**63 - 1


class Parser(argparse.ArgumentParser):
    """An argument parser whose complaint is one line like any other."""

    def error(self, message: str) -> NoReturn:
        """Raises `UserError`."""
        raise UserError(f"{self.prog}: {message}; --help shows what is right")

    def add_plugins(self) -> None:
        """Adds `--plugin FILE`, which is loaded as it is read."""
        self.add_argument(
            "--plugin",
            action=_LoadPlugin,
            metavar="FILE",
            help="a file or module of your own mechanisms; may be given again",
        )

    def add_metrics(self) -> None:
        """Adds `--weights` of metrics' networks, and `--plugin FILE` for metrics of one's own."""
        self.add_argument(
            "--weights",
            action="append",
            default=[],
            metavar="FOLDER|NAME=FILE",
            help="where weights of published networks are; may be given again",
        )
        self.add_argument(
            "--plugin", action="append", metavar="FILE", help="a file of your own metrics"
        )


class _LoadPlugin(argparse.Action):
    def __call__(self, parser: object, namespace: object, values: Any, option: Any = None) -> None:
        registry.load_plugin(values)


def execute(command: Command, arguments: Sequence[str] | None = None) -> NoReturn:
    """Runs `command` on `arguments` (default: the process's own) and exits with its status."""
    signal.signal(signal.SIGTERM, _terminate)
    try:
        command(sys.argv[1:] if arguments is None else arguments)
        sys.stdout.flush()
    except UserError as error:
        sys.exit(_complain(error) if _speaks() else BAD_INPUT)
    except KeyboardInterrupt:
        if _speaks():
            print("interrupted", file=sys.stderr)
        sys.exit(INTERRUPTED)
    except BrokenPipeError:
        # The reader of our output has gone, as in `attnzoo list | head`. What is still buffered
        # has nowhere to go; without this Python would say so at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except Exception:
        if _speaks():
            raise
        sys.exit(FAULT)
    sys.exit(0)


def full_error() -> bool:
    """Whether the user wants tracebacks, by Hydra's own environment variable."""
    return os.environ.get("HYDRA_FULL_ERROR") == "1"


def _complain(error: UserError) -> int:
    if full_error():
        traceback.print_exception(error)
    else:
        print(" ".join(str(error).split()), file=sys.stderr)
    return BAD_INPUT


def _speaks() -> bool:
    """Whether this process is to say what went wrong: alone, or the first of several that fails."""
    processes = sys.modules.get("attnzoo.train.processes")
    return processes is None or bool(processes.joined().speaks())


def _terminate(signum: int, frame: FrameType | None) -> NoReturn:
    # An exception, so that open files, bars and worker processes are closed on the way out.
    sys.exit(TERMINATED)
