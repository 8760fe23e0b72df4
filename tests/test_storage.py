"""save_modules and load_modules: what is in the folder, and what is refused with which words."""

from __future__ import annotations

import json
from pathlib import Path
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
    run,
    unet,
)
from diffusers import UNet2DConditionModel
from huggingface_hub import ModelCard
from safetensors.torch import load_file, save_file

import attnzoo
from attnzoo import UserError, registry
from attnzoo.models.storage import CARD, DESCRIPTION, WEIGHTS

VARIANTS = registry.list_variants()


def saved(folder: Path, name: str = "temporal", make: Any = unet, **settings: Any) -> Any:
    """A folder of modules as if trained, and the model that carries them."""
    model = make()
    disturb(attnzoo.attach(model, name, **{"frames": FRAMES} | settings))
    attnzoo.save_modules(model, folder)
    return model


@pytest.mark.parametrize("make", [unet, controlnet, motion_unet])
@pytest.mark.parametrize("name", VARIANTS)
def test_round_trip(name: str, make: Any, tmp_path: Path) -> None:
    slots = {"slots": "inside"} if name == "temporal" else {}
    model = saved(tmp_path / "there", name, make, **slots)
    other = make()
    before, plain = everything(other), run(other)
    loaded = attnzoo.load_modules(other, tmp_path / "there")
    assert (loaded.variant, loaded.frames) == (name, FRAMES)
    with attnzoo.motion(motion()):
        expected = run(model)
        assert torch.equal(run(other), expected)
        attnzoo.load_modules(other, tmp_path / "there")  # into what is attached already
        assert torch.equal(run(other), expected)
    attnzoo.detach(other)
    assert_same(before, everything(other))
    assert torch.equal(run(other), plain)


def test_options_are_named_and_come_back(tmp_path: Path) -> None:
    """But for the backend: another machine may not have it."""
    sized = {"size": (2, 2, 3), "align": "permute", "backend": "math"}
    saved(tmp_path, "stsa_flow", **sized, slots="attention", stack="flat")
    found = json.loads((tmp_path / DESCRIPTION).read_text())
    options = {"size": [2, 2, 3], "bias": "none", "align": "permute", "aligned": "all"}
    assert found["options"] == options
    assert (found["frames"], found["slots"], found["stack"]) == (4, "attention", "flat")
    assert found["base"]["class"] == "UNet2DConditionModel"
    assert found["base"]["config"]["block_out_channels"] == [16, 24]
    place = found["base"]["slots"]["down_blocks.0.attentions.0.slot"]
    assert place == {"channels": 16, "heads": 2}
    module = attnzoo.load_modules(unet(), tmp_path).modules()[0]
    assert module.size == (2, 2, 3) and module.align.name == "permute"


def test_the_folder_is_whole_and_fit_for_the_hub(tmp_path: Path) -> None:
    saved(tmp_path)
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted([CARD, DESCRIPTION, WEIGHTS])
    card = ModelCard.load(tmp_path / CARD)
    assert card.data.library_name == "attnzoo" and "temporal" in card.data.tags
    assert "attnzoo.load_modules" in card.text
    (tmp_path / CARD).write_text("my own")
    saved(tmp_path)
    assert (tmp_path / CARD).read_text() == "my own"


def test_a_save_that_fails_leaves_what_was_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = saved(tmp_path)
    expected = run(model)
    disturb(attnzoo.models.attach.attachment_of(model))

    def full(*args: Any, **kwargs: Any) -> None:
        raise OSError("no space left")

    monkeypatch.setattr("attnzoo.tensors.save_file", full)
    with pytest.raises(OSError, match="no space"):
        attnzoo.save_modules(model, tmp_path)
    other = unet()
    attnzoo.load_modules(other, tmp_path)
    assert torch.equal(run(other), expected)


def test_weights_take_the_models_dtype(tmp_path: Path) -> None:
    saved(tmp_path)
    model = unet().to(torch.bfloat16)
    attachment = attnzoo.load_modules(model, tmp_path)
    assert {p.dtype for p in attachment.parameters()} == {torch.bfloat16}


def wider() -> Any:
    return UNet2DConditionModel(
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
        block_out_channels=(16, 32), layers_per_block=1, norm_num_groups=4,
        cross_attention_dim=6, attention_head_dim=2,
    ).eval()  # fmt: skip


def test_another_base_is_refused_with_what_differs(tmp_path: Path) -> None:
    saved(tmp_path)
    for make, words in (
        (wider, "mid_block.attentions.0.slot 24 channels in 3 heads there, 32 channels in 2 heads"),
        (controlnet, "up_blocks.1.attentions.0.slot 16 channels in 2 heads there, absent here"),
        (motion_unet, "down_blocks.0.motion_modules.0 absent there, 16 channels in 2 heads here"),
    ):
        model = make()
        before = everything(model)
        with pytest.raises(UserError, match="does not fit this") as caught:
            attnzoo.load_modules(model, tmp_path)
        assert words in str(caught.value) and "\n" not in str(caught.value)
        assert_same(before, everything(model))


def test_other_modules_that_are_attached_are_refused(tmp_path: Path) -> None:
    saved(tmp_path, "stsa", size=(2, 2, 2))
    model = unet()
    disturb(attnzoo.attach(model, "stsa", size=(4, 2, 2), frames=2))
    before = everything(model)
    with pytest.raises(UserError, match=r"options .*2, 2, 2.* there, .*4, 2, 2.* here; frames 4 "):
        attnzoo.load_modules(model, tmp_path)
    assert_same(before, everything(model))


def changed(folder: Path, **entries: Any) -> None:
    found = json.loads((folder / DESCRIPTION).read_text())
    (folder / DESCRIPTION).write_text(json.dumps(found | entries))


def _other_weights(folder: Path) -> None:
    weights = load_file(folder / WEIGHTS)
    save_file({k: v + 1 for k, v in weights.items()}, folder / WEIGHTS)


BAD = {
    "no description": (lambda f: (f / DESCRIPTION).unlink(), r"modules.json: no such file"),
    "no weights": (lambda f: (f / WEIGHTS).unlink(), r"modules.safetensors: no such file"),
    "no JSON": (lambda f: (f / DESCRIPTION).write_text("{"), "is no description of modules"),
    "another JSON": (lambda f: (f / DESCRIPTION).write_text('{"a": 1}'), "no description"),
    "a later format": (lambda f: changed(f, format=9), "is of format 9, right is 1"),
    "other weights": (_other_weights, "is not the file that modules.json was written with"),
    "an unknown variant": (lambda f: changed(f, variant="mine"), "'mine'.*attnzoo.load_plugin"),
    "an unknown option": (lambda f: changed(f, options={"sise": 1}), "has no option 'sise'"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_folders(case: str, tmp_path: Path) -> None:
    saved(tmp_path)
    damage, words = BAD[case]
    damage(tmp_path)
    model = unet()
    before = everything(model)
    with pytest.raises(UserError, match=words):
        attnzoo.load_modules(model, tmp_path)
    assert_same(before, everything(model))


def test_nothing_to_save(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="nothing is attached to this UNet2DConditionModel"):
        attnzoo.save_modules(unet(), tmp_path / "new")
    assert not (tmp_path / "new").exists()
