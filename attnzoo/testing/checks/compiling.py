"""torch.compile; without code generation, which is PyTorch's matter and takes a minute."""

from __future__ import annotations

import warnings
from typing import Any

import torch
from torch import Tensor
from torch._dynamo.exc import Unsupported

from attnzoo.testing.subject import Case, Subject, clip, in_short


def compile(subject: Subject) -> None:
    """Compiled (backend aot_eager: traced, and gradients derived), delta and gradients are near.

    The graph may break.
    """
    for case in subject.plain:
        eager, compiled = _results(case), _results(case, backend="aot_eager")
        for (name, expected), came in zip(eager.items(), compiled.values(), strict=True):
            if not torch.allclose(expected, came, rtol=1e-4, atol=1e-5):
                difference = (expected - came).abs().max().item()
                raise case.fail(
                    f"the same {name} compiled", f"a difference of up to {difference:.3g}"
                )


def compile_fullgraph(subject: Subject) -> None:
    """The forward is one graph, without a break."""
    for case in subject.plain:
        try:
            _results(case, backend="eager", fullgraph=True, backward=False)
        except Unsupported as error:
            raise case.fail("a forward in one graph (fullgraph=True)", in_short(error)) from error


def _results(case: Case, backward: bool = True, **settings: Any) -> dict[str, Tensor]:
    module, x = case.module(torch.float32), clip(dtype=torch.float32).requires_grad_()
    motion = case.motion()
    torch.compiler.reset()
    run = torch.compile(module, dynamic=False, **settings) if settings else module
    with warnings.catch_warnings():
        # Tracing, PyTorch makes instances of autograd functions and warns itself of it.
        warnings.simplefilter("ignore", DeprecationWarning)
        delta = run(x, flow=motion)
        if backward and delta.requires_grad:
            (delta * clip(seed=5, dtype=torch.float32)).sum().backward()
    torch.compiler.reset()
    values = {f"gradient of {n}": v.grad for n, v in (*module.named_parameters(), ("x", x))}
    return {"delta": delta.detach(), **{n: g for n, g in values.items() if g is not None}}
