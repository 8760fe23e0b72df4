"""torch.compile and torch.export.

Without code generation, which is PyTorch's matter and takes a minute.
"""

from __future__ import annotations

import warnings
from typing import Any

import torch
from torch import Tensor
from torch._dynamo.exc import FailOnRecompileLimitHit, Unsupported
from torch.fx import GraphModule

from attnzoo.testing.subject import SHAPE, Case, Subject, clip, in_short


def compile(subject: Subject) -> None:
    """Compiled (backend aot_eager: traced, and gradients derived), delta and gradients are near.

    The graph may break.
    """
    for case in subject.plain:
        eager = _results(case, case.motion())
        compiled = _results(case, case.motion(), backend="aot_eager")
        _compare(case, eager, compiled, "compiled")


def _compare(case: Case, eager: dict[str, Tensor], compiled: dict[str, Tensor], how: str) -> None:
    for (name, expected), came in zip(eager.items(), compiled.values(), strict=True):
        if not torch.allclose(expected, came, rtol=1e-4, atol=1e-5):
            difference = (expected - came).abs().max().item()
            raise case.fail(f"the same {name} {how}", f"a difference of up to {difference:.3g}")


def compile_fullgraph(subject: Subject) -> None:
    """Compiled as one graph without a break (fullgraph=True), delta and gradients are near.

    Motion is given as a tensor `[b, f, 2, h, w]`. Other values are no reason to compile again.
    """
    for case in subject.plain:
        flow = _flow(1) if subject.entry.needs_flow else None
        try:
            eager = _results(case, flow)
            compiled = _results(case, flow, backend="aot_eager", fullgraph=True)
            _compare(case, eager, compiled, "as one graph")
            _only_once(case)
        except (Unsupported, FailOnRecompileLimitHit) as error:
            raise case.fail("a forward in one graph (fullgraph=True)", in_short(error)) from error


def export(subject: Subject) -> None:
    """An exported program gives the module's delta for other values than it was exported with."""
    for case in subject.plain:
        module = case.module(torch.float32).eval()
        flows = [_flow(seed) if subject.entry.needs_flow else None for seed in (1, 2)]
        clips = [clip(seed=seed, dtype=torch.float32) for seed in (1, 2)]
        with torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                program = torch.export.export(module, (clips[0],), {"flow": flows[0]})
            except Exception as error:
                raise case.fail("a module that torch.export takes", in_short(error)) from error
            expected = module(clips[1], flow=flows[1])
            came = program.module()(clips[1], flow=flows[1])
        _compare(case, {"delta": expected}, {"delta": came}, "exported")


def _only_once(case: Case) -> None:
    """Two calls with other values, and not a second graph."""
    module, graphs = case.module(torch.float32), []

    def count(graph: GraphModule, _: Any) -> GraphModule:
        graphs.append(graph)
        return graph

    torch.compiler.reset()
    run = torch.compile(module, backend=count, fullgraph=True, dynamic=False)
    with torch.no_grad():
        for seed in (1, 2):
            flow = _flow(seed) if case.entry.needs_flow else None
            run(clip(seed=seed, dtype=torch.float32), flow=flow)  # type: ignore[no-untyped-call]
    torch.compiler.reset()
    if len(graphs) > 1:
        raise case.fail("one graph for other values of the same shape", f"{len(graphs)}")


def _results(case: Case, motion: Any, **settings: Any) -> dict[str, Tensor]:
    module, x = case.module(torch.float32), clip(dtype=torch.float32).requires_grad_()
    torch.compiler.reset()
    run = torch.compile(module, dynamic=False, **settings) if settings else module
    with warnings.catch_warnings():
        # Tracing, PyTorch makes instances of autograd functions and warns itself of it.
        warnings.simplefilter("ignore", DeprecationWarning)
        delta = run(x, flow=motion)
        if delta.requires_grad:
            (delta * clip(seed=5, dtype=torch.float32)).sum().backward()
    torch.compiler.reset()
    values = {f"gradient of {n}": v.grad for n, v in (*module.named_parameters(), ("x", x))}
    return {"delta": delta.detach(), **{n: g for n, g in values.items() if g is not None}}


def _flow(seed: int) -> Tensor:
    b, f, h, w = SHAPE
    generator = torch.Generator().manual_seed(seed)
    return 1.5 * torch.randn(b, f, 2, h, w, generator=generator)
