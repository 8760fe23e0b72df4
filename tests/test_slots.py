"""Slots and frame positions: layout, gates, heads, seeds, and what they refuse."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from diffusers import UNet2DConditionModel
from small_unet import VARIANTS, assert_same, disturb, inflated, run, snapshot
from torch import Tensor, nn

from attnzoo import registry
from attnzoo.errors import UserError
from attnzoo.models.inflate import Slots, Stack, inflate
from attnzoo.models.slots import InsertSlot, ReplaceSlot, SlotLayer, delta_of
from attnzoo.testing.small_unet import FRAMES, SIZE, inputs, motion, stock


def test_channels_last_stays_channels_last() -> None:
    unet, inflation = inflated("temporal", slots=Slots.all)
    disturb(inflation)
    slot = next(m for m in unet.modules() if isinstance(m, InsertSlot))
    x = torch.randn((8, 16, 4, 5), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        plain, last = slot(x), slot(x.contiguous(memory_format=torch.channels_last))
    assert plain.is_contiguous() and not last.is_contiguous()
    assert last.is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(plain, last)


def test_a_slot_is_residual_and_norm_of_each_layer() -> None:
    unet, inflation = inflated("temporal")
    disturb(inflation)
    slot = next(m for m in unet.modules() if isinstance(m, InsertSlot))
    x = torch.randn((8, 16, 2, 3), generator=torch.Generator().manual_seed(0))
    y = x.view(2, 4, 16, 2, 3).permute(0, 1, 3, 4, 2)
    for layer in slot.layers:
        y = y + layer.mechanism(
            nn.functional.layer_norm(y, (16,), layer.norm.weight, layer.norm.bias)
        )
    with torch.no_grad():
        found = slot(x)
    torch.testing.assert_close(found, y.permute(0, 1, 4, 2, 3).reshape(x.shape))


def test_without_a_last_linear_a_zero_gate_with_ten_times_the_rate(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    real = registry.get
    monkeypatch.setattr(registry, "get", lambda name: replace(real(name), last_linear=None))
    unet, inflation = inflated("temporal")
    assert torch.equal(run(unet), run(stock()))
    gates = [p for p, factor in inflation.learning_rate_factors().items() if factor == 10]
    assert [tuple(p.shape) for p in gates] == [(16,)] * 2 + [(24,)] * 2 + [(16,)] * 4
    unet(*inputs(), return_dict=False)[0].square().sum().backward()
    assert all(p.grad is not None and p.grad.any() for p in gates)
    disturb(inflation)
    assert not torch.allclose(run(unet), run(stock()), atol=1e-3)


@pytest.mark.parametrize("path", ["to_nowhere", "to_out.7"])
def test_a_last_linear_that_is_not_there(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    real = registry.get
    monkeypatch.setattr(registry, "get", lambda name: replace(real(name), last_linear=path))
    unet = stock()
    before = snapshot(unet)
    with pytest.raises(UserError, match=rf"last_linear='{path}' and has no such layer"):
        inflate(unet, "temporal")
    assert_same(before, snapshot(unet))


def test_stack_flat_repeats_the_first_module() -> None:
    def shifts(stack: Stack) -> list[Any]:
        _, inflation = inflated("stsa", stack=stack)
        return [getattr(m, "shift", None) for m in inflation.modules()][:2]

    assert shifts(Stack.declared) == [False, True]
    assert shifts(Stack.flat) == [False, False]


def test_heads_follow_the_transformer_or_the_nearest_one() -> None:
    _, inflation = inflated("temporal", slots=Slots.all)
    heads = [m.heads for m in inflation.modules()][::2]
    # 16 channels in heads of 8; bare ResNets of 24 channels; mid of 24 channels in heads of 8.
    assert heads == [2, 3, 3, 3, 2, 2]


def test_weights_come_from_the_seed_alone() -> None:
    before = torch.get_rng_state()
    states = [inflated("temporal", seed=seed)[0].state_dict() for seed in (1, 1, 2)]
    assert torch.equal(torch.get_rng_state(), before)
    drawn = [
        torch.cat([v.flatten() for k, v in state.items() if ".mechanism." in k]) for state in states
    ]
    assert torch.equal(drawn[0], drawn[1]) and not torch.equal(drawn[0], drawn[2])


def test_frame_positions_are_added_to_each_frame_of_each_clip() -> None:
    unet, inflation = inflated("none")
    positions = inflation.positions
    assert positions is not None
    disturb(inflation)
    seen: list[Tensor] = []
    unet.time_embedding.register_forward_hook(lambda m, a, out: seen.append(out))
    run(unet)
    run_plain = stock()
    run_plain.time_embedding.register_forward_hook(lambda m, a, out: seen.append(out))
    run(run_plain)
    difference = (seen[0] - seen[1]).view(2, FRAMES, -1)
    with torch.no_grad():
        expected = positions(FRAMES)
    torch.testing.assert_close(difference, expected.expand(2, -1, -1), atol=1e-5, rtol=1e-5)
    assert (expected[0] - expected[3]).abs().max() > 0.1


def test_without_positions() -> None:
    unet, inflation = inflated("none", positions=False)
    assert inflation.new_parameters() == [] and inflation.positions is None
    assert not hasattr(unet, "frame_positions")


def test_motion_is_missing() -> None:
    for name in [n for n in VARIANTS if registry.get(n).needs_flow]:
        unet, inflation = inflated(name)
        inflation.context.set(FRAMES, None)
        with pytest.raises(UserError, match=f"attn={name} needs flow"):
            run(unet)


class Wrong(nn.Module):
    """A mechanism that does something else than it must."""

    def __init__(self, what: Callable[[Tensor], Any]) -> None:
        super().__init__()
        self.what = what
        self.to_out = nn.Linear(8, 8)

    def forward(self, x: Tensor, *, flow: Any = None) -> Any:
        return self.what(x)


@pytest.mark.parametrize(
    ("what", "words"),
    [
        (lambda x: x[..., :1], r"gives \[1, 2, 3, 4, 1\] for \[1, 2, 3, 4, 8\]"),
        (lambda x: x.flatten(1, 3), r"gives \[1, 24, 8\] for"),
        (lambda x: (x, None), "gives tuple, and must give one tensor"),
        (lambda x: x.mul_(0.5), "changes its input in place"),
        (lambda x: x[0].zero_() + x, "changes its input in place"),
    ],
)
@pytest.mark.parametrize("norm", [True, False])
def test_a_delta_that_would_be_added_wrongly_is_refused(
    what: Callable[[Tensor], Any], words: str, norm: bool
) -> None:
    layer = SlotLayer(8, Wrong(what), "to_out", norm=norm)
    with pytest.raises(UserError, match=f"the mechanism Wrong {words}"), torch.no_grad():
        layer(torch.ones(1, 2, 3, 4, 8))
    with pytest.raises(UserError, match=f"the mechanism Wrong {words}"), torch.no_grad():
        delta_of(Wrong(what), torch.ones(1, 2, 3, 4, 8), None)


def test_under_inference_mode_there_are_no_versions_to_compare() -> None:
    with torch.inference_mode():
        x = torch.ones(1, 2, 3, 4, 8)
        assert torch.equal(delta_of(Wrong(lambda x: 2 * x), x, None), 2 * x)


def test_too_few_frames(monkeypatch: pytest.MonkeyPatch) -> None:
    real = registry.get
    for name in ("temporal", "crossframe_first"):
        monkeypatch.setattr(registry, "get", lambda name: replace(real(name), min_frames=5))
        unet, _ = inflated(name)
        with pytest.raises(UserError, match=f"attn={name} needs .* at least 5 frames, not 4"):
            run(unet)


BAD: list[tuple[Callable[[UNet2DConditionModel], Any], str]] = [
    (lambda unet: inflate(unet, "tempral"), "temporal"),
    (lambda unet: inflate(unet, "temporal", options={"siez": 3}), "siez"),
    (lambda unet: inflate(unet, "stsa", options={"shift": True}), "shift is set by the slot"),
    (lambda unet: inflate(unet, "crossframe_first", options={"size": 3}), "size"),
]


@pytest.mark.parametrize(("call", "words"), BAD, ids=[words for _, words in BAD])
def test_refused_and_untouched(call: Callable[[UNet2DConditionModel], Any], words: str) -> None:
    unet = stock()
    before = snapshot(unet)
    with pytest.raises(UserError, match=words):
        call(unet)
    assert_same(before, snapshot(unet))


def test_inflating_twice_is_refused() -> None:
    for name in ("temporal", "crossframe_first", "none"):
        unet, _ = inflated(name)
        with pytest.raises(UserError, match="inflated already"):
            inflate(unet, "temporal")


def test_a_unet_without_transformers() -> None:
    def bare() -> UNet2DConditionModel:
        return UNet2DConditionModel(
            sample_size=SIZE, block_out_channels=(8,), down_block_types=("DownBlock2D",),
            up_block_types=("UpBlock2D",), mid_block_type=None, layers_per_block=1,
            norm_num_groups=4, cross_attention_dim=6, attention_head_dim=2,
        ).eval()  # fmt: skip

    for name in ("temporal", "crossframe_first"):
        with pytest.raises(UserError, match="no spatial transformer"):
            inflate(bare(), name)
    unet = bare()
    expected = run(unet)
    inflation = inflate(unet, "temporal", slots=Slots.all)
    inflation.context.set(FRAMES)
    assert torch.equal(run(unet), expected) and len(inflation.modules()) == 4


def test_self_attention_that_cannot_be_taken_over() -> None:
    unet = stock()
    block = unet.mid_block.attentions[0].transformer_blocks[0]
    block.attn1.to_q = nn.Linear(24, 24, bias=True)
    with pytest.raises(UserError, match=r"cannot take over .*to_q\.bias"):
        inflate(unet, "crossframe_first")
    assert not any(isinstance(m, ReplaceSlot) for m in unet.modules())


@pytest.mark.parametrize(("frames", "clips"), [(3, 2), (5, 1)])
def test_images_that_are_no_whole_clips(frames: int, clips: int) -> None:
    for name in ("temporal", "none"):
        unet, inflation = inflated(name)
        inflation.context.set(frames)
        with pytest.raises(UserError, match=f"8 images .* of {frames} frames"):
            run(unet)


def test_motion_of_other_clips() -> None:
    unet, inflation = inflated("stsa_flow")
    inflation.context.set(FRAMES, motion(3))
    with pytest.raises(UserError, match="motion of 3 clips does not fit a batch of 2"):
        run(unet)


def test_replace_slot_refuses_what_it_cannot_honour() -> None:
    unet, _ = inflated("crossframe_first")
    slot = next(m for m in unet.modules() if isinstance(m, ReplaceSlot))
    x = torch.zeros(4, 6, 16)
    with pytest.raises(RuntimeError, match="6 tokens"):
        slot(x)
    for refused in ({"attention_mask": x}, {"encoder_hidden_states": x}):
        with pytest.raises(ValueError, match="crossframe_first takes neither"):
            slot(x, **refused)


def test_a_child_swapped_in_the_slot_is_swapped_in_the_mechanism() -> None:
    unet, inflation = inflated("crossframe_first")
    slot = next(m for m in unet.modules() if isinstance(m, ReplaceSlot))
    slot.to_q = nn.Sequential(slot.to_q, nn.Identity())
    assert inflation.modules()[0].to_q is slot.to_q
    run(unet)
