"""A clock that jumps, forwards and back, by seconds to years, every second."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

from rounds import Round

from kinds.fault import Fault

SOURCE = Path(__file__).with_name("clock.c")
SET = "FAULTS_CLOCK"


def load(folder: Path) -> None:
    """Starts this program anew with a clock that can be made to jump, unless it has one.

    Raises:
        OSError: no compiler, or it fails.
    """
    library = folder / "clock.so"
    if str(library) in os.environ.get("LD_PRELOAD", ""):
        return
    folder.mkdir(parents=True, exist_ok=True)
    command = ["cc", "-shared", "-fPIC", "-O1", "-o", str(library), str(SOURCE), "-ldl"]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise OSError(f"{' '.join(command)}: {done.stderr}")
    sys.stdout.flush()
    environment = {**os.environ, "LD_PRELOAD": str(library)}
    os.execve(sys.executable, [sys.executable, *sys.argv], environment)


def possible() -> None:
    """OSError where the clock of this process does not jump."""
    os.environ[SET] = "1"
    try:
        seen = set()
        for _ in range(300):
            seen.add(round(time.time() - time.monotonic()) // 60)
            time.sleep(0.01)
    finally:
        del os.environ[SET]
    if len(seen) < 3:
        raise OSError("the time of day does not jump: the library with the clock is not loaded")


def jumps(round: Round) -> None:
    """Nothing may depend on the time of day: the job is done as ever, or refuses to measure."""
    round.history()
    status = round.ended(round.start(environment={SET: "1"}))
    round.faults += 1
    if status == 0:
        round.check_end()
        return
    round.expect("the clock was set" in round.said, f"status {status}: {round.said[-300:]}")
    round.look()
    round.finish()


FAULTS = (Fault("clock", jumps, rounds=1, possible=possible),)
