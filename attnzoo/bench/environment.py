"""Under which circumstances rows were measured: machine, software, and what else was running."""

from __future__ import annotations

import hashlib
import os
import resource
import subprocess
import time
from functools import cache
from pathlib import Path
from typing import Any

import torch

from attnzoo.bench.cell import digest_of
from attnzoo.bench.hardware import hardware, versions

PACKAGE = Path(__file__).parents[1]
_GOVERNOR = Path("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")


def fixed_environment(device: torch.device) -> dict[str, Any]:
    """What does not change in a run: hardware, versions, governor, commit and text of the code."""
    return {
        **hardware(device),
        **{f"version_{name}": value for name, value in versions().items()},
        "governor": _text(_GOVERNOR),
        "commit": commit(),
        "code": code(),
    }


def address(environment: dict[str, Any]) -> str:
    """What two measurements must have in common to be parts of one."""
    return digest_of({key: value for key, value in environment.items() if key != "commit"})


@cache
def code() -> str:
    """SHA-256 over the text of the package."""
    digest = hashlib.sha256()
    for path in sorted(PACKAGE.rglob("*.py")):
        digest.update(str(path.relative_to(PACKAGE)).encode() + path.read_bytes())
    return digest.hexdigest()[:16]


@cache
def commit() -> str | None:
    """The commit that the package lies in, with `+` where files differ from it; None outside."""
    try:
        head = _git("rev-parse", "--short=12", "HEAD")
        changed = _git("status", "--porcelain", "--untracked-files=no", "--", ".")
    except (OSError, subprocess.CalledProcessError):
        return None
    return head + ("+" if changed else "")


def _git(*arguments: str) -> str:
    run = subprocess.run(
        ["git", "-C", str(PACKAGE), *arguments], capture_output=True, text=True, check=True
    )
    return run.stdout.strip()


class Load:
    """How busy the machine was since this object was made, this process left out."""

    def __init__(self) -> None:
        self._start = time.perf_counter()
        self._own, self._all = _own_seconds(), _busy_seconds()

    def found(self) -> dict[str, Any]:
        """load: the system's average of one minute; others: cores that others kept busy."""
        load = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
        busy, wall = _busy_seconds(), time.perf_counter() - self._start
        others = None
        if busy is not None and self._all is not None and wall > 1:
            others = round(max(0.0, busy - self._all - (_own_seconds() - self._own)) / wall, 2)
        return {"load": load, "others": others}


def _own_seconds() -> float:
    spent = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in spent)


def _busy_seconds() -> float | None:
    """Seconds that all cores were busy since boot, idle and waiting left out."""
    text = _text(Path("/proc/stat"))
    if text is None:
        return None
    user, nice, system, _, _, irq, soft = map(int, text.splitlines()[0].split()[1:8])
    return (user + nice + system + irq + soft) / os.sysconf("SC_CLK_TCK")


def _text(path: Path) -> str | None:
    try:
        return path.read_text().strip()
    except OSError:
        return None
