"""Commands of the package as forks of a process that has imported it: see `command.start`.

Reads one line of JSON a command, an `Asked`, and never answers: what a command prints, its process
id and its exit status are files in the folder that is asked for. It computes nothing itself and has
no threads, so a fork of it is as good as a fresh process, without the seconds of imports. Two
things are less than in use: a profile takes one round, and workers of tables are forks, too.
"""

from __future__ import annotations

import atexit
import gc
import importlib
import json
import multiprocessing
import os
import signal
import sys
import threading
import traceback
import warnings
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NoReturn

IMPORTED = (
    "attnzoo.__main__", "attnzoo.run", "attnzoo.train.experiment", "attnzoo.bench.profile",
    "attnzoo.scoring.measure", "attnzoo.tables.run", "attnzoo.report",
)  # fmt: skip


@dataclass(frozen=True)
class Asked:
    """`python -m PROGRAM ARGUMENTS` in `cwd`; `folder` has a pipe `told`, for id and status."""

    program: str
    arguments: list[str]
    cwd: str
    environment: dict[str, str]
    folder: str


def become(asked: Asked) -> NoReturn:
    """The command, from here to the process's end."""
    status = 1
    try:
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        for stream, name in ((1, "output"), (2, "errors")):
            os.dup2(os.open(Path(asked.folder, name), os.O_WRONLY | os.O_CREAT), stream)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        program = importlib.import_module(asked.program)
        os.chdir(asked.cwd)
        os.environ.clear()
        os.environ.update(asked.environment)
        warnings.simplefilter("error")
        sys.path[0], sys.argv = asked.cwd, [str(program.__file__), *asked.arguments]
        program.main()
        status = 0
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        traceback.print_exc()
    finally:
        threading._shutdown()  # type: ignore[attr-defined]
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def keep(asked: Asked) -> NoReturn:
    """The command's parent, which outlives it and tells how it ended."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    with open(Path(asked.folder, "told"), "w") as told:
        pid = os.fork()
        if pid == 0:
            told.close()
            become(asked)
        print(pid, file=told, flush=True)
        print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), file=told, flush=True)
    os._exit(0)


def main() -> None:
    for name in IMPORTED:
        importlib.import_module(name)
    job, workers = sys.modules["attnzoo.job"], sys.modules["attnzoo.tables.workers"]
    job.profiler = partial(job.profiler, rounds=1)  # type: ignore[attr-defined]
    workers._SPAWN = multiprocessing.get_context("fork")  # type: ignore[attr-defined]
    gc.collect()
    gc.freeze()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for who keeps a command
    for line in sys.stdin:
        if os.fork() == 0:
            keep(Asked(**json.loads(line)))


if __name__ == "__main__":
    main()
