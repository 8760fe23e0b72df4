"""Peak speeds and memory of some GPUs, as their makers print them."""

from __future__ import annotations

from dataclasses import dataclass

from attnzoo.errors import UserError


@dataclass(frozen=True)
class GPU:
    """One GPU by its `name`. memory: GiB; half, full: dense peaks of bf16 or fp16 (on tensor cores,
    summed in fp32) and of fp32 in 10^12 operations/s; bf16: whether it has that format; source:
    where from.
    """

    name: str
    memory: float
    half: float
    full: float
    bf16: bool
    source: str


_ALL = (
    GPU("V100", 32, 125, 15.7, False, "NVIDIA V100 datasheet, SXM2"),
    GPU("A100-40", 40, 312, 19.5, True, "NVIDIA A100 datasheet, SXM"),
    GPU("A100", 80, 312, 19.5, True, "NVIDIA A100 datasheet, SXM"),
    GPU("H100", 80, 989, 67, True, "NVIDIA H100 datasheet, SXM, half of the one with sparsity"),
    GPU("H200", 141, 989, 67, True, "NVIDIA H200 datasheet, SXM, half of the one with sparsity"),
    GPU("L40S", 48, 362, 91.6, True, "NVIDIA L40S datasheet, half of the one with sparsity"),
    GPU("RTX4090", 24, 165, 82.6, True, "NVIDIA Ada architecture whitepaper"),
)
GPUS = {one.name: one for one in _ALL}

USABLE = 0.93
"""Share of the memory that tensors may fill: the context and fragmentation take the rest."""


def gpu(name: str) -> GPU:
    """The GPU of that name, in any case.

    Raises:
        UserError: there is none.
    """
    for known, found in GPUS.items():
        if known.lower() == name.lower():
            return found
    raise UserError(f"--gpu {name}: not in the table; choose one of {', '.join(GPUS)}")
