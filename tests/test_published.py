"""AnimateDiff's and Tune-A-Video's weights: made-up small files of the true layouts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from attached import FRAMES, LEVELS, assert_same, everything, noise, run, seeded, unet
from diffusers import MotionAdapter, UNetMotionModel
from diffusers.models.attention_processor import Attention
from safetensors.torch import save_file
from torch import Tensor, nn

import attnzoo
from attnzoo import UserError

GROUPS = LEVELS["norm_num_groups"]


def adapter(**settings: Any) -> Any:
    model = seeded(
        lambda: MotionAdapter(
            **dict(
                block_out_channels=LEVELS["block_out_channels"], motion_layers_per_block=1,
                motion_num_attention_heads=8, motion_norm_num_groups=GROUPS,
            ) | settings
        )
    )  # fmt: skip
    with torch.no_grad():  # norms and biases too
        g = torch.Generator().manual_seed(3)
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=g))
    return model


def original_layout(source: Any, longest: int) -> dict[str, Tensor]:
    """The keys of AnimateDiff's own files (guoyww/AnimateDiff, motion_module.py)."""
    state = {}
    for key, value in source.state_dict().items():
        if "pos_embed" in key:
            block = key.removesuffix("pos_embed.pe")
            for i in (0, 1):
                table = value[:, :longest]
                state[f"{block}attention_blocks.{i}.pos_encoder.pe"] = table.clone()
            continue
        for ours, theirs in (
            (".norm1.", ".norms.0."), (".norm2.", ".norms.1."), (".norm3.", ".ff_norm."),
            (".attn1.", ".attention_blocks.0."), (".attn2.", ".attention_blocks.1."),
        ):  # fmt: skip
            key = key.replace(ours, theirs)
        state[key] = value
    return {_with_wrapper(key): value for key, value in state.items()}


def _with_wrapper(key: str) -> str:
    parts = key.split(".")
    at = parts.index("motion_modules") + 2
    return ".".join([*parts[:at], "temporal_transformer", *parts[at:]])


def expected_from(source: Any, seed: int = 0) -> Tensor:
    model = UNetMotionModel.from_unet2d(unet(), source).eval()
    return run(model, seed=seed)


LAYOUTS = {"v1": (24, False), "v2": (32, True), "v3": (32, False)}
"""The longest clip, and whether the middle block has a module."""


@pytest.mark.parametrize(
    ("layout", "form"),
    [
        ("v1", "wrapped ckpt"),
        ("v2", "ckpt"),
        ("v3", "ckpt"),
        ("v3", "module. ckpt"),
        ("v3", "safetensors"),
    ],
)
def test_animatediffs_own_files(layout: str, form: str, tmp_path: Path) -> None:
    longest, middle = LAYOUTS[layout]
    source = adapter(motion_max_seq_length=longest, use_motion_mid_block=middle)
    state: Any = original_layout(source, longest)
    key = "down_blocks.0.motion_modules.0.temporal_transformer.transformer_blocks.0"
    assert state[f"{key}.attention_blocks.0.pos_encoder.pe"].shape == (1, longest, 16)
    assert any(k.startswith("mid_block") for k in state) == middle
    path = tmp_path / f"mm_{layout}.{form.split()[-1]}"
    if form == "safetensors":
        save_file(state, path)
    else:
        if form == "module. ckpt":
            state = {f"module.{k}": v for k, v in state.items()}
        wrapped = {"epoch": 1, "global_step": 2, "state_dict": state}
        torch.save(wrapped if form != "ckpt" else state, path)

    model = unet()
    attachment = attnzoo.attach(model, "motion_module", groups=GROUPS, frames=FRAMES)
    assert len(attachment.modules()) == 7
    attnzoo.load_animatediff(model, path)
    for seed in (0, 1):
        found, expected = run(model, seed=seed), expected_from(source, seed)
        torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)
    assert not torch.allclose(found, run(unet(), seed=1), atol=1e-2)


def test_a_motion_adapter_as_object_and_as_folder(tmp_path: Path) -> None:
    source = adapter()
    source.save_pretrained(tmp_path)
    for given in (source, tmp_path, source.state_dict(), source.half()):
        model = unet()
        attnzoo.attach(model, "motion_module", groups=GROUPS, frames=FRAMES)
        attnzoo.load_animatediff(model, given)
        expected = expected_from(source.float() if given is source else adapter())
        torch.testing.assert_close(run(model), expected, atol=2e-2, rtol=1e-5)


def test_several_blocks_and_heads() -> None:
    source = adapter(
        motion_transformer_layers_per_block=2, motion_transformer_layers_per_mid_block=2,
        motion_num_attention_heads=4,
    )  # fmt: skip
    model = unet()
    options: dict[str, Any] = dict(groups=GROUPS, blocks=2, motion_heads=4)
    attnzoo.attach(model, "motion_module", frames=FRAMES, **options)
    attnzoo.load_animatediff(model, source)
    torch.testing.assert_close(run(model), expected_from(source), atol=1e-5, rtol=1e-5)


def test_into_a_motion_unet_whose_modules_it_replaces() -> None:
    source = adapter()
    model = UNetMotionModel.from_unet2d(unet(), source).eval()
    expected = run(model)
    attnzoo.attach(model, "motion_module", groups=GROUPS, frames=FRAMES)
    assert not torch.allclose(run(model), expected, atol=1e-2)
    attnzoo.load_animatediff(model, source)
    torch.testing.assert_close(run(model), expected, atol=1e-5, rtol=1e-5)


def test_the_norm_of_animatediffs_own_code_looks_at_each_frame_alone() -> None:
    module = attnzoo.create("motion_module", 16, 2, groups=4, statistics="frame")
    x = noise(2, 3, 4, 5, 16)
    images = x.flatten(0, 1).movedim(-1, 1)
    normed = nn.functional.group_norm(images, 4, module.norm.weight, module.norm.bias, 1e-6)
    torch.testing.assert_close(module._normed(x).flatten(0, 1), normed.movedim(1, -1))


def without(state: dict[str, Tensor], part: str) -> dict[str, Tensor]:
    return {key: value for key, value in state.items() if part not in key}


def test_what_does_not_fit_is_listed_and_nothing_is_loaded() -> None:
    state = original_layout(adapter(), 32)
    table = next(k for k in state if "pos_encoder" in k)
    wrong: list[tuple[Any, str]] = [
        (without(state, "up_blocks.1"), "up_blocks.1.0 absent there; up_blocks.1.1 absent there"),
        (without(state, "ff_norm"), "transformer_blocks.0.norm3.weight absent there, [16] here"),
        ({k: v for k, v in state.items() if "pos" in k}, "there are no motion modules in it"),
        (state | {table: state[table] + 1}, "is no table of sinusoids"),
        (unet().state_dict(), "there are no motion modules in it"),
        (adapter(motion_num_attention_heads=4), "motion_heads [4] there, 8 here"),
        (adapter(motion_norm_num_groups=8), "groups 8 there, 4 here"),
        (adapter(block_out_channels=(16, 32)), "proj_in.weight [32, 32] there, [24, 24] here"),
        (adapter(motion_layers_per_block=2), "down_blocks.0.1 absent here"),
        (adapter(motion_transformer_layers_per_block=2), "transformer_blocks.1.norm1.weight [16]"),
    ]
    model = unet()
    attnzoo.attach(model, "motion_module", groups=GROUPS, frames=FRAMES)
    before = everything(model)
    for source, words in wrong:
        with pytest.raises(UserError, match="AnimateDiff's modules do not fit") as caught:
            attnzoo.load_animatediff(model, source)
        assert words in str(caught.value)
        assert_same(before, everything(model))


def test_weights_need_the_modules_that_they_are_for(tmp_path: Path) -> None:
    (tmp_path / "rotten.ckpt").write_bytes(b"rotten")
    for name, slots, load in (
        ("temporal", "all", attnzoo.load_animatediff),
        ("motion_module", "attention", attnzoo.load_animatediff),
        ("temporal", "all", attnzoo.load_tune_a_video),
        (None, "", attnzoo.load_tune_a_video),
    ):
        model = unet()
        if name is not None:
            attnzoo.attach(model, name, slots=slots, frames=FRAMES)
        with pytest.raises(UserError, match=r"these weights belong into attnzoo\.attach\(model"):
            load(model, {})
    model = unet()
    attnzoo.attach(model, "motion_module", frames=FRAMES)
    for path in ("rotten.ckpt", "gone.ckpt"):
        with pytest.raises(UserError, match=f"{path} cannot be read as weights"):
            attnzoo.load_animatediff(model, tmp_path / path)


class TuneAVideoBlock(nn.Module):
    """`attn_temp` behind the feed-forward of a transformer block (showlab/Tune-A-Video)."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.attn_temp = Attention(query_dim=width, heads=heads, dim_head=width // heads)
        self.norm_temp = nn.LayerNorm(width)

    def after(self, host: nn.Module, args: Any, tokens: Tensor) -> Tensor:
        n, d, c = tokens.shape
        frames = tokens.view(n // FRAMES, FRAMES, d, c).transpose(1, 2).reshape(-1, FRAMES, c)
        frames = self.attn_temp(self.norm_temp(frames)) + frames
        return frames.view(n // FRAMES, d, FRAMES, c).transpose(1, 2).reshape(n, d, c)


def tuned() -> tuple[Any, dict[str, Tensor]]:
    """A U-Net as Tune-A-Video makes it, and its state dict."""
    model = unet()
    state = dict(model.state_dict())
    torch.manual_seed(0)
    for path, block in list(model.named_modules()):
        if hasattr(block, "attn1"):
            temporal = TuneAVideoBlock(block.attn1.query_dim, block.attn1.heads)
            state |= {f"{path}.{key}": value for key, value in temporal.state_dict().items()}
            block.register_forward_hook(temporal.after)
    return model, state


@pytest.mark.parametrize("prefix", ["", "module."])
def test_tune_a_videos_temporal_attention(prefix: str, tmp_path: Path) -> None:
    reference, state = tuned()
    torch.save({prefix + key: value for key, value in state.items()}, tmp_path / "unet.bin")
    model = unet()
    attnzoo.attach(model, "temporal", slots="inside", frames=FRAMES)
    attnzoo.load_tune_a_video(model, tmp_path / "unet.bin")
    expected = run(reference)
    torch.testing.assert_close(run(model), expected, atol=1e-5, rtol=1e-5)
    assert not torch.allclose(expected, run(unet()), atol=1e-2)


def test_tune_a_video_that_does_not_fit() -> None:
    _, state = tuned()
    for source, words in (
        (without(state, "mid_block"), "mid_block.attentions.0.transformer_blocks.0 absent there"),
        (without(state, "attn_temp.to_q"), "mechanism.to_qkv.weight absent there"),
        (without(state, "norm_temp.bias"), "norm.bias absent there"),
        (unet().state_dict(), "absent there"),
    ):
        model = unet()
        attnzoo.attach(model, "temporal", slots="inside", frames=FRAMES)
        before = everything(model)
        with pytest.raises(UserError, match="Tune-A-Video's attention does not fit") as caught:
            attnzoo.load_tune_a_video(model, source)
        assert words in str(caught.value)
        assert_same(before, everything(model))
    model = unet()
    attnzoo.attach(model, "temporal", slots="inside", positions="sinusoidal", frames=FRAMES)
    with pytest.raises(UserError, match="attach with positions=none"):
        attnzoo.load_tune_a_video(model, state)
