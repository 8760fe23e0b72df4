"""What keeps the machine alive: how much memory there is, and a limit that is not passed."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

try:
    import resource
except ImportError:  # Windows has none
    resource = None  # type: ignore[assignment]

SHARE = 0.85
"""Of the memory that is free, so much may be asked for."""

_GROUPS, _OWN_GROUPS = Path("/sys/fs/cgroup"), Path("/proc/self/cgroup")

# The last is what a thread is refused with.
_NOT_ENOUGH = re.compile(
    r"allocate memory|not enough memory|out of memory|temporarily unavailable", re.IGNORECASE
)


def available(device: torch.device) -> int:
    """Bytes that may be asked for now; at most what the control group allows."""
    if device.type == "cuda":
        # What the allocator holds and nobody uses is free as well.
        held = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return int(SHARE * (torch.cuda.mem_get_info(device)[0] + held))
    return int(SHARE * max(0, min([_meminfo(), *_left_to_groups()])))


@contextmanager
def limited(budget: int, device: torch.device) -> Iterator[None]:
    """Inside, memory beyond `budget` more bytes is refused, as an error and not by a kill.

    On Linux alone, and for the CPU: a CUDA allocator refuses by itself, and needs a large address
    space.
    """
    held = _address_space()
    if resource is None or held is None or device.type != "cpu":
        yield
        return
    before = resource.getrlimit(resource.RLIMIT_AS)
    wanted = held + budget
    hard = before[1]
    if hard != resource.RLIM_INFINITY:
        wanted = min(wanted, hard)
    resource.setrlimit(resource.RLIMIT_AS, (wanted, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)


def is_shortage(error: BaseException) -> bool:
    """Whether an error says that memory did not suffice."""
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or (
        isinstance(error, RuntimeError) and _NOT_ENOUGH.search(str(error)) is not None
    )


def _meminfo() -> int:
    try:
        text = Path("/proc/meminfo").read_text()
    except OSError:
        return 1 << 62
    found = re.search(r"^MemAvailable:\s+(\d+) kB", text, re.MULTILINE)
    return int(found[1]) * 1024 if found else 1 << 62


def _left_to_groups(own: Path = _OWN_GROUPS, mounted: Path = _GROUPS) -> Iterator[int]:
    """What each control group around this process that has a limit has left of it, in bytes.

    Files that the system keeps in memory and may drop count as free. Of both versions of groups.
    """
    try:
        lines = own.read_text().splitlines()
    except OSError:
        lines = []
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers == "" or "memory" in controllers.split(","):
            root = mounted / controllers
            group = root / path.lstrip("/")
            # In a container the path may be the host's, and the root its own group.
            for folder in {root, group, *(p for p in group.parents if p.is_relative_to(root))}:
                left = _left_to(folder)
                if left is not None:
                    yield left


def _left_to(group: Path) -> int | None:
    for limit, current in (
        ("memory.max", "memory.current"),
        ("memory.limit_in_bytes", "memory.usage_in_bytes"),
    ):
        most, used = _number(group / limit), _number(group / current)
        if most is not None and used is not None:
            return most - used + _droppable(group / "memory.stat")
    return None


def _droppable(stat: Path) -> int:
    try:
        found = re.search(r"^(?:total_)?inactive_file (\d+)$", stat.read_text(), re.MULTILINE)
    except OSError:
        return 0
    return int(found[1]) if found else 0


def _number(path: Path) -> int | None:
    try:
        return int(path.read_text())
    except (OSError, ValueError):  # no such file, or "max"
        return None


def _address_space() -> int | None:
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[0])
    except (OSError, ValueError):
        return None
    return pages * 4096 if resource is None else pages * resource.getpagesize()
