"""Attention by name of what computes it: the same numbers, or a line that says why not."""

from __future__ import annotations

import importlib.util
import sys
import types
import warnings

import pytest
import torch
from torch.nn.attention.flex_attention import flex_attention

import attnzoo
from attnzoo import UserError, registry
from attnzoo.attention import Backend, attention
from attnzoo.testing.subject import clip

C, HEADS = 8, 2
NAMES = [
    n for n in registry.list_variants() if any(o.name == "backend" for o in registry.get(n).options)
]
each_entry = pytest.mark.parametrize("name", NAMES)


def sequences(dtype: torch.dtype = torch.float64) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(3, m, 2, 16, generator=generator, dtype=dtype) for m in (16, 24, 24)]


def test_every_attention_has_the_choice():
    assert set(registry.list_variants()) - set(NAMES) == {"none", "temporal_conv"}


@each_entry
@pytest.mark.parametrize("backend", ["sdpa", "math"])
def test_they_agree(name, backend):
    torch.manual_seed(0)
    module = registry.create(name, C, HEADS).double()
    torch.manual_seed(0)
    other = registry.create(name, C, HEADS, backend=backend).double()
    flow = {"flow": torch.zeros(2, 5, 2, 3, 4)} if registry.get(name).needs_flow else {}
    assert other.backend is Backend[backend]
    torch.testing.assert_close(other(clip(), **flow), module(clip(), **flow))


@pytest.mark.parametrize("biased", [False, True])
@pytest.mark.parametrize(
    "backend",
    [pytest.param(b, marks=pytest.mark.long if b is Backend.flex else ()) for b in Backend],
)
def test_each_computes_softmax_attention(backend, biased):
    """flex compiles; what has no kernel for this CPU, or no right one, says so."""
    q, k, v = sequences(torch.float32)
    bias = torch.linspace(-2, 2, 2 * 16 * 24).view(2, 16, 24) if biased else None
    if backend is Backend.xformers:
        with pytest.raises(UserError, match="on CUDA devices only, not on cpu"):
            attention(q, k, v, bias, backend=backend)
        return
    if backend is Backend.flex and torch.backends.cpu.get_cpu_capability() == "AVX2":
        with torch.no_grad(), pytest.raises(UserError, match="wrong numbers on a CPU with AVX2"):
            attention(q, k, v, bias, backend=backend)
        return
    with warnings.catch_warnings():
        # The compiler's own; nothing here can be done about them.
        warnings.simplefilter("ignore")
        came = attention(q, k, v, bias, backend=backend)
    torch.testing.assert_close(came.double(), softmax(q, k, v, bias), rtol=1e-5, atol=1e-6)


def softmax(q, k, v, bias):
    """Equation 4, written out in float64."""
    scores = torch.einsum("nmhd,nlhd->nhml", q.double(), k.double()) / q.shape[-1] ** 0.5
    scores = scores if bias is None else scores + bias.double()
    return torch.einsum("nhml,nlhd->nmhd", scores.softmax(-1), v.double())


@pytest.mark.parametrize("biased", [False, True])
def test_flex_is_given_what_it_expects(biased, monkeypatch):
    """As PyTorch computes it uncompiled, which is right on every CPU."""
    monkeypatch.setattr("attnzoo.attention._backend._FLEX_IS_WRONG", False)
    monkeypatch.setattr("attnzoo.attention._backend._flex_attention", lambda: flex_attention)
    q, k, v = sequences(torch.float32)
    bias = torch.linspace(-2, 2, 2 * 16 * 24).view(2, 16, 24) if biased else None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that it is slow so
        came = attention(q, k, v, bias, backend=Backend.flex)
    torch.testing.assert_close(came.double(), softmax(q, k, v, bias), rtol=1e-5, atol=1e-6)


class OnCuda(torch.Tensor):
    """Says of itself that it lies on a GPU."""

    is_cuda = True


@pytest.mark.parametrize(("queries", "keys"), [(16, 24), (5, 11)])
@pytest.mark.parametrize("biased", [False, True])
def test_xformers_is_given_what_it_expects(biased, queries, keys, monkeypatch):
    """A stand-in with xformers' rules: tokens before heads; of a bias all sequences and heads, in
    rows that begin at multiples of 8.
    """

    def memory_efficient_attention(q, k, v, attn_bias=None):
        if attn_bias is not None:
            assert attn_bias.shape == (len(q), q.shape[2], q.shape[1], k.shape[1])
            assert attn_bias.stride(-1) == 1 and attn_bias.stride(-2) % 8 == 0
        return softmax(*(t.as_subclass(torch.Tensor) for t in (q, k, v)), attn_bias).to(q.dtype)

    ops = types.ModuleType("xformers.ops")
    ops.memory_efficient_attention = memory_efficient_attention
    monkeypatch.setitem(sys.modules, "xformers", types.ModuleType("xformers"))
    monkeypatch.setitem(sys.modules, "xformers.ops", ops)
    q, k, v = sequences()
    q, k, v = q[:, :queries], k[:, :keys], v[:, :keys]
    bias = torch.linspace(-2, 2, 2 * queries * keys).view(2, queries, keys) if biased else None
    there = [t.as_subclass(OnCuda) for t in (q, k, v)]
    came = attention(*there, bias, backend=Backend.xformers)
    torch.testing.assert_close(came.as_subclass(torch.Tensor), softmax(q, k, v, bias))


def test_flex_is_refused_where_it_is_wrong(monkeypatch):
    monkeypatch.setattr("attnzoo.attention._backend._FLEX_IS_WRONG", True)
    with pytest.raises(UserError, match=r"wrong numbers on a CPU with AVX2 .*take backend=auto"):
        attention(*sequences(torch.float32), backend=Backend.flex)


@each_entry
def test_flex_has_no_gradient_on_a_cpu_and_says_so(name):
    module = registry.create(name, C, HEADS, backend="flex")
    flow = {"flow": torch.zeros(2, 5, 2, 3, 4)} if registry.get(name).needs_flow else {}
    with pytest.raises(UserError, match=r"backend=flex: .* no gradient on a CPU"):
        module(clip(dtype=torch.float32), **flow)


def test_flex_has_a_gradient_elsewhere(monkeypatch):
    monkeypatch.setattr(
        "attnzoo.attention._backend._flex_attention", lambda: lambda q, k, v, score_mod: q
    )
    q, k, v = (t.to("meta").requires_grad_() for t in sequences(torch.float32))
    assert attention(q, k, v, backend=Backend.flex).shape == q.shape


def test_flex_has_no_float64_on_a_cpu_and_says_so():
    with pytest.raises(UserError, match=r"backend=flex: .* no float64 on a CPU"):
        attention(*sequences(), backend=Backend.flex)


@each_entry
def test_xformers_says_what_is_missing_when_the_module_is_made(name, monkeypatch):
    said = "backend=xformers: the package xformers is not installed"
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=said):
        registry.create(name, C, HEADS, backend="xformers")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: True)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(UserError, match=r"backend=xformers: .* CUDA devices only"):
        registry.create(name, C, HEADS, backend="xformers")


def test_another_name_is_refused():
    with pytest.raises(UserError, match=r"backend=flash is no choice; .* there are: auto, flex"):
        attnzoo.create("stsa", C, HEADS, backend="flash")


def test_math_can_be_differentiated_twice():
    q, k, v = (t.requires_grad_() for t in sequences())
    assert torch.autograd.gradgradcheck(
        lambda *qkv: attention(*qkv, backend=Backend.math), (q[:1, :2], k[:1, :3], v[:1, :3])
    )


@pytest.mark.parametrize("align", ["scatter", "permute"])
def test_index_maps_stand_for_motion_in_an_exported_graph(align):
    """Tensors of fixed shape: what they hold may change, and either rule can be exported."""
    module = registry.create("stsa_flow", C, HEADS, size=(2, 3, 2), align=align)
    x = clip(dtype=torch.float32)
    flows = [
        3 * torch.rand(2, 5, 2, 3, 4, generator=torch.Generator().manual_seed(s)) for s in (1, 2)
    ]
    maps = [module.maps(flow, (5, 3, 4)) for flow in flows]
    with torch.no_grad():
        program = torch.export.export(module, (x,), {"flow": maps[0]}).module()
        for flow, its_maps in zip(flows, maps, strict=True):
            torch.testing.assert_close(program(x, flow=its_maps), module(x, flow=flow))
    assert not any(torch.equal(a, b) for a, b in zip(*maps, strict=True))


def test_maps_of_other_clips_are_refused():
    module = registry.create("stsa_flow", C, HEADS)
    maps = module.maps(torch.zeros(1, 5, 2, 3, 4), (5, 3, 4))
    with pytest.raises(ValueError, match="motion of 1 clips for a batch of 2"):
        module(clip(dtype=torch.float32), flow=maps)
