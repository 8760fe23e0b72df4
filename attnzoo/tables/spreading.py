"""The runs of one command shared among the jobs of a launcher of Hydra's: `-m parts=8`."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from attnzoo import application, commands, grammar
from attnzoo.bench.settings import positive
from attnzoo.errors import UserError
from attnzoo.files import remove
from attnzoo.overrides import plugins_of, quoted
from attnzoo.tables.joining import joined
from attnzoo.tables.settings import settings_of
from attnzoo.tables.undisturbed import undisturbed

FOLDER = ".launch"
"""Inside the results, for what the launcher writes; it goes when all is done."""
FAILED = 1
"""The command's exit status where a cell failed and the others are complete."""
FAILED_OF_PART = 3
"""The same with `part=`: whoever started it must tell it from a fault, which is 1."""


@dataclass
class Share:
    """Hydra's configuration of one job: its part, and the command's other arguments."""

    part: str = "0/1"
    arguments: list[str] = field(default_factory=list)
    tracebacks: bool = False


class PartEnded(Exception):
    """A part ended by what is no bad input; its status, as a shell counts it, goes with it."""

    def __init__(self, said: str, status: int) -> None:
        super().__init__(said, status)
        self.status = status

    def __str__(self) -> str:
        return str(self.args[0])


def spread(arguments: Sequence[str]) -> None:
    """Runs `part=0/N` to `part=N-1/N` of a command as jobs, and waits for them.

    Raises:
        UserError: bad input, or a folder that they may not join.
    """
    launcher = [text for text in arguments if text.startswith(("hydra/", "hydra."))]
    others = [text for text in arguments if text not in launcher]
    given = dict(grammar.given(others))
    if "part" in given:
        raise UserError("part=: -m shares the runs itself, among parts=N jobs")
    parts = positive(given, "parts", None)
    if parts is None:
        raise UserError("-m: parts=N is needed, the number of jobs; see --help")
    given.pop("parts")
    wanted = settings_of(given, plugins_of(others), "")  # so that bad input is one line
    if wanted.check:
        raise UserError("check=true: runs nothing that -m could share")
    if not wanted.search:
        joined(wanted.out, wanted.protocol, wanted.tables)
    kept = [text for text in others if not text.startswith("parts=")]
    folder = wanted.out.absolute() / FOLDER
    jobs = [
        "part=" + ",".join(f"{number}/{parts}" for number in range(parts)),
        f"arguments=[{','.join(map(quoted, kept))}]",
        f"tracebacks={commands.full_error()}",
        f"hydra.sweep.dir={quoted(folder)}",
        "hydra.output_subdir=null",
        *launcher,
    ]
    try:
        application.spread(_share, Share, jobs)
    except PartEnded as ended:
        print(ended, file=sys.stderr)
        sys.exit(ended.status)
    remove(folder)


def _share(cfg: Any) -> None:
    """One job: the command in a process of its own, since Hydra is at work in this one."""
    arguments = [*cfg.arguments, f"part={cfg.part}"]
    part: subprocess.Popen[bytes] | None = None
    try:
        with undisturbed():
            # A session of its own: a terminal's Ctrl-C comes once, by way of this process.
            part = subprocess.Popen(
                [sys.executable, "-m", "attnzoo.tables", *arguments],
                start_new_session=True,
                stdin=subprocess.PIPE,
                env=_environment(cfg.tracebacks),
            )
        status = part.wait()
    except BaseException:
        if part is not None:
            part.terminate()
            part.wait()  # its workers write their checkpoints
        raise
    # What failed of the cells stands in their places, and is told at the end.
    if status not in (0, FAILED_OF_PART):
        said = f"part={cfg.part}: ended with status {status}, see its messages"
        if status == commands.BAD_INPUT:
            raise UserError(said)
        raise PartEnded(said, status if status > 0 else 128 - status)


def _environment(tracebacks: bool) -> dict[str, str]:
    """The user's own: in a job Hydra is told to raise what goes wrong."""
    kept = {key: value for key, value in os.environ.items() if key != "HYDRA_FULL_ERROR"}
    return {**kept, _WATCHES: "1", **({"HYDRA_FULL_ERROR": "1"} if tracebacks else {})}


_WATCHES = "ATTNZOO_PART_WATCHES_STDIN"


def end_with_launcher() -> None:
    """A part whose job is gone, even by a kill, stops as by SIGTERM; others are left alone."""
    if os.environ.pop(_WATCHES, None):
        threading.Thread(target=_watch, daemon=True).start()


def _watch() -> None:
    os.read(0, 1)  # nothing ever comes, but the end
    os.kill(os.getpid(), signal.SIGTERM)
