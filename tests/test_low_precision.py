"""Half precision at a real layer's size: rounding explains the error, large scores are safe."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from attnzoo import registry
from attnzoo.motion import Motion
from attnzoo.testing.checks.numerics import Rounded

C, HEADS = 64, 8
SHAPE = (1, 16, 8, 8)
HALF = [torch.bfloat16, torch.float16]
MODULES = [
    pytest.param(name, fixed, id="-".join([name, *(f"{k}={v}" for k, v in fixed.items())]))
    for name in registry.list_variants()
    for fixed in ({tuple(m.items()): m for m in registry.get(name).modules}.values())
]


def tokens(dtype: torch.dtype) -> Tensor:
    return torch.randn(*SHAPE, C, generator=torch.Generator().manual_seed(0)).to(dtype)


def made(name: str, fixed: dict[str, Any], dtype: torch.dtype) -> tuple[Any, Motion | None]:
    torch.manual_seed(0)
    module = registry.create(name, C, HEADS, **fixed).to(dtype)
    if not registry.get(name).needs_flow:
        return module, None
    _, f, h, w = SHAPE
    flows = 2 * torch.randn(1, f, f, 2, h, w, generator=torch.Generator().manual_seed(1))
    return module, Motion.pairs(flows)


@pytest.mark.parametrize("dtype", HALF, ids=str)
@pytest.mark.parametrize(("name", "fixed"), MODULES)
def test_the_error_is_what_rounding_explains(name: str, fixed: dict[str, Any], dtype: torch.dtype):
    module, motion = made(name, fixed, dtype)
    x = tokens(dtype)
    with torch.no_grad():
        delta = module(x, flow=motion)
        exact = module.double()(x.double(), flow=motion)
        with Rounded(dtype):
            rounded = module(x.double(), flow=motion)
    explained = (rounded - exact).abs().max()
    allowed = 2 * explained + torch.finfo(dtype).eps * exact.abs().max()
    assert delta.dtype is dtype and (delta.double() - exact).abs().max() <= allowed
    # The allowance itself is small: not one part in thirty.
    assert allowed <= 4 * torch.finfo(dtype).eps * exact.abs().max()


class Scores(TorchDispatchMode):
    """The largest score of whatever softmax attention runs inside."""

    largest = 0.0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        if "scaled_dot_product" in str(func):
            q, k = (t.detach().double() for t in args[:2])
            scores = (q @ k.mT).abs().max().item() / q.shape[-1] ** 0.5
            self.largest = max(self.largest, scores)
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("dtype", [torch.float32, *HALF], ids=str)
@pytest.mark.parametrize(("name", "fixed"), MODULES)
def test_scores_in_the_thousands_give_numbers(name: str, fixed: dict[str, Any], dtype: torch.dtype):
    module, motion = made(name, {**fixed, **sdpa(name)}, dtype)
    with torch.no_grad():
        for path, parameter in module.named_parameters():
            if "to_q" in path or "to_k" in path:
                parameter *= 40 if registry.get(name).norm else 70
    with Scores() as scores:
        delta = module(tokens(dtype).requires_grad_(), flow=motion)
    assert delta.isfinite().all()
    assert bool(scores.largest) == bool(sdpa(name))
    if scores.largest:
        assert 1e3 < scores.largest < 3e4, scores.largest
    if delta.requires_grad:
        delta.float().square().mean().backward()
        for path, parameter in module.named_parameters():
            assert parameter.grad is not None and parameter.grad.isfinite().all(), path


def sdpa(name: str) -> dict[str, str]:
    """PyTorch's attention, whose queries and keys can be looked at, where there is a choice."""
    options = {option.name for option in registry.get(name).options}
    return {"backend": "sdpa"} if "backend" in options else {}
