"""Peers compute what our entries compute, with the same weights, where sizes divide."""

from __future__ import annotations

import pytest
import torch

from attnzoo import registry
from attnzoo.bench.module_peers import module_peers

C, HEADS = 8, 2
CPU = torch.device("cpu")
PAIRS = [(peer, name) for peer in module_peers().values() for name in peer.computes]
WINDOWED = ("naive", "masked_sdpa", "torchvision")


def tokens(*shape: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(*shape, C, generator=generator, dtype=torch.float64)


def result(module, x):
    """The delta and the gradient of the input."""
    x = x.clone().requires_grad_()
    delta = module(x)
    (delta * torch.linspace(-1, 1, delta.numel(), dtype=x.dtype).view_as(delta)).sum().backward()
    return delta.detach(), x.grad


def same(mine, peer, x):
    for a, b in zip(result(mine, x), result(peer, x), strict=True):
        torch.testing.assert_close(b, a, rtol=1e-9, atol=1e-9)


def test_the_peers_are_there_and_no_variants():
    assert set(module_peers()) == {
        "diffusers_2d",
        "diffusers_temporal",
        "flex",
        "masked_sdpa",
        "naive",
        "natten",
        "per_frame_keys",
        "torchvision",
        "written_scores",
    }
    assert not set(module_peers()) & set(registry.list_variants())


@pytest.mark.parametrize(
    ("peer", "name"),
    [p for p in PAIRS if p[1] != "stsa"],
    ids=lambda p: p if isinstance(p, str) else p.name,
)
def test_same_function_and_gradient(peer, name):
    mine = registry.create(name, C, HEADS).double()
    x = tokens(2, 1 if peer.one_frame else 4, 3, 5)
    same(mine, peer.build(mine), x)


@pytest.mark.parametrize("name", WINDOWED)
@pytest.mark.parametrize("shift", [False, True])
@pytest.mark.parametrize("bias", ["none", "relative"])
@pytest.mark.parametrize("size", [(2, 2, 3), (4, 2, 3), (6, 2, 1)])
def test_windows_at_dividing_sizes(name, shift, bias, size):
    """A window as long as the clip is clamped, along frames, where torchvision is right as well."""
    mine = registry.create("stsa", C, HEADS, size=size, shift=shift, bias=bias).double()
    frames = min(size[0], 4) * (1 if size[0] > 4 else 2)
    same(mine, module_peers()[name].build(mine), tokens(2, frames, 4, 6))


@pytest.mark.parametrize("name", WINDOWED)
def test_padding_is_attended_to_where_they_do_not_divide(name):
    mine = registry.create("stsa", C, HEADS, size=(2, 2, 2)).double()
    x = tokens(1, 2, 3, 2)
    assert not torch.allclose(mine(x), module_peers()[name].build(mine)(x))


def test_torchvision_reads_another_bias_where_a_window_is_clamped_in_space():
    mine = registry.create("stsa", C, HEADS, size=(2, 4, 4), bias="relative").double()
    with torch.no_grad():
        mine.bias_table.normal_(generator=torch.Generator().manual_seed(0))
    x = tokens(1, 4, 2, 2)
    same(mine, module_peers()["naive"].build(mine), x)
    assert not torch.allclose(mine(x), module_peers()["torchvision"].build(mine)(x))


@pytest.mark.long
@pytest.mark.parametrize("shift", [False, True])
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.torch.jit:DeprecationWarning")
def test_flex_where_a_compiler_is(shift):
    peer = module_peers()["flex"]
    if peer.missing(CPU):
        pytest.skip(peer.missing(CPU))
    mine = registry.create("stsa", 32, 2, size=(2, 4, 4), shift=shift)
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(2, 4, 8, 8, 32, generator=generator)
    with torch.no_grad():
        torch.testing.assert_close(peer.build(mine)(x), mine(x), rtol=1e-4, atol=1e-5)
    assert peer.no_backward(CPU) and peer.no_backward(torch.device("cuda")) is None


def test_what_cannot_run_says_why():
    natten = module_peers()["natten"]
    said = natten.missing(CPU)
    assert said and "natten" in said and "\n" not in said
    with pytest.raises(ValueError, match="neither shift nor bias"):
        natten.build(registry.create("stsa", C, HEADS, shift=True))
    with pytest.raises(ValueError, match="no bias"):
        module_peers()["flex"].build(registry.create("stsa", C, HEADS, bias="relative"))
    with pytest.raises(ValueError, match="no positions"):
        module_peers()["diffusers_temporal"].build(
            registry.create("temporal", C, HEADS, positions="sinusoidal")
        )
    with pytest.raises(ValueError, match="the reference frame alone"):
        module_peers()["per_frame_keys"].build(
            registry.create("crossframe_first", C, HEADS, include_self=True)
        )


@pytest.mark.parametrize("package", ["natten", "torchvision"])
def test_a_package_that_is_not_installed_is_named(monkeypatch, package):
    import importlib.util

    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert f"{package} is not installed" in module_peers()[package].missing(CPU)
