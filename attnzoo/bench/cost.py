"""What a run costs apart from time: floating-point operations and peak memory."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch.autograd.profiler import profile as autograd_profile
from torch.utils.flop_counter import (
    FlopCounterMode,
    sdpa_backward_flop_count,
    sdpa_flop_count,
)

Run = Callable[[], object]
_TRIES = 5
_STEADY_S = 0.1
"""A clock that is only slewed is further off by less than this."""
aten = torch.ops.aten


@dataclass(frozen=True)
class Counts:
    """FLOPs of one run: by module ("Global" is the whole), and those of them in which no factor
    is a weight: attention's scores and values.
    """

    all: Mapping[str, int]
    attention: Mapping[str, int]


def flops(run: Run) -> dict[str, int]:
    """FLOPs of one run by module: "Global" is the whole, "Model.unet" a child of what ran.

    See `count`.
    """
    return dict(count(run).all)


def count(run: Run) -> Counts:
    """FLOPs of one run, and attention's part in them.

    A multiply-add counts 2; only products are counted (matrix products, convolutions, attention),
    masked attention as if it were dense. PyTorch counts nothing for its fused attention on a CPU
    (pytorch#195460), nor for products added in place, so those are counted here, by PyTorch's own
    formulas: backward is 2.5 forwards, with the scores that the kernel computes again, as on CUDA.
    """
    counter = FlopCounterMode(
        display=False,
        custom_mapping={
            aten.addmm_: _added,
            aten.baddbmm_: _added,
            aten._scaled_dot_product_flash_attention_for_cpu: _attention,
            aten._scaled_dot_product_flash_attention_for_cpu_backward: _attention_backward,
        },
    )
    with counter:
        run()
    counted = counter.get_flop_counts().items()
    whole = {name: sum(by_op.values()) for name, by_op in counted}
    attention = {
        name: sum(flops for op, flops in by_op.items() if _is_attention(op))
        for name, by_op in counted
    }
    # Of what has no product nothing is counted.
    return Counts({"Global": 0, **whole}, {"Global": 0, **attention})


def _is_attention(op: Any) -> bool:
    """Fused kernels, and products of batches of matrices: a layer's weight is one matrix."""
    return "attention" in str(op) or op in (aten.bmm, aten.baddbmm, aten.baddbmm_)


def _added(_: Any, first: Any, second: Any, *__: Any, **___: Any) -> int:
    return int(2 * math.prod(first) * second[-1])


def _attention(query: Any, key: Any, value: Any, *_: Any, **__: Any) -> int:
    return int(sdpa_flop_count(query, key, value))


def _attention_backward(gradient: Any, query: Any, key: Any, value: Any, *_: Any, **__: Any) -> int:
    count = sdpa_backward_flop_count(gradient, query, key, value)
    return int(count)


def peak_memory(
    run: Run, device: torch.device, prepare: Callable[[], object] = lambda: None
) -> int:
    """Bytes that one run holds at its peak beyond what was held before it.

    CUDA: the allocator's own peak. CPU: from the profiler's record of every allocation, which
    sees the buffers inside kernels too; the process's resident size is too coarse. Warm the run
    up first (what it keeps for good counts at the first call), and drop gradients that it is to
    make anew: memory that was there before and is given back lowers the sum.

    prepare: does so, before each try. The profiler goes by the time of day, and drops what a clock
    that is set meanwhile puts outside its span; then the run is done again.

    Raises:
        RuntimeError: the clock was set during every try.
    """
    if device.type == "cuda":
        prepare()
        torch.cuda.synchronize(device)
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        run()
        torch.cuda.synchronize(device)
        return torch.cuda.max_memory_allocated(device) - before
    # Kineto, the profiler's back end, tells the terminal of each start and stop below this level.
    os.environ.setdefault("KINETO_LOG_LEVEL", "6")
    for _ in range(_TRIES):
        prepare()
        ahead = time.time() - time.monotonic()
        with autograd_profile(profile_memory=True) as profiler:
            run()
        if abs(time.time() - time.monotonic() - ahead) < _STEADY_S:
            return _peak(profiler.kineto_results.events())
    raise RuntimeError(f"the clock was set while memory was measured, {_TRIES} times")


def _peak(events: list[Any]) -> int:
    """Highest running sum of the allocations (and, negative, releases) in order of time."""
    changes = [
        (event.start_ns(), event.nbytes())
        for event in events
        if event.name() == "[memory]" and event.device_type().name == "CPU"
    ]
    held = peak = 0
    # Stable: allocations of the same nanosecond keep the profiler's order.
    for _, size in sorted(changes, key=lambda change: change[0]):
        held += size
        peak = max(peak, held)
    return peak
