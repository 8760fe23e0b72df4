"""What every registered mechanism must hold to, whatever it is."""

from __future__ import annotations

import copy
import inspect
import typing
from enum import Enum

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode, sdpa_flop_count

import attnzoo
from attnzoo import registry
from attnzoo.attention._subspace import Rows
from attnzoo.errors import UserError
from attnzoo.registry import Entry, Kind
from attnzoo.testing.reference import reference_of

NAMES = registry.list_variants()
SHAPE = (2, 5, 3, 4)
C, HEADS = 8, 2
SMALL = (2, 3, 2)


def choices(option: registry.Option) -> list:
    """Values to try beside the one of the base case."""
    if isinstance(option.default, Enum):
        return [m for m in type(option.default) if m is not option.default]
    if option.annotation is bool:
        return [not option.default]
    return []


def options_to_try(entry: Entry) -> list[dict]:
    """Each module of a slot, with its options as they are, and each option's other values."""
    base = {o.name: SMALL for o in entry.options if o.annotation == tuple[int, int, int]}
    variants = [base] + ([{}] if base else [])
    variants += [base | {o.name: value} for o in entry.free for value in choices(o)]
    fixed = [dict(t) for t in sorted({tuple(sorted(m.items())) for m in entry.modules})] or [{}]
    return [f | v for f in fixed for v in variants]


def label(name: str, options: dict) -> str:
    values = (f"{k}={v.name if isinstance(v, Enum) else v}" for k, v in options.items())
    return "-".join([name, *values]).replace(" ", "")


CASES = [(name, options) for name in NAMES for options in options_to_try(registry.get(name))]
each_case = pytest.mark.parametrize(
    ("name", "options"), CASES, ids=[label(*case) for case in CASES]
)
each_entry = pytest.mark.parametrize("name", NAMES)


def module_of(name: str, options: dict, dtype: torch.dtype = torch.float64) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return registry.create(name, C, HEADS, **options).to(dtype)


def clip(shape: tuple[int, ...] = SHAPE, seed: int = 0, dtype=torch.float64) -> Tensor:
    return torch.randn(*shape, C, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def flow_for(name: str, shape: tuple[int, ...] = SHAPE, seed: int = 1) -> Tensor | None:
    if not registry.get(name).needs_flow:
        return None
    b, f, h, w = shape
    generator = torch.Generator().manual_seed(seed)
    flow = 1.5 * torch.randn(b, f, 2, h, w, generator=generator)
    flow[0, 0, 0, 0, 0] = float("nan")
    return flow


def test_all_entries_are_here():
    assert {
        "crossframe_all",
        "crossframe_first",
        "crossframe_middle",
        "crossframe_previous",
        "motion_module",
        "none",
        "stsa",
        "stsa_flow",
        "temporal",
        "temporal_conv",
    } <= set(NAMES)
    assert all(reference_of(n) for n in NAMES if registry.get(n).place.startswith("attnzoo"))


REFERENCED = [(name, options) for name, options in CASES if reference_of(name)]


@pytest.mark.parametrize(("name", "options"), REFERENCED, ids=[label(*case) for case in REFERENCED])
def test_agrees_with_the_reference_token_by_token(name, options):
    reference = reference_of(name)
    module, x, flow = module_of(name, options), clip().requires_grad_(), flow_for(name)
    twin, y = copy.deepcopy(module), clip().requires_grad_()
    actual, expected = module(x, flow=flow), reference(twin, y, flow)
    assert torch.isfinite(actual).all()
    torch.testing.assert_close(actual, expected, rtol=1e-10, atol=1e-12)
    if not actual.requires_grad:
        return
    weight = clip(seed=7)
    (actual * weight).sum().backward()
    (expected * weight).sum().backward()
    torch.testing.assert_close(x.grad, y.grad, rtol=1e-9, atol=1e-11)
    for mine, theirs in zip(module.parameters(), twin.parameters(), strict=True):
        torch.testing.assert_close(mine.grad, theirs.grad, rtol=1e-9, atol=1e-11)


@each_case
def test_sees_exactly_what_has_a_gradient(name, options):
    module, x, flow = module_of(name, options), clip()[:1].requires_grad_(), flow_for(name)
    flow = None if flow is None else flow[:1]
    delta, weight = module(x, flow=flow), clip(seed=3)[:1]
    exact = {"flow": flow} if "flow" in inspect.signature(module.sees).parameters else {}
    for query in [(i, y, z) for i in range(5) for y in range(3) for z in range(4)]:
        at = (0, *query)
        grad = torch.zeros_like(x)
        if delta.requires_grad:
            (grad,) = torch.autograd.grad((delta[at] * weight[at]).sum(), x, retain_graph=True)
        seen = grad[0].abs().amax(-1) > 0
        may = module.sees(query, SHAPE[1:])
        assert may.dtype is torch.bool and may.shape == SHAPE[1:]
        assert not (seen & ~may).any()
        if exact or flow is None:
            assert torch.equal(module.sees(query, SHAPE[1:], **exact), seen), query


@each_case
def test_every_parameter_gets_a_gradient(name, options):
    module = module_of(name, options)
    delta = module(clip(), flow=flow_for(name))
    if delta.requires_grad:
        (delta * clip(seed=5)).sum().backward()
    for key, parameter in module.named_parameters():
        assert parameter.grad is not None and parameter.grad.abs().max() > 0, key


@each_case
def test_clips_of_a_batch_do_not_see_each_other(name, options):
    module, x, flow = module_of(name, options), clip(), flow_for(name)
    alone = torch.cat([module(x[i : i + 1], flow=_at(flow, i)) for i in range(2)])
    torch.testing.assert_close(module(x, flow=flow), alone)
    x[1] = torch.nan
    assert module(x, flow=flow)[0].isfinite().all()


def _at(flow: Tensor | None, i: int) -> Tensor | None:
    return None if flow is None else flow[i : i + 1]


@each_entry
@settings(max_examples=12, deadline=None, derandomize=True)
@given(shape=st.tuples(st.integers(1, 2), *[st.integers(1, 9)] * 3), data=st.data())
def test_takes_any_size(name, shape, data):
    entry = registry.get(name)
    shape = (shape[0], max(shape[1], entry.min_frames), *shape[2:])
    options = data.draw(st.sampled_from(options_to_try(entry)))
    module = module_of(name, options, torch.float32)
    x, flow = clip(shape, dtype=torch.float32), flow_for(name, shape)
    delta = module(x, flow=flow)
    assert delta.shape == x.shape and delta.dtype == x.dtype and delta.isfinite().all()
    strided = x.transpose(2, 3).contiguous().transpose(2, 3)
    torch.testing.assert_close(module(strided, flow=flow), delta)


@each_case
def test_cost_counts_scores_and_values(name, options):
    shape = (1, 8, 6, 6)
    module, x, flow = module_of(name, options), clip(shape), flow_for(name, shape)
    counter = FlopCounterMode(display=False, custom_mapping=_sdpa_on_cpu())
    with torch.no_grad(), counter:
        module(x, flow=flow)
    counts = counter.get_flop_counts().get("Global", {})
    counted = sum(n for op, n in counts.items() if "scaled_dot_product" in str(op))
    size = dict(b=1, f=8, h=6, w=6, c=C)
    said = registry.cost(name, **size, **options)
    window = options.get("size", (4, 4, 4) if "stsa" in name else SMALL)
    exact = not options.get("shift") and all(
        n % s == 0 for n, s in zip(shape[1:], window, strict=True)
    )
    assert counted == said if exact else counted <= said


def _sdpa_on_cpu() -> dict:
    # FlopCounterMode knows SDPA's CUDA kernels only.
    def flops(query, key, value, *args, out_shape=None, **kwargs) -> int:
        return sdpa_flop_count(query, key, value)

    return {torch.ops.aten._scaled_dot_product_flash_attention_for_cpu: flops}


@each_case
def test_the_record_is_true(name, options):
    entry, module = registry.get(name), module_of(name, options)
    assert isinstance(module, entry.cls) and entry.title and entry.source
    if entry.last_linear is not None:
        last = module.get_submodule(entry.last_linear)
        assert isinstance(last, nn.Linear)
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)
        assert not module(clip(), flow=flow_for(name)).any()
    else:
        assert not list(module.parameters())
    x = clip((1, entry.min_frames, 3, 4))
    module(x, flow=flow_for(name, tuple(x.shape[:-1])))
    if entry.needs_flow:
        with pytest.raises(UserError, match=f"{name} needs the clip's motion"):
            module(clip())


@each_entry
def test_bfloat16_stays_bfloat16(name):
    module = module_of(name, {}, torch.bfloat16)
    delta = module(clip(dtype=torch.bfloat16), flow=flow_for(name))
    assert delta.dtype is torch.bfloat16
    exact = module.float()(clip(dtype=torch.bfloat16).float(), flow=flow_for(name))
    torch.testing.assert_close(delta.float(), exact, rtol=0.05, atol=0.05)


@each_entry
def test_what_was_sampled_with_can_be_trained_with(name):
    module, x, flow = module_of(name, {}), clip(), flow_for(name)
    motion = None if flow is None else _consecutive()
    with torch.inference_mode():
        module(clip(), flow=motion)
    delta = module(x.requires_grad_(), flow=motion)
    if delta.requires_grad:
        delta.sum().backward()
        assert x.grad is not None


def _consecutive() -> attnzoo.Motion:
    flow = torch.ones(2, SHAPE[1] - 1, 2, 6, 8)
    return attnzoo.Motion.consecutive(flow, -flow)


@each_entry
@pytest.mark.parametrize(("bad", "shape"), [("channels", (1, 2, 3, 4, 9)), ("axes", (2, 3, 4, 8))])
def test_refuses_other_shapes(name, bad, shape):
    flow = torch.zeros(1, 2, 2, 3, 4) if registry.get(name).needs_flow else None
    with pytest.raises(ValueError, match=r"x must be \[b, f, h, w, 8\]"):
        module_of(name, {})(torch.zeros(shape, dtype=torch.float64), flow=flow)


@each_entry
def test_refuses_wrong_constructor_arguments(name):
    with pytest.raises(UserError, match="channels=10 must be a multiple of heads=4"):
        registry.create(name, 10, 4)
    with pytest.raises(UserError, match="heads=0 must be a positive integer"):
        registry.create(name, 8, 0)
    with pytest.raises(UserError, match=f"{name} has no option 'sizes'"):
        registry.create(name, 8, 2, sizes=(2, 2, 2))


SIZED = [n for n in NAMES if any(o.name == "size" for o in registry.get(n).options)]


@pytest.mark.parametrize("name", SIZED)
@pytest.mark.parametrize(
    ("size", "said"),
    [
        ((0, 4, 4), r"size=\[0,4,4\]"),
        ((4, -1, 4), r"size=\[4,-1,4\]"),
        ((4, 4), r"size=\[4,4\]"),
        ((4, 4, 2.5), r"size=\[4,4,2.5\]"),
        ((4, 4, True), r"size=\[4,4,True\]"),
        (8, "size=8"),
        ("444", "size='444'"),
    ],
)
def test_refuses_impossible_sizes(name, size, said):
    with pytest.raises(UserError, match=said + " must be three positive integers"):
        registry.get(name).cls(8, 2, size=size)


@pytest.mark.parametrize("name", SIZED)
def test_size_becomes_a_tuple(name):
    assert registry.get(name).cls(8, 2, size=[2, 3, 4]).size == (2, 3, 4)


def test_modules_of_a_slot_have_equal_parameters():
    def count(name: str) -> int:
        entry = registry.get(name)
        modules = [entry.cls(C, HEADS, **fixed) for fixed in entry.modules]
        return sum(p.numel() for m in modules for p in m.parameters())

    assert count("temporal") == 2 * (4 * C * C + C)
    assert {count(n) for n in ("temporal_conv", "stsa", "stsa_flow")} == {count("temporal")}


@pytest.mark.parametrize("name", [n for n in NAMES if registry.get(n).kind is Kind.replace])
@pytest.mark.parametrize("include_self", [False, True])
def test_one_frame_is_diffusers_self_attention(name, include_self):
    from diffusers.models.attention_processor import Attention

    stock = Attention(query_dim=C, heads=HEADS, dim_head=C // HEADS).double()
    module = module_of(name, {"include_self": include_self})
    module.load_state_dict(stock.state_dict(), strict=True)
    x = clip((2, 1, 3, 4))
    expected = stock(x.reshape(2, 12, C)).view(x.shape)
    torch.testing.assert_close(module(x), expected)


def test_bias_starts_as_it_says():
    local = registry.create("stsa", 8, 2, size=(2, 2, 3), bias="local").bias_table
    table = local.view(3, 3, 5, 2)
    assert table[0, 1, 2].eq(0).all() and table[1, 0, 4].eq(-2 * (1 + 4)).all()
    relative = registry.create("stsa", 8, 2, size=(2, 2, 3), bias="relative").bias_table
    assert relative.shape == local.shape and 0 < relative.abs().max() < 0.2


@settings(max_examples=60, deadline=None, derandomize=True)
@given(rows=st.integers(1, 9), picks=st.lists(st.integers(0, 8), min_size=1, max_size=20))
def test_gradient_of_chosen_rows_is_the_sum_over_their_readers(rows, picks):
    index = torch.tensor([pick % rows for pick in picks])
    x = torch.randn(rows, 2, generator=torch.Generator().manual_seed(0), requires_grad=True)
    weight = torch.arange(2.0 * len(picks)).view(-1, 2)
    (mine,) = torch.autograd.grad((Rows.of(index, rows).take(x) * weight).sum(), x)
    (plain,) = torch.autograd.grad((x[index] * weight).sum(), x)
    assert torch.equal(mine, plain)


def test_options_are_typed_as_configurations_need_them():
    for name in NAMES:
        hints = typing.get_type_hints(registry.schema(name))
        assert set(hints) == {"name"} | {o.name for o in registry.get(name).free}
