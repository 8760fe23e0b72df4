"""Which numbers come out: those of the reference, the same again, in every dtype."""

from __future__ import annotations

import copy
import inspect
from typing import Any

import torch
from safetensors.torch import load, save
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map_only

from attnzoo.registry import Entry
from attnzoo.testing.reference import Reference, reference_of
from attnzoo.testing.subject import SHAPE, Case, Subject, clip

_AUTOCAST = 0.05
"""Largest error under autocast to bfloat16, relative to the largest delta in float32."""


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
    """Every dtype stays what it is; bfloat16 and float16 err no more than their rounding explains.

    Explained is the error of the same module in float64 with the result of every operation rounded
    to that dtype. Allowed is twice that, and one unit in the last place of the largest delta for
    what an operation rounds within. float32 comes within 1e-4 of float64.
    """
    for case in subject.cases:
        for dtype in (torch.float32, torch.bfloat16, torch.float16):
            module, x = case.module(torch.float32).to(dtype), clip(dtype=dtype)
            with torch.no_grad():
                try:
                    delta = module(x, flow=case.motion())
                except RuntimeError as error:
                    if dtype is torch.float16 and "not implemented for 'Half'" in str(error):
                        continue  # an operation that PyTorch has on other devices only
                    raise
                exact = module.double()(x.double(), flow=case.motion())
                with Rounded(dtype):
                    rounded = module(x.double(), flow=case.motion())
            for kept, came in ((dtype, delta.dtype), (torch.float64, exact.dtype)):
                if came is not kept:
                    raise case.fail(f"{kept} for {kept}", f"{came}")
            scale = exact.abs().max().item()
            explained = (rounded - exact).abs().max().item()
            allowed = 1e-4 * scale
            if dtype is not torch.float32:
                allowed = 2 * explained + torch.finfo(dtype).eps * scale
            _within(case, f"{dtype}", delta, exact, allowed)


def large_logits(subject: Subject) -> None:
    """Tokens a hundred times as large, whose scores reach thousands, give finite numbers.

    In float32, bfloat16 and float16; in float32 gradients too.
    """
    for case in subject.cases:
        for dtype in (torch.float32, torch.bfloat16, torch.float16):
            module, x = case.module(torch.float32).to(dtype), 100 * clip(dtype=dtype)
            try:
                delta = module(x.requires_grad_(), flow=case.motion())
            except RuntimeError as error:
                if dtype is torch.float16 and "not implemented for 'Half'" in str(error):
                    continue
                raise
            if not delta.isfinite().all():
                raise case.fail(f"finite numbers for large scores in {dtype}", "NaN or infinity")
            if dtype is torch.float32 and delta.requires_grad:
                (delta * clip(seed=5, dtype=dtype)).sum().backward()
                _finite_gradients(case, module, "for large scores")


def meta(subject: Subject) -> None:
    """On the meta device, where tensors have no values, shape and dtype come out."""
    for case in subject.plain:
        module = case.module(torch.float32).to("meta")
        x = clip(dtype=torch.float32).to("meta")
        delta = module(x, flow=case.motion())
        if delta.device != x.device or delta.shape != x.shape or delta.dtype != x.dtype:
            came = f"{delta.dtype} {list(delta.shape)} on {delta.device}"
            raise case.fail(f"{x.dtype} {list(x.shape)} on meta", came)


def autocast(subject: Subject) -> None:
    """Under autocast to bfloat16 delta and gradients are finite and near to float32's."""
    for case in subject.cases:
        module, x = case.module(torch.float32), clip(dtype=torch.float32).requires_grad_()
        exact = module(x, flow=case.motion())
        with torch.autocast("cpu", torch.bfloat16):
            delta = module(x, flow=case.motion())
        scale = exact.abs().max().item()
        _within(case, "autocast to bfloat16", delta, exact, _AUTOCAST * scale)
        if delta.requires_grad:
            delta.float().square().sum().backward()
            _finite_gradients(case, module, "under autocast")


def _finite_gradients(case: Case, module: nn.Module, when: str) -> None:
    for name, parameter in module.named_parameters():
        if parameter.grad is not None and not parameter.grad.isfinite().all():
            raise case.fail(f"a finite gradient of {name} {when}", "NaN or infinity")


def _within(case: Case, what: str, delta: Tensor, exact: Tensor, allowed: float) -> None:
    error = (delta.double() - exact.double()).abs().max().item()
    if not error <= allowed + 1e-12:  # NaN is not within either
        scale = exact.abs().max().item()
        raise case.fail(
            f"{what} within {allowed:.3g} (largest delta {scale:.3g})", f"an error of {error:.3g}"
        )


class Rounded(TorchDispatchMode):
    """Inside, the float64 result of every operation is rounded to `dtype` and kept as float64."""

    def __init__(self, dtype: torch.dtype) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.dtype = dtype

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        out = func(*args, **(kwargs or {}))
        if any(returned.alias_info for returned in func._schema.returns):
            return out  # a view, of what was rounded, or an argument that was written to
        return tree_map_only(Tensor, self._rounded, out)

    def _rounded(self, value: Tensor) -> Tensor:
        return value.to(self.dtype).double() if value.dtype is torch.float64 else value
