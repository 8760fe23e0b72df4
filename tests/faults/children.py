"""Commands of the package in real processes that need not import it: forks of this one.

The process that calls `start` has imported everything, has no threads and computes nothing with
torch itself, so that a fork of it is as good as a fresh process, without the seconds of imports. It
is the reaper of whatever its children leave behind (`adopt_orphans`).
"""

from __future__ import annotations

import atexit
import ctypes
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

_PR_SET_PDEATHSIG, _PR_SET_CHILD_SUBREAPER = 1, 36
HANG_S = 900.0
"""A command that has not ended after so long is taken for one that hangs."""
ORPHANS_S = 30.0
"""How long worker processes may take to notice that the command is gone."""


def adopt_orphans() -> None:
    """Makes this process the parent of its descendants whose own parent dies."""
    if ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_CHILD_SUBREAPER)")


@dataclass
class Child:
    """A command at work, in a process group of its own; its output goes to files."""

    pid: int
    output: Path
    errors: Path
    began: float = field(default_factory=time.monotonic)
    status: int | None = None
    hung: bool = False

    @property
    def said(self) -> str:
        """What it has printed, both streams."""
        return self.output.read_text(errors="replace") + self.errors.read_text(errors="replace")

    def alive(self) -> bool:
        """Whether the command itself is still at work."""
        if self.status is None:
            found, status = os.waitpid(self.pid, os.WNOHANG)
            if found:
                self.status = os.waitstatus_to_exitcode(status)
        return self.status is None

    def send(self, number: int) -> None:
        """A signal to the command alone."""
        if self.alive():
            os.kill(self.pid, number)

    def send_all(self, number: int) -> None:
        """A signal to the command and its workers, as a terminal sends Ctrl-C."""
        if self.alive():
            os.killpg(self.pid, number)

    def wait(self, seconds: float = HANG_S) -> int:
        """Its exit status, negative for a signal; killed and `hung` after `seconds`."""
        until = time.monotonic() + seconds
        while self.alive():
            if time.monotonic() > until:
                self.hung = True
                os.killpg(self.pid, signal.SIGKILL)
                self.status = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
            time.sleep(0.002)
        assert self.status is not None
        return self.status

    def orphans(self, seconds: float = ORPHANS_S) -> bool:
        """Whether processes of a command that has ended go on; those that do are killed."""
        until, late = time.monotonic() + seconds, False
        while True:
            try:
                found, _ = os.waitpid(-self.pid, os.WNOHANG)
            except ChildProcessError:
                return late
            if not found:
                if time.monotonic() > until and not late:
                    late = True
                    os.killpg(self.pid, signal.SIGKILL)
                time.sleep(0.005)


def start(
    arguments: Sequence[str],
    folder: Path,
    *,
    logs: Path,
    before: Callable[[], None] | None = None,
    environment: Mapping[str, str] | None = None,
) -> Child:
    """`python -m attnzoo ARGUMENTS` in `folder`.

    logs: the folder for what it prints; before: called in the process, just before the command.
    """
    logs.mkdir(parents=True, exist_ok=True)
    number = len(list(logs.glob("*.out")))
    output, errors = logs / f"{number:03}.out", logs / f"{number:03}.err"
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
    files = [os.open(path, flags, 0o666) for path in (output, errors)]
    assert threading.active_count() == 1, "a fork takes no threads along"
    sys.stdout.flush()
    sys.stderr.flush()
    pid = os.fork()
    if pid == 0:
        _command(arguments, folder, files, before, environment or {})
    for file in files:
        os.close(file)
    return Child(pid, output, errors)


def _command(
    arguments: Sequence[str],
    folder: Path,
    files: Sequence[int],
    before: Callable[[], None] | None,
    environment: Mapping[str, str],
) -> NoReturn:
    """The child's whole life."""
    status = 70
    try:
        # Nobody waits for it any more: it must not go on in folders where the next harness works.
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        os.setpgid(0, 0)
        for number, file in enumerate((os.open(os.devnull, os.O_RDONLY), *files)):
            os.dup2(file, number)
            os.close(file)
        os.chdir(folder)
        os.environ.update(environment)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        from attnzoo.__main__ import main

        sys.argv = ["attnzoo", *arguments]
        if before is not None:
            before()
        status = _status(main)
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(status)


def _status(main: Callable[[], None]) -> int:
    """What the interpreter would exit with, its own way out included."""
    status = 0
    try:
        try:
            main()
        except SystemExit as end:
            status = end.code if isinstance(end.code, int) else int(end.code is not None)
        except BaseException:
            traceback.print_exc()
            status = 1
        threading._shutdown()  # type: ignore[attr-defined]
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 1
    except BaseException:
        traceback.print_exc()
        return 1
    return status
