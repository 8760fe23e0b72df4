"""`python -m attnzoo COMMAND ...`, the same as `python -m attnzoo.COMMAND ...`."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence

from attnzoo import commands
from attnzoo._options import suggestion
from attnzoo.errors import UserError

COMMANDS = {
    "run": "train, sample, score and profile one variant (or a sweep, with -m)",
    "sample": "any person, place and dance from a trained run, in a clip of any length",
    "plan": "memory, operations and days that a run needs, without running it",
    "prepare": "latents, embeddings and flow of training clips, computed once",
    "list": "the variants there are",
    "show": "what a variant is and takes",
    "score": "metrics of generated videos against real ones",
    "new": "write a variant of your own and its test, to start from",
    "check": "whether a variant holds to what it declares",
    "distort": "what each metric sees of which damage, and what it is blind to",
    "coverage": "how often the intervals hold the truth, by simulation",
    "align": "what aligning by motion flow does to real clips",
    "flow": "the sources of motion flow, against the exact one and on real clips",
    "tables": "the paper's tables, run again: records, costs, clips, curves",
    "report": "tables, plots and one HTML page from the results of attnzoo.tables",
    "bench": "what variants cost: time, memory, FLOPs, side by side",
}
"""Each is a module of the package, or a folder's `__main__`, with `command(arguments)`."""


def command(arguments: Sequence[str]) -> None:
    """Hands the arguments on to the command that the first of them names."""
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        print(_usage())
        return
    name, *rest = arguments
    if name == "--version":
        from attnzoo import __version__

        print(__version__)
        return
    if name not in COMMANDS:
        raise UserError(f"unknown command {name!r}{suggestion(name, COMMANDS)}")
    module = importlib.import_module(f"attnzoo.{name}")
    if not hasattr(module, "command"):
        module = importlib.import_module(f"attnzoo.{name}.__main__")
    module.command(rest)


def _usage() -> str:
    width = max(map(len, COMMANDS))
    rows = [f"  {name:<{width}}  {what}" for name, what in COMMANDS.items()]
    return "\n".join(["usage: python -m attnzoo COMMAND ...", "", *rows, "", "Each takes --help."])


def main(arguments: Sequence[str] | None = None) -> None:
    """The command, with its exit status."""
    commands.execute(command, arguments)


if __name__ == "__main__":
    main(sys.argv[1:])
