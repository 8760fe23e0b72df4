"""What an entry declares of its needs."""

from __future__ import annotations

import torch
from torch import nn

from attnzoo.errors import UserError
from attnzoo.testing.subject import SHAPE, Subject, clip, random_motion


def flow(subject: Subject) -> None:
    """With needs_flow motion matters and its lack is a UserError; else it makes no difference."""
    declared = subject.entry.needs_flow
    for case in subject.plain:
        module = case.module()
        first, second = (module(clip(), flow=random_motion(SHAPE, seed)) for seed in (1, 2))
        same = torch.equal(first, second)
        if declared and same:
            raise case.fail("the motion to matter (needs_flow)", "the same delta for two motions")
        if not declared and not (same and torch.equal(first, module(clip()))):
            raise case.fail("no difference by motion (needs_flow=False)", "one")
        if declared:
            try:
                module(clip())
            except UserError:
                continue
            raise case.fail("a UserError without motion (needs_flow)", "a delta")


def min_frames(subject: Subject) -> None:
    """Clips of min_frames frames can be computed."""
    for case in subject.cases:
        shape = (1, subject.entry.min_frames, *SHAPE[2:])
        delta = case.module()(clip(shape), flow=case.motion(shape))
        if not delta.isfinite().all():
            raise case.fail(f"finite numbers for {shape[1]} frames (min_frames)", "NaN or infinity")


def last_linear(subject: Subject) -> None:
    """With the parameters of last_linear at zero, as a slot starts, the delta is zero."""
    path = subject.entry.last_linear
    assert path is not None
    for case in subject.cases:
        module = case.module()
        try:
            last = module.get_submodule(path)
        except AttributeError:
            raise case.fail(
                f"a layer at last_linear={path!r}", "no such layer", "__init__"
            ) from None
        parameters = list(last.parameters(recurse=False))
        if not parameters:
            raise case.fail(f"parameters in last_linear={path!r}", "none", "__init__")
        for parameter in parameters:
            nn.init.zeros_(parameter)
        largest = module(clip(), flow=case.motion()).abs().max().item()
        if largest > 0:
            raise case.fail(
                f"no delta with {path} (last_linear) at zero", f"one up to {largest:.3g}"
            )
