"""Every entry against its brute-force reference in float64, over drawn shapes and options.

Delta and gradients, of the input and of every parameter, agree to 1e-9 of their largest value:
f 1..20, h and w 1..13, b 1..3, 1 to 4 heads, every value of every option, windows from 1 to larger
than the clip, shifted or not, any motion. What a token may depend on is `sees`, exactly.

`EXAMPLES` says how many draws an entry gets, of `TOKENS` tokens at most: what the fast suite has
time for. More, and without that limit, by

    ATTNZOO_EXAMPLES=500 python -m pytest tests/test_exactness.py
"""

from __future__ import annotations

import copy
import functools
import os
from collections import defaultdict
from collections.abc import Callable
from enum import Enum
from typing import Any

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import Tensor

from attnzoo import registry
from attnzoo.attention import Backend
from attnzoo.errors import UserError
from attnzoo.motion import Motion
from attnzoo.registry import Entry, Option
from attnzoo.testing.reference import reference_of
from attnzoo.testing.reference.stsa_flow import reference_frame

EXAMPLES = defaultdict(lambda: 20, stsa=30, stsa_flow=30, motion_module=5, none=3)
"""Draws of each entry, for the reference and again for the receptive field."""

TOKENS = 150
"""b f h w at most."""

MORE = int(os.environ.get("ATTNZOO_EXAMPLES", 0))
CHANNELS = 8
NAMES = registry.list_variants()


def drawn(test: Callable[..., None]) -> Callable[..., None]:
    """`test(name, data)` for every entry, with as many draws as `EXAMPLES` has for it."""

    @pytest.mark.parametrize("name", NAMES)
    def each(name: str) -> None:
        # Derandomised draws are those of a fixed seed; whoever asks for more wants new ones.
        how = {"max_examples": MORE or EXAMPLES[name], "derandomize": not MORE, "deadline": None}

        @settings(database=None, **how)
        @given(data=st.data())
        def check(data: st.DataObject) -> None:
            test(name, data)

        check()

    functools.update_wrapper(each, test, assigned=["__name__", "__doc__", "__module__"], updated=[])
    del each.__wrapped__
    return each


@st.composite
def shapes(draw: st.DrawFn, clips: int = 3) -> tuple[int, int, int, int]:
    """(b, f, h, w), each axis over its whole range."""
    most = {"b": clips, "f": 20, "h": 13, "w": 13}
    left, lengths = TOKENS, {}
    for axis in [*draw(st.permutations("fhw")), "b"]:
        lengths[axis] = draw(st.integers(1, most[axis] if MORE else max(1, min(most[axis], left))))
        left //= lengths[axis]
    return lengths["b"], lengths["f"], lengths["h"], lengths["w"]


def values(option: Option, shape: tuple[int, ...]) -> st.SearchStrategy[Any]:
    """An option's values; windows up to larger than the clip."""
    if option.annotation is bool:
        return st.booleans()
    if isinstance(option.default, Backend):
        # Those that train on a CPU.
        return st.sampled_from([Backend.auto, Backend.sdpa, Backend.math])
    if isinstance(option.default, Enum):
        return st.sampled_from(type(option.default))
    if option.annotation == tuple[int, int, int]:
        return st.tuples(*(st.integers(1, length + 2) for length in shape[1:]))
    if option.annotation is int:
        return st.sampled_from([1, 2, option.default])
    return st.just(option.default)


def any_module(data: st.DataObject, entry: Entry, shape: tuple[int, ...]) -> Any:
    """A module with drawn options and random weights, also where they would start otherwise."""
    options = {o.name: data.draw(values(o, shape), label=o.name) for o in entry.options}
    heads = data.draw(st.sampled_from([1, 2, 4]), label="heads")
    seed = data.draw(st.integers(0, 999), label="seed")
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        try:
            module = entry.cls(CHANNELS, heads, **options).double()
        except UserError:
            assume(False)
        with torch.no_grad():
            for parameter in module.parameters():
                parameter.add_(0.3 * torch.randn_like(parameter))
    return module


def any_motion(data: st.DataObject, shape: tuple[int, ...]) -> Motion:
    """Flows between all pairs: still or fast, a camera's or random, some of it unknown."""
    b, f, h, w = shape
    seed = data.draw(st.integers(0, 999), label="motion")
    speed = data.draw(st.sampled_from([0.0, 0.7, 2.0, 20.0]), label="speed")
    camera = data.draw(st.sampled_from([0.0, 0.6, -2.0]), label="camera")
    flows = speed * torch.randn(b, f, f, 2, h, w, generator=torch.Generator().manual_seed(seed))
    flows[..., 0, 0, :, 0, 0] = torch.nan
    return Motion.pairs(flows + camera)


def tokens(shape: tuple[int, ...], seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, CHANNELS, generator=generator, dtype=torch.float64)


def assert_near(came: Tensor | None, expected: Tensor | None, what: str) -> None:
    """To 1e-9 of the largest value."""
    if expected is None or came is None:
        # What one of them does not touch has no gradient in either, or one of zeros.
        there = came if expected is None else expected
        assert there is None or not there.any(), what
        return
    error = (came - expected).abs().max().item()
    assert error <= 1e-9 * max(1.0, expected.abs().max().item()), f"{what}: off by {error:.3g}"


@drawn
def test_delta_and_gradients_are_the_references(name: str, data: st.DataObject) -> None:
    entry = registry.get(name)
    shape = data.draw(shapes(), label="shape")
    assume(shape[1] >= entry.min_frames)
    module = any_module(data, entry, shape)
    motion = flow = None
    if entry.needs_flow:
        motion = any_motion(data, shape)
        frames = range(shape[1])
        own = [reference_frame(k, shape[1], module.size[0], module.shift) for k in frames]
        flow = torch.stack([motion.pair(k, r) for k, r in zip(frames, own, strict=True)], dim=1)
    plainly = entry.reference or reference_of(name)
    assert plainly is not None
    twin = copy.deepcopy(module)
    x, y = (tokens(shape, 0).requires_grad_() for _ in range(2))
    # Motion, or the flow itself: mechanisms take either.
    given_flow = flow if data.draw(st.booleans(), label="as a tensor") else motion
    delta, expected = module(x, flow=given_flow), plainly(twin, y, flow)
    assert_near(delta, expected, "delta")
    if not delta.requires_grad:
        assert not expected.requires_grad
        return
    for out in (delta, expected):
        (out * tokens(shape, 1)).sum().backward()
    assert_near(x.grad, y.grad, "gradient of x")
    for (at, mine), theirs in zip(module.named_parameters(), twin.parameters(), strict=True):
        assert_near(mine.grad, theirs.grad, f"gradient of {at}")


@drawn
def test_a_delta_depends_on_what_sees_names_and_on_nothing_else(
    name: str, data: st.DataObject
) -> None:
    entry = registry.get(name)
    shape = data.draw(shapes(clips=1), label="shape")
    assume(shape[1] >= entry.min_frames)
    module = any_module(data, entry, shape)
    motion = any_motion(data, shape) if entry.needs_flow else None
    x = tokens(shape, 0).requires_grad_()
    query = tuple(data.draw(st.integers(0, n - 1)) for n in shape[1:])
    delta = module(x, flow=motion)[0][query]
    seen = torch.zeros(shape[1:], dtype=torch.bool)
    if delta.requires_grad:
        (gradient,) = torch.autograd.grad((delta * tokens((1,), 1)[0]).sum(), x)
        seen = gradient[0].ne(0).any(-1)
    follows = {"flow": motion} if entry.needs_flow else {}
    assert torch.equal(seen, module.sees(query, shape[1:], **follows))
    assert not (seen & ~module.sees(query, shape[1:])).any()
