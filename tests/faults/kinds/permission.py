"""Permission lost in the middle: of a process that is bound by permissions, root or not."""

from __future__ import annotations

import ctypes
import os
import tempfile
from contextlib import suppress
from pathlib import Path

import checking
from rounds import Round

from attnzoo.commands import LACKS
from kinds.fault import Fault

_PR_CAPBSET_DROP = 24
_SYS_CAPSET = {"x86_64": 126, "aarch64": 91}
_OVERRIDE = (1, 2, 3)
"""CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH, CAP_FOWNER: by which root needs no permission."""
SAYS = ("ermission denied", "cannot be written")
_VERSION_3 = 0x20080522


def bound() -> None:
    """Makes this process, and those that it starts, obey the permissions of files.

    Raises:
        OSError: the system does not let it.
    """
    if os.geteuid() != 0:
        return
    libc = ctypes.CDLL(None, use_errno=True)
    for capability in _OVERRIDE:
        if libc.prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0) != 0:
            raise OSError(ctypes.get_errno(), "prctl(PR_CAPBSET_DROP)")
    held = 0
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("CapPrm:"):
            held = int(line.split()[1], 16)
    kept = held & ~sum(1 << capability for capability in _OVERRIDE)
    header = (ctypes.c_uint32 * 2)(_VERSION_3, 0)
    low, high = kept & 0xFFFFFFFF, kept >> 32
    data = (ctypes.c_uint32 * 6)(low, low, 0, high, high, 0)
    if libc.syscall(_SYS_CAPSET[os.uname().machine], header, data) != 0:
        raise OSError(ctypes.get_errno(), "capset")


def possible() -> None:
    """OSError where a process cannot be bound; tried in one of its own."""
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o555)
        pid = os.fork()
        if pid == 0:
            status = 1
            try:
                bound()
                Path(folder, "trial").touch()
            except PermissionError:
                status = 0
            finally:
                os._exit(status)
        if os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) != 0:
            raise OSError("no process can be made that is bound by permissions")


def lost(round: Round) -> None:
    """All folders of the results become unwritable at some moment, and later writable again."""
    round.history()
    child = round.start(before=bound)
    round.pause(child, round.moment())
    round.out.mkdir(exist_ok=True)
    changed = [Path(folder) for folder, _, _ in os.walk(round.out)]
    for folder in changed:
        with suppress(FileNotFoundError):  # the command makes and renames some meanwhile
            folder.chmod(0o555)
    status = round.ended(child)
    for folder in changed:
        with suppress(FileNotFoundError):
            folder.chmod(0o755)
    if status == 0:
        round.check_end()
    else:
        round.faults += 1
        fine = status in (LACKS, 2) or (status == 1 and round.job.workers)
        round.expect(fine, f"exit status {status}: {round.said[-300:]}")
        told = any(text in round.said for text in SAYS)
        round.expect(told, f"it says: {round.said[-300:]}")
    # What it could not delete it has left; the next one may.
    round.wrong += checking.half_written(round.out)
    round.look()
    round.finish()


FAULTS = (Fault("permission-lost", lost, rounds=2, possible=possible),)
