"""Which numbers come out: those of the reference, the same again, in every dtype."""

from __future__ import annotations

import copy
import inspect
from typing import Any

import torch
from safetensors.torch import load, save
from torch import Tensor, nn

from attnzoo.registry import Entry
from attnzoo.testing.reference import Reference, reference_of
from attnzoo.testing.subject import SHAPE, Case, Subject, clip

_TOLERANCE = {torch.bfloat16: 0.05, torch.float16: 0.01, torch.float64: 1e-4}
"""Largest error, relative to the largest delta, against float32."""


def reference_of_entry(entry: Entry) -> Reference | None:
    """The entry's own, or for one of the package its file in `attnzoo.testing.reference`."""
    return reference_of(entry.name) if entry.built_in else entry.reference


def reference(subject: Subject) -> None:
    """Delta and gradients are those of the plain reference, to float64's rounding."""
    plainly = reference_of_entry(subject.entry)
    assert plainly is not None
    for case in subject.cases:
        flow = _flow() if subject.entry.needs_flow else None
        module, x = case.module(), clip().requires_grad_()
        twin, y = copy.deepcopy(module), clip().requires_grad_()
        delta, expected = module(x, flow=flow), plainly(twin, y, flow)
        look = where_of(plainly, case)
        _near(case, "the reference's delta", delta, expected, 1e-10, look)
        if not delta.requires_grad:
            continue
        weight = clip(seed=7)
        (delta * weight).sum().backward()
        (expected * weight).sum().backward()
        _near(case, "the reference's gradient of x", x.grad, y.grad, 1e-9, look)
        for (name, mine), theirs in zip(module.named_parameters(), twin.parameters(), strict=True):
            what = f"the reference's gradient of {name}"
            _near(case, what, mine.grad, theirs.grad, 1e-9, look)


def where_of(function: Any, case: Case) -> str:
    """In words, the reference beside which a failure lies."""
    return f" (reference {inspect.unwrap(function).__module__}.{function.__name__})"


def _near(case: Case, what: str, came: Any, expected: Any, rtol: float, note: str = "") -> None:
    if came is None or expected is None:
        if came is not expected:
            raise case.fail(f"{what}{note}", "None" if came is None else "a value for its None")
    elif came.shape != expected.shape or not torch.allclose(
        came, expected, rtol=rtol, atol=1e-2 * rtol
    ):
        if came.shape != expected.shape:
            raise case.fail(f"{what}{note}", f"shape {list(came.shape)}")
        difference = (came - expected).abs().max().item()
        raise case.fail(f"{what}{note}", f"a difference of up to {difference:.3g}")


def _flow() -> Tensor:
    b, f, h, w = SHAPE
    flow = 1.5 * torch.randn(b, f, 2, h, w, generator=torch.Generator().manual_seed(1))
    flow[0, 0, 0, 0, 0] = torch.nan
    return flow


def determinism(subject: Subject) -> None:
    """The same weights and tokens give the same bits again, in training mode too."""
    for case in subject.cases:
        first, second = (case.module(torch.float32) for _ in range(2))
        for (name, mine), other in zip(
            first.state_dict().items(), second.state_dict().values(), strict=True
        ):
            if not torch.equal(mine, other):
                raise case.fail(f"{name} to be what the seed gives", "others", "__init__")
        x, motion = clip(dtype=torch.float32), case.motion()
        for mode in (True, False):
            first.train(mode)
            state = torch.get_rng_state()
            if not torch.equal(first(x, flow=motion), first(x, flow=motion)):
                word = "training" if mode else "evaluation"
                raise case.fail("the same delta at a second call", f"another, in {word} mode")
            if not torch.equal(state, torch.get_rng_state()):
                raise case.fail("no draw from the global random state", "one that moved it on")


def state_dict(subject: Subject) -> None:
    """All that a module has learned is in its state dict, and safetensors can keep it."""
    for case in subject.cases:
        module, other = case.module(torch.float32), case.module(torch.float32, seed=1)
        state = {name: value.contiguous() for name, value in module.state_dict().items()}
        other.load_state_dict(load(save(state)), strict=True)
        x, motion = clip(dtype=torch.float32), case.motion()
        expected = module(x, flow=motion)
        for made, how in ((other, "loaded into another"), (copy.deepcopy(module), "copied")):
            if not torch.equal(made(x, flow=motion), expected):
                raise case.fail(
                    f"the same delta from the state {how}",
                    "another: something that matters is neither parameter nor buffer",
                    "__init__",
                )


def dtypes(subject: Subject) -> None:
    """bfloat16, float16 and float64 stay what they are, and near to float32."""
    for case in subject.cases:
        for dtype, tolerance in _TOLERANCE.items():
            module, x = case.module(torch.float32).to(dtype), clip(dtype=dtype)
            try:
                delta = module(x, flow=case.motion())
            except RuntimeError as error:
                if dtype is torch.float16 and "not implemented for 'Half'" in str(error):
                    continue  # an operation that PyTorch has on other devices only
                raise
            if delta.dtype is not dtype:
                raise case.fail(f"{dtype} for {dtype}", f"{delta.dtype}")
            exact = module.float()(x.float(), flow=case.motion())
            _close(case, f"{dtype}", delta, exact, tolerance)


def autocast(subject: Subject) -> None:
    """Under autocast to bfloat16 delta and gradients are finite and near to float32's."""
    for case in subject.cases:
        module, x = case.module(torch.float32), clip(dtype=torch.float32).requires_grad_()
        exact = module(x, flow=case.motion())
        with torch.autocast("cpu", torch.bfloat16):
            delta = module(x, flow=case.motion())
        _close(case, "autocast to bfloat16", delta, exact, _TOLERANCE[torch.bfloat16])
        if delta.requires_grad:
            delta.float().square().sum().backward()
            _finite_gradients(case, module)


def _finite_gradients(case: Case, module: nn.Module) -> None:
    for name, parameter in module.named_parameters():
        if parameter.grad is not None and not parameter.grad.isfinite().all():
            raise case.fail(f"a finite gradient of {name} under autocast", "NaN or infinity")


def _close(case: Case, what: str, delta: Tensor, exact: Tensor, tolerance: float) -> None:
    error = (delta.double() - exact.double()).abs().max()
    scale = exact.abs().max().double()
    if not error <= tolerance * scale + 1e-12:  # NaN is not close either
        raise case.fail(
            f"{what} within {tolerance:g} of the largest float32 delta ({scale:.3g})",
            f"an error of {error:.3g}",
        )
