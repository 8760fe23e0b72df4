"""Too little memory: for a command, and for one cell of several."""

from __future__ import annotations

import json
import math
import resource
from collections.abc import Callable
from pathlib import Path

from jobs import HUNGRY, HUNGRY_BYTES
from rounds import Round

from kinds.fault import Fault

MIB = 1 << 20
SAYS = (
    "memory",
    "allocate",
    "start new thread",
    "temporarily unavailable",
    "create a primitive",
    "worker process died",
)
"""The last is all that is known of a worker which native code has ended."""


def limited(more: int) -> Callable[[], None]:
    """To be called in the command: so many bytes beyond what it has already are all it gets."""

    def limit() -> None:
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        most = pages * resource.getpagesize() + more
        resource.setrlimit(resource.RLIMIT_AS, (most, resource.RLIM_INFINITY))

    return limit


def little(round: Round) -> None:
    """Refused at some allocation, wherever that is; with more of it all is done."""
    round.history()
    more = int(math.exp(round.random.uniform(math.log(0.25), math.log(300))) * MIB)
    status = round.ended(round.start(before=limited(more)))
    if status == 0:
        round.check_end()
    else:
        round.lacked(status, *SAYS)
    round.look()
    round.finish()


def one_cell(round: Round) -> None:
    """The cell says that it lacks memory; the others are complete, and it is when there is."""
    status = round.ended(round.start(before=limited(HUNGRY_BYTES * 3 // 4)), 1)
    round.faults += status != 0
    told = sorted(round.out.glob("records/*/seed*.error.json"))
    names = [str(path.relative_to(round.out)) for path in told]
    round.expect({path.parent.name for path in told} == {"hungry"}, f"failed are {names}")
    for path in told:
        round.expect("memory" in json.loads(path.read_text())["error"], path.read_text())
    for cell in ("none", "stsa"):
        whole = len(list(round.out.glob(f"records/{cell}/seed*.json")))
        round.expect(whole == 2, f"cell {cell} has {whole} records")
    round.look()
    round.finish()


FAULTS = (
    Fault("memory", little, rounds=2),
    Fault("memory-of-a-cell", one_cell, rounds=2, fits=lambda job: job is HUNGRY),
)
