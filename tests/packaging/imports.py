"""Imports every module of the installed package, each in a process of its own: `python imports.py`.

Processes are forked from here, where nothing but the standard library is imported, as many at once
as there are processors. Exit status 1: one does not import; its traceback is printed.
"""

from __future__ import annotations

import importlib
import os
import sys
import traceback
from importlib.util import find_spec
from pathlib import Path
from typing import NoReturn


def modules(folder: Path) -> list[str]:
    """All of a package, by files; folders without `__init__.py` hold none."""
    found = []
    for path in sorted(folder.rglob("*.py")):
        parents = [p for p in path.parents if p.is_relative_to(folder)]
        if all((parent / "__init__.py").is_file() for parent in parents):
            parts = path.relative_to(folder.parent).with_suffix("").parts
            found.append(".".join(part for part in parts if part != "__init__"))
    return found


def alone(name: str) -> NoReturn:
    """The life of a process that imports one module."""
    status = 1
    try:
        importlib.import_module(name)
        status = 0
    except BaseException:
        print(f"{name}: does not import\n{traceback.format_exc()}", file=sys.stderr, flush=True)
    finally:
        os._exit(status)


def ended() -> bool:
    """Waits for one of the processes; whether it has failed."""
    return os.waitstatus_to_exitcode(os.wait()[1]) != 0


def main() -> int:
    """The command's status."""
    spec = find_spec("attnzoo")  # which imports nothing of it
    if spec is None or spec.origin is None:
        print("attnzoo is not installed here", file=sys.stderr)
        return 1
    names = modules(Path(spec.origin).parent)
    most, working, failed = os.cpu_count() or 1, 0, 0
    for name in names:
        if working == most:
            failed += ended()
            working -= 1
        if os.fork() == 0:
            alone(name)
        working += 1
    failed += sum(ended() for _ in range(working))
    print(f"{len(names)} modules imported, each alone; {failed} failed")
    return int(failed > 0 or len(names) < 100)


if __name__ == "__main__":
    sys.exit(main())
