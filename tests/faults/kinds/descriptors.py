"""Too few file descriptors."""

from __future__ import annotations

import math
import os
import resource

from rounds import Round

from kinds.fault import Fault

MOST = 64


def few(round: Round) -> None:
    """As many as are open and some more, often few; then as many as before."""
    round.history()
    more = int(math.exp(round.random.uniform(0.0, math.log(MOST + 1)))) - 1

    def limit() -> None:
        highest = max(map(int, os.listdir("/proc/self/fd")))
        while (last := os.open(os.devnull, os.O_RDONLY)) < highest:
            pass  # so that none below is free
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (last + 1 + more, hard))

    status = round.ended(round.start(before=limit))
    if status == 0:
        round.check_end()
    else:
        round.lacked(status, "oo many open files")
    round.look()
    round.finish()


FAULTS = (Fault("descriptors", few, rounds=2),)
