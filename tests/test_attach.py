"""attach and detach: any variant in any U-Net of diffusers, and the model as it was afterwards."""

from __future__ import annotations

import copy
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest
import torch
from attached import (
    FRAMES,
    assert_same,
    controlnet,
    disturb,
    everything,
    motion,
    motion_unet,
    noise,
    run,
    unet,
)
from diffusers import AutoencoderKL, DDIMScheduler, StableDiffusionPipeline, UNet2DConditionModel

import attnzoo
from attnzoo import UserError, registry
from attnzoo.models.attach import attachment_of
from attnzoo.models.inflate import Inflation
from attnzoo.models.slots import MotionSlot

VARIANTS = registry.list_variants()
MODELS = [unet, controlnet, motion_unet]
each_variant = pytest.mark.parametrize("name", VARIANTS)
each_model = pytest.mark.parametrize("make", MODELS, ids=["unet", "controlnet", "motion_unet"])


@each_model
@each_variant
def test_after_detach_the_model_is_bit_for_bit_what_it_was(
    name: str, make: Callable[[], Any]
) -> None:
    model = make()
    model.mid_block.train()
    model.conv_in.requires_grad_(False)
    before, output = everything(model), run(model)
    attachment = attnzoo.attach(model, name, frames=FRAMES)
    disturb(attachment)
    with attnzoo.motion(motion()):
        changed = run(model)
    assert torch.equal(changed, output) == (name == "none" and make is not motion_unet)
    attnzoo.detach(model)
    assert_same(before, everything(model))
    assert torch.equal(run(model), output)
    with pytest.raises(UserError, match="nothing is attached"):
        attnzoo.detach(model)


@pytest.mark.parametrize(
    "name", [n for n in VARIANTS if registry.get(n).kind is registry.Kind.insert]
)
def test_insertion_is_the_identity_at_any_size_and_batch(name: str) -> None:
    model, plain = unet(), unet()
    attachment = attnzoo.attach(model, name, frames=FRAMES)
    for clips, h, w in ((1, 4, 6), (3, 8, 4), (2, 2, 10)):
        with attnzoo.motion(motion(clips)):
            assert torch.equal(run(model, clips, h, w), run(plain, clips, h, w))
    disturb(attachment)
    for clips, h, w in ((1, 4, 6), (3, 8, 4), (2, 2, 10)):
        with attnzoo.motion(motion(clips)):
            assert run(model, clips, h, w).isfinite().all()


@each_variant
def test_guidance_doubles_the_clips(name: str) -> None:
    model = unet()
    disturb(attnzoo.attach(model, name, frames=FRAMES))
    images, text = noise(2 * FRAMES, 4, 4, 6), noise(2 * FRAMES, 3, 6, seed=1)
    with attnzoo.motion(motion()), torch.no_grad():
        once = model(images, 7, text).sample
        twice = model(torch.cat([images] * 2), 7, torch.cat([text] * 2)).sample
    torch.testing.assert_close(twice, torch.cat([once] * 2), atol=1e-5, rtol=1e-5)


def test_a_batch_that_is_no_whole_number_of_clips() -> None:
    for name in ("temporal", "crossframe_first"):
        model = unet()
        attnzoo.attach(model, name, frames=3)
        with pytest.raises(UserError, match="8 images are no whole number of clips of 3 frames"):
            run(model)


def test_frames_have_no_positions() -> None:
    model = unet()
    attachment = attnzoo.attach(model, "none", frames=FRAMES)
    assert attachment.parameters() == [] and list(model.state_dict()) == list(unet().state_dict())


@each_model
@pytest.mark.parametrize("name", ["stsa", "motion_module", "crossframe_first", "none"])
def test_a_failure_at_any_point_leaves_the_model_alone(
    name: str, make: Callable[[], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Construction, hanging in and hooks, each at its k-th call."""
    model, failures = make(), 0
    before = everything(model)
    steps = [
        (registry, "create"),
        (Inflation, "insert"),
        (Inflation, "replace"),
        (torch.nn.Module, "register_forward_hook"),
        (torch.nn.Module, "register_forward_pre_hook"),
        (torch.nn.Module, "to"),
    ]
    for holder, attribute in steps:
        for k in (0, 1, 3):
            with monkeypatch.context() as patch:
                patch.setattr(holder, attribute, _failing(getattr(holder, attribute), k))
                try:
                    attnzoo.attach(model, name, frames=FRAMES)
                except MemoryError:
                    failures += 1
                else:
                    attnzoo.detach(model)
            assert_same(before, everything(model))
            assert attachment_of(model) is None
    assert failures >= (1 if name == "none" else 6)


def _failing(real: Callable[..., Any], k: int) -> Callable[..., Any]:
    left = [k]

    def call(*args: Any, **kwargs: Any) -> Any:
        if not left[0]:
            raise MemoryError
        left[0] -= 1
        return real(*args, **kwargs)

    return call


def test_attaching_twice_is_refused_and_changes_nothing() -> None:
    model = unet()
    disturb(attnzoo.attach(model, "stsa", size=(2, 2, 2), frames=FRAMES))
    before, output = everything(model), run(model)
    for name in ("stsa", "crossframe_first"):
        with pytest.raises(UserError, match=r"carries attn=stsa already; attnzoo\.detach"):
            attnzoo.attach(model, name, frames=FRAMES)
    assert_same(before, everything(model))
    assert torch.equal(run(model), output)


@pytest.mark.parametrize(
    ("name", "given", "words"),
    [
        ("tempral", {}, "did you mean 'temporal'"),
        ("stsa", {"sise": 1}, "stsa has no option 'sise'; did you mean 'size'"),
        ("stsa", {"size": (0, 2, 2)}, r"size=\[0,2,2\] must be three positive"),
        ("stsa", {"shift": True}, "shift is set by the slot"),
        ("stsa", {"frames": 0}, "frames=0 must be a positive integer"),
        ("stsa", {"slots": "every"}, "slots=every is no choice"),
        ("stsa", {"stack": "tall"}, "stack=tall is no choice"),
        ("motion_module", {"motion_heads": 5}, "channels=16 must be a multiple of motion_heads=5"),
        ("none", {"size": 3}, "none has no option 'size'"),
    ],
)
def test_refused_with_words_and_untouched(name: str, given: dict[str, Any], words: str) -> None:
    model = unet()
    before = everything(model)
    with pytest.raises(UserError, match=words):
        attnzoo.attach(model, name, **{"frames": FRAMES} | given)
    assert_same(before, everything(model))


def test_models_without_a_unet() -> None:
    for model in (torch.nn.Linear(2, 2), object()):
        with pytest.raises(UserError, match=f"a {type(model).__name__} has no U-Net of 2-D blocks"):
            attnzoo.attach(model, "stsa", frames=2)


def test_motion_is_followed_inside_the_context_alone() -> None:
    model = unet()
    disturb(attnzoo.attach(model, "stsa_flow", size=(2, 2, 2), frames=FRAMES))
    with pytest.raises(UserError, match="attn=stsa_flow needs flow"):
        run(model)
    with attnzoo.motion(motion(seed=0)):
        one = run(model)
        with attnzoo.motion(motion(seed=5)):
            other = run(model)
        assert torch.equal(run(model), one) and not torch.allclose(one, other)
    with pytest.raises(UserError, match="attn=stsa_flow needs flow"):
        run(model)
    with (
        pytest.raises(UserError, match=r"takes an attnzoo\.Motion, not a str"),
        attnzoo.motion("m"),
    ):
        pass


def test_motion_is_a_module_and_a_context() -> None:
    code = (
        "import sys, attnzoo; assert 'torch' not in sys.modules; import attnzoo.motion as m;"
        "import attnzoo.motion; from attnzoo.motion import Motion, downsample;"
        "from attnzoo import motion; assert m.Motion is Motion is attnzoo.Motion;"
        "assert attnzoo.motion is m is motion is sys.modules['attnzoo.motion'];"
        "a = Motion(lambda k, r: None, batch=1)\n"
        "with attnzoo.motion(a) as b: assert m.current() is a is b\n"
        "assert m.current() is None; print('well')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "well"


@pytest.mark.parametrize("slots", ["attention", "all", "inside"])
def test_a_motion_unets_own_modules_make_way(slots: str) -> None:
    model = motion_unet()
    before, output = everything(model), run(model)
    attachment = attnzoo.attach(model, "temporal", frames=FRAMES, slots=slots)
    own = [m for block in model.down_blocks for m in block.motion_modules]
    assert own and all(isinstance(m, MotionSlot) for m in own)
    assert not any("proj_in" in k for k in model.state_dict() if ".motion_modules." in k)
    silent = run(model)
    disturb(attachment)
    assert not torch.allclose(run(model), silent) and not torch.allclose(output, silent)
    with pytest.raises(UserError, match=r"for clips of 4 frames and the model runs clips of 8$"):
        model(noise(1, 4, 8, 4, 6), 7, noise(8, 3, 6))
    attnzoo.detach(model)
    assert_same(before, everything(model))


def test_a_motion_unet_without_modules_in_the_middle() -> None:
    model = motion_unet(use_motion_mid_block=False)
    before = everything(model)
    attachment = attnzoo.attach(model, "motion_module", frames=FRAMES, groups=4)
    assert len(attachment.modules()) == 6
    run(model)
    attnzoo.detach(model)
    assert_same(before, everything(model))


def test_what_comes_back_follows_device_dtype_and_mode() -> None:
    for make, name in ((unet, "crossframe_first"), (motion_unet, "stsa")):
        model = make()
        attnzoo.attach(model, name, frames=FRAMES)
        model.to(torch.float64).train()
        attnzoo.detach(model)
        assert {p.dtype for p in model.parameters()} == {torch.float64}
        assert all(m.training for m in model.modules())


def test_a_copy_has_its_own_attachment() -> None:
    for make, name in ((unet, "crossframe_first"), (unet, "temporal"), (motion_unet, "temporal")):
        model = make()
        before = everything(model)
        disturb(attnzoo.attach(model, name, frames=FRAMES))
        twin = copy.deepcopy(model)
        assert torch.equal(run(twin), run(model))
        attnzoo.detach(twin)
        assert torch.equal(run(twin), run(make())) and attachment_of(model) is not None
        attnzoo.detach(model)
        assert_same(before, everything(model))


def test_a_copy_follows_motion_by_itself() -> None:
    model = unet()
    disturb(attnzoo.attach(model, "stsa_flow", size=(2, 2, 2), frames=FRAMES))
    twin = copy.deepcopy(model)
    with attnzoo.motion(motion()):
        assert torch.equal(run(twin), run(model))
    with pytest.raises(UserError, match="attn=stsa_flow needs flow"):
        run(twin)


def pipeline(model: Any) -> StableDiffusionPipeline:
    vae = AutoencoderKL(
        block_out_channels=(8, 8), down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2, norm_num_groups=4, latent_channels=4,
    ).eval()  # fmt: skip
    pipe = StableDiffusionPipeline(
        vae=vae, text_encoder=None, tokenizer=None, unet=model,
        scheduler=DDIMScheduler(steps_offset=1, clip_sample=False),
        safety_checker=None, feature_extractor=None, requires_safety_checker=False,
    )  # fmt: skip
    pipe.set_progress_bar_config(disable=True)
    return pipe


def sampled(pipe: StableDiffusionPipeline, images: int = FRAMES) -> torch.Tensor:
    result: torch.Tensor = pipe(
        prompt_embeds=noise(1, 3, 6), negative_prompt_embeds=noise(1, 3, 6, seed=1),
        num_images_per_prompt=images, num_inference_steps=2, height=16, width=24,
        guidance_scale=3.0, output_type="latent", generator=torch.Generator().manual_seed(0),
    ).images  # fmt: skip
    return result


def test_a_whole_pipeline_with_guidance() -> None:
    model = unet()
    pipe = pipeline(model)
    before, plain = everything(model), sampled(pipe)
    attachment = attnzoo.attach(pipe, "stsa_flow", size=(2, 2, 2), frames=FRAMES)
    with attnzoo.motion(motion(1)):
        assert torch.equal(sampled(pipe), plain)
        disturb(attachment)
        moved = sampled(pipe)
    assert moved.shape == (FRAMES, 4, 8, 12) and not torch.allclose(moved, plain)
    with pytest.raises(UserError, match="6 images are no whole number"):
        sampled(pipe, 3)
    attnzoo.detach(pipe)
    assert_same(before, everything(model))
    assert torch.equal(sampled(pipe), plain)


SDXL: dict[str, Any] = dict(
    down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
    up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
    transformer_layers_per_block=(1, 2, 10), attention_head_dim=(5, 10, 20),
    use_linear_projection=True, addition_embed_type="text_time", addition_time_embed_dim=256,
)  # fmt: skip


def sdxl_in_small() -> Any:
    small = SDXL | dict(attention_head_dim=(1, 2, 4), addition_time_embed_dim=4)
    return UNet2DConditionModel(
        block_out_channels=(8, 16, 32), cross_attention_dim=8, norm_num_groups=4,
        projection_class_embeddings_input_dim=24 + 8, **small,
    ).eval()  # fmt: skip


@pytest.mark.parametrize("name", ["stsa", "crossframe_first", "motion_module"])
def test_sdxls_blocks(name: str) -> None:
    model = sdxl_in_small()
    before = everything(model)
    added = {"text_embeds": noise(FRAMES, 8), "time_ids": noise(FRAMES, 6)}

    def out() -> torch.Tensor:
        with torch.no_grad():
            images, text = noise(FRAMES, 4, 8, 12), noise(FRAMES, 3, 8)
            result: torch.Tensor = model(images, 7, text, added_cond_kwargs=added).sample
        return result

    plain = out()
    attachment = attnzoo.attach(model, name, frames=FRAMES)
    slots = attachment.inflation.slots()
    # 2, 2 and 2 layers down, 1 in the middle, 3, 3 and 3 up; 70 transformer blocks.
    assert len(slots) == {"stsa": 13, "motion_module": 16, "crossframe_first": 70}[name]
    assert torch.equal(out(), plain) == (name != "crossframe_first")
    attnzoo.detach(model)
    assert_same(before, everything(model))
    assert torch.equal(out(), plain)


@pytest.mark.parametrize("name", ["stsa", "crossframe_first", "motion_module"])
@pytest.mark.parametrize(("which", "parameters"), [("sd15", 859_520_964), ("sdxl", 2_567_463_684)])
def test_the_structure_at_full_size(which: str, parameters: int, name: str) -> None:
    """Without memory: where modules sit in Stable Diffusion 1.5 and XL as they are."""
    full = dict(
        sd15=dict(cross_attention_dim=768),
        sdxl=dict(
            block_out_channels=(320, 640, 1280), cross_attention_dim=2048,
            projection_class_embeddings_input_dim=2816, **SDXL,
        ),
    )[which]  # fmt: skip
    with torch.device("meta"):
        model = UNet2DConditionModel(**full)
        assert sum(p.numel() for p in model.parameters()) == parameters
        keys = list(model.state_dict())
        attachment = attnzoo.attach(model, name, frames=16)
    counts = {
        "sd15": {"stsa": 18, "motion_module": 21, "crossframe_first": 16},
        "sdxl": {"stsa": 13, "motion_module": 16, "crossframe_first": 70},
    }
    assert len(attachment.inflation.slots()) == counts[which][name]
    attnzoo.detach(model)
    assert list(model.state_dict()) == keys
