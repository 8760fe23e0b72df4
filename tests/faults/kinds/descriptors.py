"""Too few file descriptors."""

from __future__ import annotations

import os
import resource

from rounds import Round

from kinds.fault import Fault


def few(round: Round) -> None:
    """As many as are open and a few more; then as many as before."""
    more = round.random.randint(0, 4)

    def limit() -> None:
        highest = max(map(int, os.listdir("/proc/self/fd")))
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (highest + more, hard))

    status = round.ended(round.start(before=limit))
    round.expect(status >= 0, f"it died with {status}")
    if status == 0:
        round.check_end()
    else:
        round.faults += 1
        round.expect("oo many open files" in round.said, f"it says: {round.said[-300:]}")
    round.look()
    round.finish()


FAULTS = (Fault("descriptors", few, rounds=2),)
