"""This machine's roofline, measured in the run that is judged by it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

import torch

from attnzoo.bench.cell import DTYPES
from attnzoo.bench.measure import Candidate, Measurement, Run, timed

COPY = "copy"
_IN_A_ROW = 4
_SIDE = {"cpu": 1536, "cuda": 8192}
_COPIED = {"cpu": 1 << 27, "cuda": 1 << 30}


@dataclass(frozen=True)
class Roofline:
    """Peaks: FLOP/s of a square product by dtype, and bytes/s of a copy (read and written)."""

    flops_per_s: Mapping[str, float]
    bytes_per_s: float

    def share(self, flops: int, moved: int, seconds: float, dtype: str) -> float | None:
        """Achieved FLOP/s over what the roof allows at this intensity; None without FLOPs."""
        if not flops or not moved:
            return None
        roof = min(self.flops_per_s[dtype], flops / moved * self.bytes_per_s)
        return flops / seconds / roof


class _Best:
    """A peak: the fastest of some runs in a row, of which the first warms the caches."""

    def __init__(self, run: Run, device: torch.device) -> None:
        self._run = run
        self._device = device

    def seconds(self) -> float:
        return min(timed(self._run, self._device) for _ in range(_IN_A_ROW))


def runs(dtypes: list[str], device: torch.device) -> dict[str, Candidate]:
    """What is timed beside the cells: a product in each dtype, and a copy."""
    side = _SIDE.get(device.type, 1024)
    made: dict[str, Run] = {}
    for dtype in dtypes:
        a = torch.ones(side, side, device=device, dtype=DTYPES[dtype])
        made[f"gemm {dtype}"] = partial(torch.mm, a, a, out=torch.empty_like(a))
    source = torch.ones(_COPIED.get(device.type, 1 << 27), dtype=torch.uint8, device=device)
    made[COPY] = partial(torch.empty_like(source).copy_, source)
    return {name: _Best(run, device) for name, run in made.items()}


def roofline(times: Measurement, dtypes: list[str], device: torch.device) -> Roofline:
    """Peaks by the fastest round of each."""
    work = 2 * _SIDE.get(device.type, 1024) ** 3
    flops = {dtype: work / min(times.seconds[f"gemm {dtype}"]) for dtype in dtypes}
    moved = 2 * _COPIED.get(device.type, 1 << 27)
    return Roofline(flops, moved / min(times.seconds[COPY]))
