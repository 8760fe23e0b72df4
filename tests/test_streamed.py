"""Attention piece by piece: the same numbers as all at once, and where it is not used."""

from __future__ import annotations

import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from attnzoo import registry
from attnzoo.attention import Backend, _streamed
from attnzoo.bench.cost import peak_memory
from attnzoo.testing.subject import clip

C, HEADS = 8, 2
OPTIONS = [
    ("stsa", {"shift": False}),
    ("stsa", {"shift": True}),
    ("stsa", {"shift": True, "bias": "relative"}),
    ("stsa_flow", {"shift": True}),
    ("stsa_flow", {"align": "permute", "bias": "local"}),
    ("temporal", {"positions": "sinusoidal"}),
]
each = pytest.mark.parametrize(("name", "options"), OPTIONS)


def made(name: str, options: dict, shape: tuple[int, ...]) -> tuple[nn.Module, dict]:
    sized = {} if name == "temporal" else {"size": (2, 3, 2)}
    module = registry.create(name, C, HEADS, **sized, **options).double()
    if name != "stsa_flow":
        return module, {}
    b, f, h, w = shape
    flow = 1.5 * torch.randn(b, f, 2, h, w, generator=torch.Generator().manual_seed(3))
    return module, {"flow": flow}


def results(module: nn.Module, x: Tensor, backend: Backend, **flow: Tensor) -> list[Tensor]:
    module, x = copy.deepcopy(module), x.clone().requires_grad_()
    module.backend = backend
    delta = module(x, **flow)
    (delta * clip(x.shape[:-1], seed=5)).sum().backward()
    return [delta.detach(), x.grad, *(p.grad for p in module.parameters())]


def test_another_number_of_threads_on_the_way_back_is_the_same_gradient(monkeypatch):
    monkeypatch.setattr(_streamed, "_TOKENS", 24)
    module, _ = made("stsa", {}, (2, 5, 4, 7))
    x = clip((2, 5, 4, 7)).requires_grad_()
    monkeypatch.setattr(torch, "get_num_threads", lambda: 1)
    (expected,) = torch.autograd.grad(module(x).square().sum(), x)
    delta = module(x)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 4)
    (came,) = torch.autograd.grad(delta.square().sum(), x)
    torch.testing.assert_close(came, expected)


@each
@pytest.mark.parametrize("tokens", [1, 7, 24, 1000])
def test_pieces_of_any_size_give_delta_and_gradients_of_the_whole(
    name, options, tokens, monkeypatch
):
    monkeypatch.setattr(_streamed, "_TOKENS", tokens)
    shape = (2, 5, 4, 7)
    module, flow = made(name, options, shape)
    x = clip(shape)
    expected = results(module, x, Backend.math, **flow)
    for mine, theirs in zip(results(module, x, Backend.auto, **flow), expected, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-10, atol=1e-11)
    with torch.no_grad():
        torch.testing.assert_close(module(x, **flow), expected[0], rtol=1e-10, atol=1e-11)


@settings(max_examples=25, deadline=None, derandomize=True)
@given(
    shape=st.tuples(st.integers(1, 2), *[st.integers(1, 7)] * 3),
    frozen=st.sets(st.sampled_from(["x", "to_qkv.weight", "to_out.weight", "to_out.bias"])),
    case=st.sampled_from(OPTIONS),
)
def test_only_what_is_trained_gets_a_gradient(shape, frozen, case):
    module, flow = made(*case, shape)
    x = clip(shape).requires_grad_("x" not in frozen)
    for name, parameter in module.named_parameters():
        parameter.requires_grad_(name not in frozen)
    delta = module(x, **flow)
    if not delta.requires_grad:
        return
    delta.sum().backward()
    for name, value in (("x", x), *module.named_parameters()):
        assert (value.grad is None) == (name in frozen), name


def test_a_layer_that_is_more_than_its_weights_is_called():
    """Hooks, adapters and offloading work on layers; then nothing goes past them."""
    module, x = registry.create("stsa", C, HEADS).double(), clip()
    plain = module(x)
    module.to_qkv.register_forward_hook(lambda layer, args, out: 2 * out)
    assert not torch.allclose(module(x), plain)

    class Doubled(nn.Linear):
        def forward(self, rows: Tensor) -> Tensor:
            return 2 * super().forward(rows)

    other, doubled = registry.create("temporal", C, HEADS).double(), Doubled(C, C).double()
    doubled.load_state_dict(other.to_out.state_dict())
    expected = 2 * other(x)
    other.to_out = doubled
    torch.testing.assert_close(other(x), expected)


@each
def test_autocast_is_that_of_linear_layers(name, options):
    module, flow = made(name, options, (2, 5, 3, 4))
    module, x = module.float(), clip(dtype=torch.float32).requires_grad_()
    with torch.autocast("cpu", torch.bfloat16):
        mine = module(x, **flow)
        module.backend = Backend.sdpa
        theirs = module(x, **flow)
    assert mine.dtype is theirs.dtype is torch.bfloat16
    torch.testing.assert_close(mine, theirs, rtol=0.03, atol=0.01)
    mine.float().sum().backward()
    assert x.grad.dtype is torch.float32 and module.to_qkv.weight.grad.dtype is torch.float32


def test_a_second_derivative_is_refused_and_math_has_it():
    module, x = registry.create("stsa", C, HEADS).double(), clip().requires_grad_()
    (first,) = torch.autograd.grad(module(x).square().sum(), x, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        first.sum().backward()
    module.backend = Backend.math
    (first,) = torch.autograd.grad(module(x).square().sum(), x, create_graph=True)
    first.square().sum().backward()
    assert x.grad.abs().max() > 0


def test_a_graph_can_be_gone_through_twice():
    module, x = registry.create("stsa", C, HEADS).double(), clip().requires_grad_()
    loss = module(x).square().sum()
    loss.backward(retain_graph=True)
    once = x.grad.clone()
    loss.backward()
    torch.testing.assert_close(x.grad, 2 * once)


@pytest.mark.parametrize("name", ["stsa", "temporal"])
def test_training_holds_little_beside_input_qkv_and_result(name, monkeypatch):
    """qkv, result, delta and two gradients of tokens, and a piece: 7 of 5, and little more."""
    monkeypatch.setattr(_streamed, "_TOKENS", 1024 // torch.get_num_threads())
    module = registry.create(name, 64, 8)
    x = clip((1, 16, 32, 32), dtype=torch.float32, channels=64).requires_grad_()
    above = torch.ones_like(x)

    def step() -> None:
        x.grad = None
        for parameter in module.parameters():
            parameter.grad = None
        module(x).backward(above)

    step()
    assert 5 <= peak_memory(step, torch.device("cpu")) / (x.nbytes) < 5 * 1.45


def test_a_whole_module_is_run_in_parts_only_without_gradients_and_hooks(monkeypatch):
    module, x = registry.create("motion_module", 32, 8).double(), clip((2, 5, 4, 7), channels=32)
    whole = module(x).detach()
    calls = []
    original = type(module)._along_frames

    def counted(self: nn.Module, tokens: Tensor) -> Tensor:
        calls.append(tokens.shape[0])
        return original(self, tokens)

    monkeypatch.setattr(type(module), "_along_frames", counted)
    monkeypatch.setattr(_streamed, "_TOKENS", 15)
    each = max(1, 15 * torch.get_num_threads() // 5)
    with torch.no_grad():
        torch.testing.assert_close(module(x), whole, rtol=1e-10, atol=1e-11)
    assert sum(calls) == 2 * 4 * 7
    assert max(calls) == each < sum(calls)
    calls.clear()
    module(x)
    handle = module.proj_in.register_forward_hook(lambda *_: None)
    with torch.no_grad():
        module(x)
    handle.remove()
    assert calls == [56, 56]


@pytest.mark.parametrize("statistics", ["clip", "frame"])
@pytest.mark.parametrize("channels", [32, 64])
def test_a_norm_of_rows_is_the_group_norm(statistics, channels):
    module = registry.create("motion_module", channels, 8, statistics=statistics).double()
    x = 3 * clip((2, 3, 4, 5), channels=channels) + 50
    torch.nn.init.normal_(module.norm.weight)
    torch.nn.init.normal_(module.norm.bias)
    with torch.no_grad():
        mine, theirs = module._normed(x, copied=False), module._normed(x, copied=True)
    torch.testing.assert_close(mine, theirs, rtol=1e-9, atol=1e-9)
