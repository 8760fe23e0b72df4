"""What is learned, and what stands in its way."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from attnzoo.testing.subject import Case, Subject, clip


def gradients(subject: Subject) -> None:
    """Every parameter gets a gradient, finite and not zero; for a blank clip a finite one."""
    for case in subject.cases:
        module = case.module()
        for x in (clip(), torch.zeros_like(clip())):
            module.zero_grad()
            x.requires_grad_()
            delta = module(x, flow=case.motion())
            if delta.requires_grad:
                (delta * clip(seed=5)).sum().backward()
            blank = "for a blank clip" if not x.any() else ""
            for name, value in (*module.named_parameters(), ("x", x)):
                gradient = value.grad
                if gradient is not None and not gradient.isfinite().all():
                    raise case.fail(
                        f"a finite gradient of {name} {blank}".rstrip(), "NaN or infinity"
                    )
                if name != "x" and not blank and (gradient is None or not gradient.any()):
                    came = "none" if gradient is None else "zero everywhere"
                    raise case.fail(f"a gradient of parameter {name}", came)


def checkpointing(subject: Subject) -> None:
    """With the forward run again in backward, delta and gradients are bit for bit the same."""
    for case in subject.cases:
        plain, again = _gradients(case, checkpointed=False), _gradients(case, checkpointed=True)
        for (name, expected), came in zip(plain.items(), again.values(), strict=True):
            if not torch.equal(expected, came):
                difference = (expected - came).abs().max().item()
                raise case.fail(
                    f"the same {name} with checkpointing", f"a difference of up to {difference:.3g}"
                )


def _gradients(case: Case, *, checkpointed: bool) -> dict[str, Tensor]:
    module, x, motion = case.module(torch.float32), clip(dtype=torch.float32), case.motion()
    x.requires_grad_()
    if checkpointed:
        delta: Tensor = checkpoint(module, x, flow=motion, use_reentrant=False)
    else:
        delta = module(x, flow=motion)
    if delta.requires_grad:
        (delta * clip(seed=5, dtype=torch.float32)).sum().backward()
    values = {f"gradient of {n}": v.grad for n, v in (*module.named_parameters(), ("x", x))}
    return {"delta": delta.detach(), **{n: g for n, g in values.items() if g is not None}}


def inference_mode(subject: Subject) -> None:
    """A module that was sampled with can be trained with afterwards."""
    for case in subject.plain:
        module, x, motion = case.module(), clip().requires_grad_(), case.motion()
        with torch.inference_mode():
            module(clip(), flow=motion)
        delta = module(x, flow=motion)
        if delta.requires_grad:
            delta.sum().backward()
            if x.grad is None:
                raise case.fail("a gradient of x after sampling", "none")
