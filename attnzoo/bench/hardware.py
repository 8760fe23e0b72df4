"""On what a number was measured: machine and versions, for every record."""

from __future__ import annotations

import os
import platform
from dataclasses import asdict, dataclass
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

import torch


@dataclass(frozen=True)
class Hardware:
    """The machine. cores: those this process may use; threads: those torch uses; memory in GiB."""

    cpu: str
    cores: int
    threads: int
    memory: float | None
    gpu: str | None
    platform: str


@dataclass(frozen=True)
class Versions:
    """Versions of what decides numbers; None where a package is not installed."""

    attnzoo: str | None
    python: str
    torch: str
    cuda: str | None
    diffusers: str | None


def hardware(device: torch.device | None = None) -> dict[str, Any]:
    """The machine's description as plain JSON values; `gpu` is named if `device` is one."""
    gpu = None
    if device is not None and device.type == "cuda":
        gpu = torch.cuda.get_device_name(device)
    return asdict(
        Hardware(_cpu(), _cores(), torch.get_num_threads(), _memory(), gpu, platform.platform())
    )


def versions() -> dict[str, Any]:
    """Versions as plain JSON values."""
    return asdict(
        Versions(
            _version("attnzoo"),
            platform.python_version(),
            torch.__version__,
            torch.version.cuda,
            _version("diffusers"),
        )
    )


@cache
def _cpu() -> str:
    """The processor's model; Linux says it in /proc only, others through platform."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    models = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.processor() or platform.machine()


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _memory() -> float | None:
    try:
        size = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):
        return None
    return round(size / 2**30, 1)


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None
