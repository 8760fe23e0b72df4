"""The declared cost, against what is counted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry, sdpa_flop_count

from attnzoo import registry
from attnzoo.testing.subject import CHANNELS, SHAPE, Case, Subject, clip

_DIVISORS = (4, 3, 5, 7)
"""Windows of these sizes divide one of the shapes at which the cost must be met exactly."""

_UNEVEN = (SHAPE, (1, 8, 6, 6))


def cost(subject: Subject) -> None:
    """Products of tokens with tokens cost what is declared; never more, and no less if all divides.

    Counted are matrix products, convolutions and attention of which no factor is a parameter:
    scores and values, and no projection. Masked attention counts as if it were dense. That the
    declared cost is met is asked of the slot's first module: others may be shifted.
    """
    for case in subject.cases:
        for shape in _UNEVEN:
            counted, declared = _counted(case, shape), _declared(case, shape)
            if counted > declared:
                raise _failure(case, shape, "at most ", declared, counted)
        if case.first:
            _check_tight(case)


def _check_tight(case: Case) -> None:
    misses = []
    for s in _DIVISORS:
        # Unequal axes and numbers of clips, so that no symbol can stand for another.
        for shape in ((1, 2 * s, 2 * s, 4 * s), (2, 2 * s, 4 * s, 2 * s)):
            counted, declared = _counted(case, shape), _declared(case, shape)
            if counted > declared:
                raise _failure(case, shape, "at most ", declared, counted)
            if counted < declared:
                misses.append((shape, declared, counted))
                break
        else:
            return
    shape, declared, counted = misses[0]
    raise _failure(case, shape, "", declared, counted)


def _failure(case: Case, shape: tuple[int, ...], bound: str, declared: int, counted: int) -> Any:
    sizes = ", ".join(f"{k}={v}" for k, v in zip("bfhw", shape, strict=True))
    return case.fail(
        f"{bound}{declared:,} FLOPs at {sizes}, c={CHANNELS} (cost={case.entry.cost!r})",
        f"{counted:,} counted",
    )


def _declared(case: Case, shape: tuple[int, ...]) -> int:
    b, f, h, w = shape
    return registry.cost(case.entry.name, b=b, f=f, h=h, w=w, c=CHANNELS, **case.options)


def _counted(case: Case, shape: tuple[int, ...]) -> int:
    module, x = case.module(torch.float32), clip(shape, dtype=torch.float32)
    with torch.no_grad(), _Products(module) as products:
        module(x, flow=case.motion(shape))
    flops: int = products.flops
    return flops


def _attention(query: Any, key: Any, value: Any, *_: Any, **__: Any) -> int:
    return int(sdpa_flop_count(query.shape, key.shape, value.shape))


_FORMULAS: Mapping[Any, Any] = {
    **flop_registry,
    # PyTorch counts nothing for its fused attention on a CPU (pytorch#195460).
    torch.ops.aten._scaled_dot_product_flash_attention_for_cpu: _attention,
}


class _Products(TorchDispatchMode):
    """Counts FLOPs, 2 per multiply-add, of products that have no parameter as a factor."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.flops = 0
        self.weights = {_memory(parameter) for parameter in module.parameters()}

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        out = func(*args, **(kwargs or {}))
        formula = _FORMULAS.get(func._overloadpacket)
        factors = (value for value in args if isinstance(value, Tensor))
        if formula is not None and not any(_memory(t) in self.weights for t in factors):
            self.flops += int(formula(*args, **(kwargs or {}), out_val=out))
        return out


def _memory(tensor: Tensor) -> int:
    return tensor.untyped_storage().data_ptr()
