"""Attached modules together with what people use: LoRA, compilation, checkpointing, offloading."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from accelerate import cpu_offload, cpu_offload_with_hook
from accelerate.hooks import remove_hook_from_submodules
from attached import (
    FRAMES,
    assert_same,
    disturb,
    everything,
    motion,
    motion_unet,
    noise,
    run,
    seeded,
    unet,
)
from diffusers import UNet2DConditionModel
from peft import LoraConfig

import attnzoo
from attnzoo import UserError, registry

VARIANTS = [n for n in registry.list_variants() if registry.get(n).modules]
each_variant = pytest.mark.parametrize("name", VARIANTS)


def lora(*more: str) -> LoraConfig:
    targets = ["to_q", "to_k", "to_v", "to_out.0", *more]
    return LoraConfig(r=2, target_modules=targets, init_lora_weights=False)


def moved(model: Any) -> Any:
    """As if its adapters had been trained."""
    with torch.no_grad():
        for key, parameter in model.named_parameters():
            if "lora_" in key:
                parameter.add_(0.3)
    return model


@each_variant
def test_lora_before_attach_stays_and_goes_on(name: str) -> None:
    model = unet()
    model.add_adapter(lora())
    before, adapted = everything(model), run(model)
    attnzoo.attach(model, name, frames=FRAMES)
    with attnzoo.motion(motion()):
        on = run(model)
        model.disable_adapters()
        off = run(model)
        model.enable_adapters()
        assert torch.equal(run(model), on) and not torch.allclose(on, off)
    attnzoo.detach(model)
    assert_same(before, everything(model))
    assert torch.equal(run(model), adapted)

    expected = run(moved(copy.deepcopy(model)))
    attnzoo.attach(model, name, frames=FRAMES)
    moved(model)
    attnzoo.detach(model)
    assert torch.equal(run(model), expected), "what an adapter learned while modules were in"

    attnzoo.attach(model, name, frames=FRAMES)
    model.disable_adapters()
    attnzoo.detach(model)
    assert torch.equal(run(model), run(unet())), "and that it was switched off"


@pytest.mark.parametrize("name", ["crossframe_first", "motion_module", "stsa"])
def test_lora_after_attach_is_on_the_new_layers_too(name: str, tmp_path: Path) -> None:
    model = unet()
    disturb(attnzoo.attach(model, name, frames=FRAMES))
    plain = run(model)
    model.add_adapter(lora("to_qkv"))
    paths = [k for k in model.state_dict() if "lora_A" in k]
    new = [k for k in paths if ".slot." in k or (name == "crossframe_first" and ".attn1." in k)]
    assert new and not torch.allclose(run(model), plain)
    attnzoo.save_modules(model, tmp_path)
    with pytest.raises(UserError, match=r"'default' was added to .* delete it first"):
        attnzoo.detach(model)
    assert len([k for k in model.state_dict() if "lora_A" in k]) == len(paths)
    model.delete_adapters("default")
    torch.testing.assert_close(run(model), plain)
    attnzoo.detach(model)
    model.unload_lora()
    assert torch.equal(run(model), run(unet()))
    attnzoo.load_modules(model, tmp_path)
    assert torch.equal(run(model), plain), "files hold the modules without the adapter"


def test_lora_that_is_fused_into_what_goes() -> None:
    model = unet()
    model.add_adapter(lora())
    expected = run(model)
    attnzoo.attach(model, "crossframe_first", frames=FRAMES)
    model.fuse_lora()
    with pytest.raises(UserError, match="unmerge"):
        attnzoo.detach(model)
    model.unfuse_lora()
    attnzoo.detach(model)
    torch.testing.assert_close(run(model), expected, atol=1e-5, rtol=1e-5)


def one_transformer() -> Any:
    """Little to compile."""
    return seeded(
        lambda: UNet2DConditionModel(
            block_out_channels=(16,), down_block_types=("CrossAttnDownBlock2D",),
            up_block_types=("UpBlock2D",), mid_block_type=None, layers_per_block=1,
            norm_num_groups=4, cross_attention_dim=6, attention_head_dim=2,
        )
    )  # fmt: skip


@pytest.mark.long
@pytest.mark.parametrize("name", ["crossframe_first", "motion_module", "stsa_flow"])
@pytest.mark.filterwarnings("ignore:.*should not be instantiated:DeprecationWarning")
def test_compiled(name: str) -> None:
    """As one graph, but for `stsa*`, whose index maps are made outside and enter as inputs."""
    model = one_transformer()
    attachment = attnzoo.attach(model, name, frames=FRAMES)
    disturb(attachment)
    torch._dynamo.reset()
    compiled = torch.compile(model, backend="eager", fullgraph=not attachment.inflation.needs.flow)
    for seed in (0, 1):
        with attnzoo.motion(motion()):
            expected = run(model, seed=seed)
            torch.testing.assert_close(run(compiled, seed=seed), expected)


@pytest.mark.long
@pytest.mark.parametrize("in_place", [False, True])
def test_a_compiled_model_notices_what_comes_and_goes(in_place: bool) -> None:
    model = one_transformer()
    plain = run(model)
    torch._dynamo.reset()
    if in_place:
        model.compile(backend="eager")
        compiled = model
    else:
        compiled = torch.compile(model, backend="eager")
    torch.testing.assert_close(run(compiled), plain)
    disturb(attnzoo.attach(compiled, "temporal", frames=FRAMES))
    assert not torch.allclose(run(compiled), plain)
    attnzoo.detach(compiled)
    torch.testing.assert_close(run(compiled), plain)


CHECKPOINTED = [(name, unet, False) for name in VARIANTS]
CHECKPOINTED += [(name, unet, True) for name in ("motion_module", "crossframe_first")]
CHECKPOINTED += [(name, motion_unet, True) for name in ("stsa_flow", "crossframe_first")]


@pytest.mark.parametrize(("name", "make", "first"), CHECKPOINTED)
def test_gradient_checkpointing(name: str, make: Any, first: bool) -> None:
    """The backward runs behind the `with`, and still follows the motion of its forward."""
    model = make().train()
    other = copy.deepcopy(model)
    if first:
        model.enable_gradient_checkpointing()
    for m in (model, other):
        disturb(attnzoo.attach(m, name, frames=FRAMES))
    model.enable_gradient_checkpointing()
    images, text = noise(2 * FRAMES, 4, 4, 6), noise(2 * FRAMES, 3, 6)
    if make is motion_unet:
        images = images.unflatten(0, (2, FRAMES)).transpose(1, 2)
    for m in (model, other):
        with attnzoo.motion(motion()):
            loss = m(images, 7, text).sample.square().mean()
        loss.backward()
    found = [p.grad for p in model.parameters() if p.grad is not None]
    expected = [p.grad for p in other.parameters() if p.grad is not None]
    assert len(found) == len(expected) > 0
    for a, b in zip(found, expected, strict=True):
        torch.testing.assert_close(a, b, atol=1e-6, rtol=1e-4)
    attnzoo.detach(model)


@each_variant
def test_whole_models_are_offloaded(name: str) -> None:
    """What `enable_model_cpu_offload` does to a U-Net, with the CPU as the device to run on."""
    model = unet()
    plain = run(model)
    _, hook = cpu_offload_with_hook(model, "cpu")
    disturb(attnzoo.attach(model, name, frames=FRAMES))
    with attnzoo.motion(motion()):
        there = run(model)
    hook.offload()
    attnzoo.detach(model)
    assert torch.equal(run(model), plain) and not torch.allclose(there, plain)


@each_variant
def test_offloaded_layer_by_layer(name: str) -> None:
    model = unet()
    plain = run(model)
    disturb(attnzoo.attach(model, name, frames=FRAMES))
    with attnzoo.motion(motion()):
        expected = run(model)
        cpu_offload(model, "cpu")
        assert all(p.is_meta for p in model.conv_in.parameters())
        torch.testing.assert_close(run(model), expected)
    if registry.get(name).kind is registry.Kind.replace:
        with pytest.raises(UserError, match=r"remove_all_hooks\(\) first"):
            attnzoo.detach(model)
        remove_hook_from_submodules(model)
    attnzoo.detach(model)
    torch.testing.assert_close(run(model), plain)

    offloaded = unet()
    cpu_offload(offloaded, "cpu")
    with pytest.raises(UserError, match="attach first, then enable_sequential_cpu_offload"):
        attnzoo.attach(offloaded, name, frames=FRAMES)


@each_variant
def test_attention_slicing(name: str) -> None:
    """The U-Net's own attentions are sliced, ours need no slices; results are the same."""
    model = unet()
    model.set_attention_slice("max")
    sliced = everything(model)
    disturb(attnzoo.attach(model, name, frames=FRAMES))
    with attnzoo.motion(motion()):
        one = run(model)
        model.set_attention_slice("auto")
        other = run(model)
        torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-5)
    model.set_attention_slice("max")
    attnzoo.detach(model)
    assert everything(model)[0][1] == sliced[0][1]
    torch.testing.assert_close(run(model), run(unet()), atol=1e-5, rtol=1e-5)


@each_variant
def test_freeu(name: str) -> None:
    model, plain = unet(), unet()
    for m in (model, plain):
        m.enable_freeu(s1=0.9, s2=0.2, b1=1.4, b2=1.6)
    attachment = attnzoo.attach(model, name, frames=FRAMES)
    with attnzoo.motion(motion()):
        if registry.get(name).kind is registry.Kind.insert:
            assert torch.equal(run(model), run(plain))
        disturb(attachment)
        with_freeu = run(model)
        model.disable_freeu()
        assert not torch.allclose(run(model), with_freeu)
    attnzoo.detach(model)
    assert torch.equal(run(model), run(unet()))


@each_variant
def test_a_block_alone(name: str) -> None:
    """As DeepCache does it: deep blocks are skipped, and the outer ones are called by hand."""
    model = unet()
    disturb(attnzoo.attach(model, name, frames=FRAMES))
    seen: dict[str, Any] = {}

    def note(module: Any, args: Any, kwargs: Any, output: Any) -> None:
        seen.update(kwargs=kwargs, output=output)

    with attnzoo.motion(motion()):
        handle = model.up_blocks[1].register_forward_hook(note, with_kwargs=True)
        run(model)
        handle.remove()
        with torch.no_grad():
            again = model.up_blocks[1](**seen["kwargs"])
            wide = noise(2 * FRAMES, 24, 6, 4)
            skips = (noise(2 * FRAMES, 16, 6, 4), noise(2 * FRAMES, 16, 6, 4))
            other = model.up_blocks[1](**seen["kwargs"] | {
                "hidden_states": wide, "res_hidden_states_tuple": skips
            })  # fmt: skip
    assert torch.equal(again, seen["output"])
    assert other.shape == (2 * FRAMES, 16, 6, 4) and other.isfinite().all()
