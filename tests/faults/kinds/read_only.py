"""A folder of results on a file system that cannot be written: refused at once."""

from __future__ import annotations

from rounds import Round

from kinds import mounts
from kinds.fault import Fault


def read_only(round: Round) -> None:
    """One line and exit status 2, before anything is computed; then it can be written."""
    with mounts.mounted(round.out, "size=1g"):
        round.history()
        mounts.remount(round.out, "ro")
        child = round.start()
        round.ended(child, 2)
        round.faults += 1
        _one_line(round)
        mounts.remount(round.out, "rw,size=1g")
        round.finish()


def under_a_file(round: Round) -> None:
    """The place of the folder is a file, where root cannot write either."""
    if round.out.exists():
        round.out.rmdir()
    round.out.write_text("in the way")
    round.ended(round.start(), 2)
    round.faults += 1
    _one_line(round)
    round.expect(round.out.read_text() == "in the way", "the file in the way has changed")
    round.out.unlink()
    round.job.inputs(round.folder)
    round.finish()


def _one_line(round: Round) -> None:
    lines = round.errors.strip().splitlines()
    round.expect(len(lines) == 1, f"not one line: {round.errors[-300:]}")
    round.expect("out" in round.errors, f"the folder is not named: {round.errors[-300:]}")


FAULTS = (
    Fault("read-only", read_only, rounds=1, possible=mounts.possible),
    Fault("under-a-file", under_a_file, rounds=1),
)
