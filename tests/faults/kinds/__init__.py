"""One file a kind of fault; `FAULTS` lists them. A new kind is a file and a line here."""

from __future__ import annotations

from kinds import (
    bits,
    clock,
    crowd,
    descriptors,
    full_disk,
    kill,
    memory,
    permission,
    read_only,
    signals,
    truncated,
    worker,
    write,
)
from kinds.fault import Fault

FAULTS: tuple[Fault, ...] = (
    *kill.FAULTS,
    *write.FAULTS,
    *signals.FAULTS,
    *full_disk.FAULTS,
    *read_only.FAULTS,
    *permission.FAULTS,
    *descriptors.FAULTS,
    *memory.FAULTS,
    *worker.FAULTS,
    *clock.FAULTS,
    *truncated.FAULTS,
    *bits.FAULTS,
    *crowd.FAULTS,
)
