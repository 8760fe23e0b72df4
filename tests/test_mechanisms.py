"""What every registered mechanism must hold to, whatever it is."""

from __future__ import annotations

import typing

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from attnzoo import registry
from attnzoo.attention._rows import Rows
from attnzoo.errors import UserError
from attnzoo.registry import Kind
from attnzoo.testing import check_attention
from attnzoo.testing.reference import reference_of
from attnzoo.testing.subject import Subject, clip

NAMES = registry.list_variants()
C, HEADS = 8, 2
each_entry = pytest.mark.parametrize("name", NAMES)


@pytest.mark.parametrize("check", [c for name in NAMES for c in check_attention(name)])
def test_holds_to_what_it_declares(check):
    check()


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
    assert all(reference_of(n) for n in NAMES if registry.get(n).built_in)


def test_every_last_linear_is_linear():
    for entry in map(registry.get, NAMES):
        assert entry.title and entry.source
        module = entry.cls(C, HEADS)
        if entry.last_linear is not None:
            assert isinstance(module.get_submodule(entry.last_linear), nn.Linear)
        else:
            assert not list(module.parameters())


def test_without_motion_the_one_that_needs_it_says_so():
    with pytest.raises(UserError, match="stsa_flow needs the clip's motion"):
        registry.create("stsa_flow", C, HEADS)(clip().float())


@each_entry
@settings(max_examples=12, deadline=None, derandomize=True)
@given(shape=st.tuples(st.integers(1, 2), *[st.integers(1, 9)] * 3), data=st.data())
def test_takes_any_size(name, shape, data):
    subject = Subject(registry.get(name))
    shape = (shape[0], max(shape[1], subject.entry.min_frames), *shape[2:])
    case = data.draw(st.sampled_from(subject.cases))
    module, flow = case.module(torch.float32), case.motion(shape)
    x = clip(shape, dtype=torch.float32)
    delta = module(x, flow=flow)
    assert delta.shape == x.shape and delta.dtype == x.dtype and delta.isfinite().all()
    strided = x.transpose(2, 3).contiguous().transpose(2, 3)
    torch.testing.assert_close(module(strided, flow=flow), delta)


@each_entry
@pytest.mark.parametrize(("bad", "shape"), [("channels", (1, 2, 3, 4, 9)), ("axes", (2, 3, 4, 8))])
def test_refuses_other_shapes(name, bad, shape):
    flow = torch.zeros(1, 2, 2, 3, 4) if registry.get(name).needs_flow else None
    with pytest.raises(ValueError, match=r"x must be \[b, f, h, w, 8\]"):
        registry.create(name, C, HEADS)(torch.zeros(shape), flow=flow)


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
    module = registry.create(name, C, HEADS, include_self=include_self).double()
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
