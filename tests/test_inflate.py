"""Inflation over every registered variant: identity at the start, keys, the way back, training."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from diffusers.models.transformers.transformer_2d import Transformer2DModel
from small_unet import (
    INSERT,
    REPLACE,
    SAME_MEANING,
    VARIANTS,
    assert_same,
    disturb,
    inflated,
    run,
    snapshot,
)
from torch import nn

from attnzoo import registry
from attnzoo.models.inflate import Slots, Stack, inflate
from attnzoo.models.slots import InsertSlot
from attnzoo.testing.small_unet import FRAMES, inputs, motion, stock


@pytest.mark.parametrize("stack", Stack)
@pytest.mark.parametrize("slots", Slots)
@pytest.mark.parametrize("name", INSERT)
def test_insert_is_the_2d_model_bit_for_bit_at_the_start(
    name: str, slots: Slots, stack: Stack
) -> None:
    unet, inflation = inflated(name, slots=slots, stack=stack)
    bare = 3 if registry.get(name).every_layer else 2
    places = {Slots.attention: 4, Slots.inside: 4, Slots.all: 4 + bare}[slots]
    assert len(inflation.modules()) == places * len(registry.get(name).modules)
    assert torch.equal(run(unet), run(stock()))
    disturb(inflation)
    assert not torch.allclose(run(unet), run(stock()), atol=1e-3)


@pytest.mark.parametrize("name", [*INSERT, "none"])
def test_each_frame_is_what_the_2d_model_makes_of_it_alone(name: str) -> None:
    unet, _ = inflated(name, slots=Slots.all)
    video, plain = run(unet), stock()
    with torch.no_grad():
        alone = [plain(*(x[i : i + 1] for x in inputs()), return_dict=False)[0] for i in range(8)]
    torch.testing.assert_close(video, torch.cat(alone), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("name", REPLACE)
def test_replace_with_one_frame_a_clip_is_the_2d_model(name: str) -> None:
    unet, inflation = inflated(name)
    inflation.context.set(1, motion(8, 1))
    torch.testing.assert_close(run(unet), run(stock()), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("name", REPLACE)
def test_replace_takes_over_the_weights_under_their_names(name: str) -> None:
    unet, inflation = inflated(name, positions=False)
    plain = stock()
    assert list(unet.state_dict()) == list(plain.state_dict())
    assert all(torch.equal(v, plain.state_dict()[k]) for k, v in unet.state_dict().items())
    taken = [p for k, p in unet.named_parameters() if ".attn1." in k]
    assert {id(p) for p in taken} == {id(p) for p in inflation.new_parameters()}
    for mechanism in inflation.modules():
        assert {id(p) for p in mechanism.parameters()} <= {id(p) for p in taken}
    if name == SAME_MEANING:
        assert not torch.allclose(run(unet), run(plain), atol=1e-3)


@pytest.mark.parametrize("name", VARIANTS)
def test_pretrained_keys_stay_and_load(name: str) -> None:
    unet, _ = inflated(name, slots=Slots.all)
    plain = stock().state_dict()
    added = set(unet.state_dict()) - set(plain)
    assert set(plain) <= set(unet.state_dict())
    assert all(".slot." in key or key.startswith("frame_positions.") for key in added)
    result = unet.load_state_dict(plain, strict=False)
    assert not result.unexpected_keys and set(result.missing_keys) == added


@pytest.mark.parametrize("name", VARIANTS)
def test_remove_leaves_nothing(name: str) -> None:
    unet = stock()
    before = snapshot(unet)
    inflation = inflate(unet, name, slots=Slots.all)
    inflation.context.set(FRAMES, motion())
    disturb(inflation)
    run(unet)
    inflation.remove()
    assert_same(before, snapshot(unet))
    assert torch.equal(run(unet), run(stock()))
    inflation.remove()
    assert not inflation.modules() and not inflation.new_parameters()
    inflate(unet, name)


def test_remove_follows_the_unet_in_device_dtype_and_mode() -> None:
    unet, inflation = inflated(REPLACE[0])
    unet.to(torch.float64).train()
    inflation.remove()
    assert {p.dtype for p in unet.parameters()} == {torch.float64}
    assert all(m.training for m in unet.modules())


@pytest.mark.parametrize("name", VARIANTS)
def test_counts_and_new_parameters(name: str) -> None:
    entry = registry.get(name)
    unet, inflation = inflated(name, slots=Slots.all)
    counts, plain = inflation.parameter_counts(), sum(p.numel() for p in stock().parameters())
    assert counts.total == sum(p.numel() for p in unet.parameters()) == plain + counts.added
    new = inflation.new_parameters()
    assert sum(p.numel() for p in new) == counts.added + counts.replaced
    assert counts.positions > 0
    assert bool(counts.replaced) == (entry.kind is registry.Kind.replace)
    assert bool(counts.slots) == (name in INSERT)
    assert set(inflation.learning_rate_factors().values()) == {1.0}


@pytest.mark.parametrize("name", VARIANTS)
def test_every_new_parameter_learns(name: str) -> None:
    unet, inflation = inflated(name, slots=Slots.all)
    disturb(inflation)
    unet(*inputs(), return_dict=False)[0].square().sum().backward()
    for parameter in inflation.new_parameters():
        assert parameter.grad is not None and parameter.grad.isfinite().all()
    moved = sum(bool(p.grad.any()) for p in inflation.new_parameters() if p.grad is not None)
    assert moved >= 0.9 * len(inflation.new_parameters())


@pytest.mark.parametrize("name", VARIANTS)
def test_one_clip_does_not_see_the_other(name: str) -> None:
    unet, inflation = inflated(name, slots=Slots.all)
    disturb(inflation)
    sample, times, text = inputs()
    changed = torch.cat([sample[:FRAMES], -sample[FRAMES:]])
    with torch.no_grad():
        a = unet(sample, times, text, return_dict=False)[0]
        b = unet(changed, times, text, return_dict=False)[0]
    assert torch.equal(a[:FRAMES], b[:FRAMES]) and not torch.equal(a[FRAMES:], b[FRAMES:])


@pytest.mark.parametrize("name", VARIANTS)
def test_gradient_checkpointing_changes_nothing(name: str) -> None:
    unet, inflation = inflated(name, slots=Slots.all)
    disturb(inflation)
    unet.train()
    inflation.unet.enable_gradient_checkpointing()
    other = copy.deepcopy(unet)
    other.disable_gradient_checkpointing()
    grads = []
    for model in (unet, other):
        out = model(*inputs(), return_dict=False)[0]
        out.square().sum().backward()
        grads.append([p.grad for p in model.parameters() if p.grad is not None])
    assert len(grads[0]) == len(grads[1]) > 0
    for a, b in zip(*grads, strict=True):
        torch.testing.assert_close(a, b)


def test_a_slot_checkpoints_itself_where_only_blocks_are() -> None:
    unet = stock()
    unet.enable_gradient_checkpointing()
    inflation = inflate(unet, "temporal", slots=Slots.all)
    inflation.context.set(FRAMES)
    hosts = {
        n: m for n, m in unet.named_modules() if isinstance(getattr(m, "slot", None), InsertSlot)
    }
    for host in hosts.values():
        flag = getattr(host.slot, "gradient_checkpointing", None)
        assert flag is (True if isinstance(host, Transformer2DModel) else None)
    calls: list[nn.Module] = []
    inflation.modules()[0].register_forward_pre_hook(lambda m, a: calls.append(m))
    unet.train()
    unet(*inputs(), return_dict=False)[0].sum().backward()
    assert len(calls) == 2, "once forward, once again for backward"


@pytest.mark.long
@pytest.mark.parametrize("name", ["temporal", "crossframe_first"])
def test_compiled_is_the_same(name: str) -> None:
    unet, inflation = inflated(name)
    disturb(inflation)
    expected = run(unet)
    torch._dynamo.reset()
    compiled = torch.compile(unet, backend="eager")
    with torch.no_grad():
        torch.testing.assert_close(compiled(*inputs(), return_dict=False)[0], expected)


@pytest.mark.parametrize("name", VARIANTS)
def test_a_copy_stands_alone(name: str) -> None:
    unet, inflation = inflated(name, slots=Slots.all)
    disturb(inflation)
    expected = run(unet)
    unet2, inflation2 = copy.deepcopy((unet, inflation))
    assert torch.equal(run(unet2), expected)
    disturb(inflation2)
    inflation2.context.set(1, motion(8, 1))
    assert torch.equal(run(unet), expected)
    before = snapshot(unet)
    inflation2.remove()
    assert torch.equal(run(unet2), run(stock()))
    assert_same(before, snapshot(unet))


@pytest.mark.parametrize("name", VARIANTS)
def test_state_dict_round_trip_and_dtype(name: str) -> None:
    unet, inflation = inflated(name, slots=Slots.all)
    disturb(inflation)
    other, _ = inflated(name, slots=Slots.all, seed=5)
    other.load_state_dict(unet.state_dict(), strict=True)
    assert torch.equal(run(other), run(unet))
    other.to(torch.bfloat16)
    assert {p.dtype for p in other.parameters()} == {torch.bfloat16}
    sample, times, text = inputs()
    with torch.no_grad():
        low = other(sample.bfloat16(), times, text.bfloat16(), return_dict=False)[0]
    assert low.dtype == torch.bfloat16
    expected = run(unet)
    assert (low - expected).abs().mean() < 0.1 * expected.abs().mean()


@pytest.mark.parametrize("name", VARIANTS)
def test_autocast_keeps_the_dtype_of_the_stream(name: str) -> None:
    unet, inflation = inflated(name, slots=Slots.all)
    disturb(inflation)
    with torch.autocast("cpu", torch.bfloat16), torch.no_grad():
        out = unet(*inputs(), return_dict=False)[0]
    expected = run(unet)
    assert (out - expected).abs().mean() < 0.1 * expected.abs().mean()


def test_modules_come_in_the_mode_and_dtype_of_the_unet() -> None:
    for name in ("temporal", "crossframe_first"):
        unet = stock().to(torch.float64)
        inflation = inflate(unet, name)
        assert {p.dtype for p in inflation.new_parameters()} == {torch.float64}
        assert not any(m.training for m in inflation.modules())
        unet.train()
        assert all(m.training for m in inflation.modules())


@pytest.mark.parametrize("name", VARIANTS)
def test_guidance_doubles_the_batch_and_repeats_the_motion(name: str) -> None:
    unet, inflation = inflated(name, slots=Slots.all)
    disturb(inflation)
    once = run(unet)
    seen: list[Any] = []

    def note(module: nn.Module, args: Any, kwargs: dict[str, Any]) -> None:
        seen.append(kwargs["flow"])

    for mechanism in inflation.modules():
        mechanism.register_forward_pre_hook(note, with_kwargs=True)
    doubled = [torch.cat([x, x]) for x in inputs()]
    with torch.no_grad():
        twice = unet(*doubled, return_dict=False)[0]
    torch.testing.assert_close(twice, torch.cat([once, once]), atol=1e-5, rtol=1e-5)
    assert len(seen) == len(inflation.modules())
    assert all(m is seen[0] and m.batch == 4 for m in seen), "one motion for all slots"
