"""The frame of every command: the one place where an error becomes an exit status.

0: done. 1: a fault of the program, with its traceback, or of a mechanism, as `check` says. 2: bad
input, as one line on stderr (with `HYDRA_FULL_ERROR=1` as a traceback). 74: the machine lacks what
it needs (disk, memory, permission, file descriptors), as one line too. 130: interrupted. 141:
whoever read what it prints has gone before it was done. 143: terminated. A second Ctrl-C or SIGTERM
ends the process at once. Of several processes of one run the first that fails speaks, and the
others end in silence.
"""

from __future__ import annotations

import argparse
import io
import os
import signal
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn, TextIO

from attnzoo import registry
from attnzoo.errors import UserError, lacking, lacking_anywhere
from attnzoo.paths import typed
from attnzoo.signals import give_to

BAD_INPUT = 2
LACKS = 74
INTERRUPTED = 128 + signal.SIGINT
TERMINATED = 128 + signal.SIGTERM

UNHEARD = 128 + signal.SIGPIPE

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


SAME_COMMAND = "the same command goes on where it was"

_going_on: list[str] = []


@contextmanager
def going_on(how: str) -> Iterator[None]:
    """If the command is stopped inside, by a signal or by what the machine lacks, it says `how`."""
    _going_on.append(how)
    yield
    _going_on.pop()  # not after an exception, whose reader is `execute`


def execute(command: Command, arguments: Sequence[str] | None = None) -> NoReturn:
    """Runs `command` on `arguments` (default: the process's own) and exits with its status."""
    _going_on.clear()
    _signalled.clear()
    _open_closed()
    _say_any_name()
    signal.signal(signal.SIGTERM, _terminate)
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # and not ignored
        signal.signal(signal.SIGINT, _interrupt)
    try:
        with _signals_first():
            command(sys.argv[1:] if arguments is None else arguments)
        sys.stdout.flush()
    except UserError as error:
        lack = None if full_error() else lacking_anywhere(error)
        if lack is not None:
            _end_lacking(lack)
        if _speaks():
            _last_word(partial(_complain, error))
        sys.exit(BAD_INPUT)
    except KeyboardInterrupt:
        _last_word(partial(_say, "interrupted"))
        sys.exit(INTERRUPTED)
    except SystemExit as end:
        if end.code == TERMINATED:
            _last_word(partial(_say, "terminated"))
        if _going_on and not end.code:  # somebody else's, in a mechanism or a library
            _last_word(partial(_say, "left by SystemExit before it was done"))
            sys.exit(FAULT)
        raise
    except BrokenPipeError:
        _nobody_reads()
        if _going_on:  # in the middle of something, and not as in `attnzoo list | head`
            sys.exit(UNHEARD)
    except Exception as error:
        lack = None if full_error() else lacking(error)
        if lack is not None:
            _end_lacking(lack)
        if _speaks():
            raise
        sys.exit(FAULT)
    sys.exit(0)


def _end_lacking(lack: str) -> NoReturn:
    _last_word(partial(_say, lack))
    sys.exit(LACKS)


def _last_word(say: Callable[[], None]) -> None:
    """The status stays what it is where nobody reads it, or it finds no room."""
    with suppress(OSError):
        say()
    _nobody_reads()


def _nobody_reads() -> None:
    """What is still buffered may have no reader: Python would say so at exit, and end with 120."""
    for stream in (sys.stdout, sys.stderr):
        _to_nobody(stream)


def _open_closed() -> None:
    """Streams that were closed take what is printed nowhere, and no file gets their numbers."""
    for number, name in ((1, "stdout"), (2, "stderr")):
        if getattr(sys, name) is None:
            null = os.open(os.devnull, os.O_WRONLY)
            if null != number:
                os.dup2(null, number)
                os.close(null)
            setattr(sys, name, os.fdopen(number, "w"))


def _say_any_name() -> None:
    """A name of a file may be no text in the streams' encoding: it is shown by its bytes."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # and not what somebody put in its place
            stream.reconfigure(errors="backslashreplace")


def _to_nobody(stream: TextIO) -> None:
    """What is printed from now on goes nowhere, if nobody takes what was."""
    try:
        stream.flush()
    except OSError:
        with suppress(OSError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


@contextmanager
def _signals_first() -> Iterator[None]:
    """Whatever goes wrong after a signal comes from it.

    Libraries in other languages may take its exception for a fault of what they were reading.
    """
    try:
        yield
    except Exception as error:
        if signal.SIGTERM in _signalled:
            raise SystemExit(TERMINATED) from error
        if _signalled:
            raise KeyboardInterrupt from error
        raise


_signalled: list[int] = []


def full_error() -> bool:
    """Whether the user wants tracebacks, by Hydra's own environment variable."""
    return os.environ.get("HYDRA_FULL_ERROR") == "1"


def _complain(error: UserError) -> None:
    if full_error():
        traceback.print_exception(error)
    else:
        print(" ".join(str(error).split()), file=sys.stderr)


def _speaks() -> bool:
    """Whether this process is to say what went wrong: alone, or the first of several that fails."""
    processes = sys.modules.get("attnzoo.train.processes")
    return processes is None or bool(processes.joined().speaks())


def _say(what: str) -> None:
    if _speaks():
        print("; ".join([what, *_going_on[-1:]]), file=sys.stderr)


def _terminate(signum: int, frame: FrameType | None) -> NoReturn:
    # An exception, so that open files, bars and worker processes are closed on the way out.
    _signalled.append(signum)
    _end_at_once_next()
    sys.exit(TERMINATED)


def _interrupt(signum: int, frame: FrameType | None) -> NoReturn:
    _signalled.append(signum)
    _end_at_once_next()
    raise KeyboardInterrupt


def _end_at_once_next() -> None:
    """The next signal is the system's: it does not wait for what Python is in the middle of."""
    give_to(signal.SIG_DFL)
