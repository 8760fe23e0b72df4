"""A process that prepares and times cells for another one.

It serves two ends. Another commit's package can be measured beside this one, with this commit's
bench. And what may take the machine's memory can be tried where only the worker dies of it.

Started as a file, with the folder that holds the package to be measured as its argument; it then
reads one JSON line a request and answers with one.
"""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import sys
from pathlib import Path
from typing import Any


def main() -> None:
    """Serves until the input ends; a terminal's Ctrl-C is the parent's, which ends the input."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    tree, settings = sys.argv[1], json.loads(sys.argv[2])
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever else prints is no answer
    sys.path[0] = tree
    _measure_with(Path(__file__).parent)
    from attnzoo.bench import serving

    serving.serve(sys.stdin, answers, settings)


def _measure_with(bench: Path) -> None:
    """Makes `attnzoo.bench` this file's own folder, whatever the tree has under that name."""
    name = "attnzoo.bench"
    spec: Any = importlib.util.spec_from_file_location(
        name, bench / "__init__.py", submodule_search_locations=[str(bench)]
    )
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)


if __name__ == "__main__":
    main()
