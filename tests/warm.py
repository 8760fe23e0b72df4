"""Commands of the package as forks of a process that has imported it: what `command.command` runs.

Reads one line of JSON a command, `[arguments, cwd, output file, error file]`, and answers with its
exit status. It computes nothing itself and has no threads, so a fork of it is as good as a fresh
process, without the seconds of imports.
"""

from __future__ import annotations

import atexit
import importlib
import json
import os
import signal
import sys
import threading
import traceback
from typing import NoReturn

IMPORTED = ("attnzoo.__main__", "attnzoo.run", "attnzoo.train.experiment", "attnzoo.bench.profile")


def become(arguments: list[str], cwd: str, output: str, errors: str) -> NoReturn:
    """`python -m attnzoo ARGUMENTS` in `cwd`, from here to the process's end."""
    status = 1
    try:
        for stream, path in ((1, output), (2, errors)):
            os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), stream)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        os.chdir(cwd)
        program = sys.modules["attnzoo.__main__"]
        sys.path[0], sys.argv = cwd, [str(program.__file__), *arguments]
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


def main() -> None:
    for name in IMPORTED:
        importlib.import_module(name)
    for line in sys.stdin:
        pid = os.fork()
        if pid == 0:
            os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
            become(*json.loads(line))
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        print(status, flush=True)


if __name__ == "__main__":
    main()
