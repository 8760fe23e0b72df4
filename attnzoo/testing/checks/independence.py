"""What a delta depends on: its own clip, and there what `sees` says."""

from __future__ import annotations

import inspect
import itertools

import torch
from torch import Tensor

from attnzoo.testing.subject import SHAPE, Case, Subject, alone, clip


def batch_independence(subject: Subject) -> None:
    """A clip's delta is the same alone and beside others, even beside NaN."""
    for case in subject.cases:
        module, x, motion = case.module(), clip(), case.motion()
        together = module(x, flow=motion)
        apart = torch.cat([module(x[i : i + 1], flow=alone(motion, i)) for i in range(len(x))])
        if not torch.allclose(together, apart, rtol=1e-9, atol=1e-11):
            difference = (together - apart).abs().max().item()
            raise case.fail(
                "each clip's delta to be that of the clip alone",
                f"a difference of up to {difference:.3g}",
            )
        x[1] = torch.nan
        if not module(x, flow=motion)[0].isfinite().all():
            raise case.fail("clip 0 to know nothing of clip 1", "NaN in clip 0 for NaN in clip 1")


def receptive_field(subject: Subject) -> None:
    """A delta has a gradient to the tokens that `sees` names, to no other, and to all of them.

    Where `sees` takes a flow it must be exact with it, and without it name all that may be seen.
    """
    for case in subject.cases:
        module, x, motion = case.module(), clip()[:1].requires_grad_(), alone(case.motion(), 0)
        delta, weight = module(x, flow=motion), clip(seed=3)[:1]
        knows_flow = "flow" in inspect.signature(module.sees).parameters
        given = {"flow": motion} if knows_flow else {}
        for query in itertools.product(*map(range, SHAPE[1:])):
            declared = module.sees(query, SHAPE[1:], **given)
            bound = module.sees(query, SHAPE[1:])
            if declared.dtype is not torch.bool or declared.shape != SHAPE[1:]:
                came = f"{declared.dtype} {list(declared.shape)}"
                raise case.fail(f"sees to give bool {list(SHAPE[1:])}", came, "sees")
            gradient = torch.zeros_like(x)
            if delta.requires_grad:
                at = (0, *query)
                (gradient,) = torch.autograd.grad(
                    (delta[at] * weight[at]).sum(), x, retain_graph=True
                )
            seen = gradient[0].abs().amax(-1) > 0
            _compare(case, query, seen, declared)
            if (seen & ~bound).any():
                raise case.fail(
                    f"{_asked(query)} to depend on no token outside sees without flow",
                    "a gradient at " + _tokens(seen & ~bound),
                    "sees",
                )


def _compare(case: Case, query: tuple[int, ...], seen: Tensor, declared: Tensor) -> None:
    asked = _asked(query)
    if (seen & ~declared).any():
        raise case.fail(
            f"{asked} to depend on no token outside sees",
            "a gradient at " + _tokens(seen & ~declared),
            "sees",
        )
    if case.entry.sees_exactly and (declared & ~seen).any():
        raise case.fail(
            f"{asked} to depend on all that sees names (or sees_exactly=False)",
            "no gradient at " + _tokens(declared & ~seen),
            "sees",
        )


def _asked(query: tuple[int, ...]) -> str:
    return "the delta at (frame, row, column) = " + _token(query)


def _tokens(mask: Tensor) -> str:
    found = mask.nonzero().tolist()
    more = f" and {len(found) - 3} more" if len(found) > 3 else ""
    return ", ".join(_token(token) for token in found[:3]) + more


def _token(index: tuple[int, ...] | list[int]) -> str:
    return "({},{},{})".format(*index)
