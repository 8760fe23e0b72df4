"""The real-sized model from published layouts: whole and exact, or an error that lists what is not.

All models here are small and random; their folders and files have the layouts of the real ones.
"""

from __future__ import annotations

import json
import logging
import shutil

import pytest
import torch
from command import TINY, command
from diffusers import AutoencoderKL, ControlNetModel
from published_folders import (
    CONTEXT,
    TOKEN,
    disco_state,
    image_encoder,
    image_variations,
    old_names,
    stable_diffusion,
    unet,
)
from safetensors.torch import load_file, save_file
from tiny_run import tiny_clip
from transformers.utils.constants import OPENAI_CLIP_MEAN, OPENAI_CLIP_STD

from attnzoo.data.clip import collate
from attnzoo.errors import UserError
from attnzoo.models.choice import Background, StableDiffusion, Weights
from attnzoo.models.controlnets import takes_latents
from attnzoo.models.noise import Noise
from attnzoo.models.sampling import sample
from attnzoo.models.slots import Slots


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return image_variations(tmp_path_factory.mktemp("published") / "sd")


@pytest.fixture
def own(folder, tmp_path):
    """A copy of the folder that a test may damage."""
    return shutil.copytree(folder, tmp_path / "own")


def noisy(model, batch):
    clean = model.codec.encode(batch.video)
    return clean, torch.tensor([10])


def test_the_parts_of_a_folder_are_a_dance_model(folder):
    model = StableDiffusion(path=str(folder)).build()
    batch = collate([tiny_clip(0)])
    tokens = model.tokens(batch)
    assert tokens.shape == (1, 5, TOKEN)  # four patches and the whole
    clean, t = noisy(model, batch)
    assert clean.shape == (1, 3, 4, 8, 8)
    out = model(clean, t, tokens, batch.pose, batch.background)
    assert out.shape == clean.shape and torch.isfinite(out).all()
    assert {p.dtype for p in model.parameters()} == {torch.float32}


def test_weights_are_those_of_the_files(folder):
    model = StableDiffusion(path=str(folder)).build()
    for part, module in (("unet", model.unet), ("vae", model.codec.vae)):
        stored = load_file(folder / part / "diffusion_pytorch_model.safetensors")
        assert stored.keys() == module.state_dict().keys()
        assert all(torch.equal(stored[k], v) for k, v in module.state_dict().items())
    clip = load_file(folder / "image_encoder" / "model.safetensors")
    assert torch.equal(clip["visual_projection.weight"], model.image_projection.weight)
    vision = model.image_encoder.vision.state_dict()
    assert {f"vision_model.{k}" for k in vision} | {"visual_projection.weight"} == clip.keys()
    assert all(torch.equal(clip[f"vision_model.{k}"], v) for k, v in vision.items())


def test_controlnets_begin_as_the_unets_encoder_and_add_nothing(folder):
    model = StableDiffusion(path=str(folder)).build()
    for controlnet in (model.pose_controlnet, model.background_controlnet):
        for part in ("conv_in", "down_blocks", "mid_block", "time_embedding"):
            ours = getattr(controlnet, part).state_dict()
            theirs = getattr(model.unet, part).state_dict()
            assert all(torch.equal(ours[k], theirs[k]) for k in theirs)
        assert isinstance(controlnet, ControlNetModel)
    batch = collate([tiny_clip(1)])
    clean, t = noisy(model, batch)
    tokens = model.tokens(batch)
    alone = model.unet(clean[0], t.repeat(3), model.image_projection(tokens).repeat(3, 1, 1)).sample
    assert torch.equal(model(clean, t, tokens, batch.pose, batch.background)[0], alone)


def test_the_background_controlnet_takes_latents_by_the_unets_first_convolution(folder):
    model = StableDiffusion(path=str(folder)).build()
    assert takes_latents(model.background_controlnet)
    embedding = model.background_controlnet.controlnet_cond_embedding
    assert torch.equal(embedding.conv_in.weight, model.unet.conv_in.weight)
    assert list(embedding.state_dict()) == ["conv_in.weight", "conv_in.bias"]
    stock = ControlNetModel.from_unet(model.unet)
    others = {k for k in model.background_controlnet.state_dict() if "cond_embedding" not in k}
    assert others == {k for k in stock.state_dict() if "cond_embedding" not in k}


def test_the_background_decides_what_comes_out(folder):
    for kind in Background:
        model = StableDiffusion(path=str(folder), background=kind).build()
        assert takes_latents(model.background_controlnet) is (kind is Background.latents)
        with torch.no_grad():  # zero convolutions and the zero end of the condition's network
            for p in model.background_controlnet.parameters():
                p.add_(0.05)
        batch = collate([tiny_clip(0)])
        clean, t = noisy(model, batch)
        given = (clean, t, model.tokens(batch), batch.pose)
        assert not torch.equal(model(*given, batch.background), model(*given, 1 - batch.background))


def test_stable_diffusion_1_5_takes_its_image_encoder_from_elsewhere(tmp_path):
    base = stable_diffusion(tmp_path / "sd15")
    image_encoder().save_pretrained(tmp_path / "clip")
    with pytest.raises(UserError, match=r"model\.path=.*\(image_encoder/\): no config\.json"):
        StableDiffusion(path=str(base)).check()
    model = StableDiffusion(path=str(base), image_encoder=str(tmp_path / "clip")).build()
    assert model.image_projection.out_features == CONTEXT


def test_clips_text_half_may_be_left_over_and_is_told(own, caplog):
    file = own / "image_encoder" / "model.safetensors"
    save_file(
        {**load_file(file), "text_model.final_layer_norm.bias": torch.zeros(3)},
        file,
        {"format": "pt"},
    )
    with caplog.at_level(logging.INFO):
        StableDiffusion(path=str(own)).build()
    assert "text_model.final_layer_norm.bias" in caplog.text


@pytest.mark.parametrize("part", ["unet", "vae", "image_encoder"])
def test_missing_and_left_over_tensors_are_listed(own, part):
    name = "model" if part == "image_encoder" else "diffusion_pytorch_model"
    file = own / part / f"{name}.safetensors"
    state = load_file(file)
    gone = sorted(state)[0]
    del state[gone]
    save_file({**state, "strange.weight": torch.zeros(1)}, file, {"format": "pt"})
    with pytest.raises(UserError) as raised:
        StableDiffusion(path=str(own)).build()
    text = str(raised.value)
    assert f"missing: 1 ({gone})" in text and "left over: 1 (strange.weight)" in text
    assert f"({part}/)" in text


def test_every_missing_part_is_named_before_any_is_read(own):
    (own / "unet" / "diffusion_pytorch_model.safetensors").unlink()
    (own / "vae" / "config.json").unlink()
    settings = StableDiffusion(path=str(own), pose_controlnet="nowhere", disco="gone.pt")
    with pytest.raises(UserError) as raised:
        settings.check()
    text = str(raised.value)
    for word in ("(unet/): no weights", "(vae/): no config.json", "model.pose_controlnet=nowhere",
                 "model.disco=gone.pt"):  # fmt: skip
        assert word in text
    assert "scheduler" not in text


def test_without_a_path_the_settings_are_named():
    with pytest.raises(UserError, match=r"model\.path=FOLDER with unet/, vae/, scheduler/, image"):
        StableDiffusion().check()
    with pytest.raises(UserError, match=r"with vae/, scheduler/, image_encoder/"):
        StableDiffusion(unet="somewhere").check()


def test_a_hub_id_is_not_fetched_without_being_told(monkeypatch, tmp_path):
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(UserError, match=r"not in the local cache.*model\.download=true"):
        StableDiffusion(path="nobody-of-this-name/no-model").check()
    StableDiffusion(path="nobody-of-this-name/no-model", download=True).check()
    with pytest.raises(UserError, match="no hub id"):
        StableDiffusion(path="/no/folder").check()


class Harm:
    """Makes a file where it is unpickled."""

    def __init__(self, file):
        self.file = file

    def __reduce__(self):
        return (open, (str(self.file), "w"))


NAMES = {"image_encoder": ("model", "pytorch_model")}
"""Of safetensors and pickles, where they are not diffusers'."""


@pytest.mark.parametrize("part", ["unet", "vae", "image_encoder"])
@pytest.mark.parametrize("sharded", [False, True])
def test_a_pickle_with_code_is_not_run(own, tmp_path, part, sharded):
    whole, pickled = NAMES.get(part, ("diffusion_pytorch_model",) * 2)
    file = own / part / f"{whole}.safetensors"
    keys = list(load_file(file))
    file.unlink()
    bad = own / part / (f"{pickled}-00001-of-00001.bin" if sharded else f"{pickled}.bin")
    torch.save(dict.fromkeys(keys, Harm(tmp_path / "harm")), bad)
    if sharded:
        index = {"metadata": {"total_size": 1}, "weight_map": dict.fromkeys(keys, bad.name)}
        (own / part / f"{pickled}.bin.index.json").write_text(json.dumps(index))
    with pytest.raises(UserError, match=part):
        StableDiffusion(path=str(own)).build()
    assert not (tmp_path / "harm").exists()


def test_discos_pickle_with_code_is_not_run(folder, tmp_path):
    torch.save({"module": {"unet.conv_in.weight": Harm(tmp_path / "harm")}}, tmp_path / "disco.pt")
    with pytest.raises(UserError, match="may run any code"):
        StableDiffusion(path=str(folder), disco=str(tmp_path / "disco.pt")).build()
    assert not (tmp_path / "harm").exists()


def equal(one, other):
    a, b = one.state_dict(), other.state_dict()
    return a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)


def test_half_precision_files_serve_where_there_are_no_others(own, folder, caplog):
    for part in ("unet", "image_encoder"):
        (file,) = (own / part).glob("*.safetensors")
        halves = {k: v.half() for k, v in load_file(file).items()}
        save_file(halves, file.with_suffix(".fp16.safetensors"), {"format": "pt"})
        file.unlink()
    with caplog.at_level(logging.INFO):
        found = StableDiffusion(path=str(own)).build()
    assert "(unet/): of its fp16 files" in caplog.text and "(vae/)" not in caplog.text
    whole = StableDiffusion(path=str(folder)).build()
    half = {k: v.half().float() for k, v in whole.unet.state_dict().items()}
    assert all(torch.equal(v, half[k]) for k, v in found.unet.state_dict().items())
    assert found.unet.dtype is torch.float32
    (file,) = (own / "unet").glob("*.safetensors")
    shutil.copy(file, file.with_name("diffusion_pytorch_model.non_ema.safetensors"))
    with pytest.raises(UserError, match=r"\(unet/\): weights of several kinds .*fp16.*non_ema"):
        StableDiffusion(path=str(own)).check()


def test_weights_in_several_files_are_one_model_and_all_must_be_there(own, folder):
    whole = StableDiffusion(path=str(folder)).build()
    for name, part, size in (("unet", whole.unet, "40KB"), ("vae", whole.codec.vae, "20KB")):
        next((own / name).glob("*.safetensors")).unlink()
        part.save_pretrained(own / name, max_shard_size=size)
    assert equal(StableDiffusion(path=str(own)).build(), whole)
    next((own / "unet").glob("*-00002-of-*")).unlink()
    with pytest.raises(UserError, match=r"\(unet/\): .*-00002-of-.* is not there, of \d+ files"):
        StableDiffusion(path=str(own)).check()


def test_weights_as_older_libraries_named_them(own, folder):
    for file in (own / "vae").glob("*.safetensors"):
        save_file(old_names(load_file(file)), file, {"format": "pt"})
    file = own / "image_encoder" / "model.safetensors"
    indices = {"vision_model.embeddings.position_ids": torch.arange(5)[None]}
    torch.save(load_file(file) | indices, own / "image_encoder" / "pytorch_model.bin")
    file.unlink()
    one, other = (StableDiffusion(path=str(p)).build() for p in (own, folder))
    assert equal(one, other)


def test_a_single_file_is_told_to_be_converted(own):
    (file,) = (own / "unet").glob("*.safetensors")
    with pytest.raises(UserError, match=r"a file; a folder in diffusers' layout.*save_pretrained"):
        StableDiffusion(path=str(file)).check()


def test_a_controlnet_for_another_unet_is_refused(folder, tmp_path):
    other = unet(context=CONTEXT + 4)
    ControlNetModel.from_unet(other, conditioning_embedding_out_channels=(4, 8)).save_pretrained(
        tmp_path / "controlnet"
    )
    settings = StableDiffusion(path=str(folder), pose_controlnet=str(tmp_path / "controlnet"))
    with pytest.raises(UserError, match=r"pose_controlnet=.*cross_attention_dim 20 and .* 16"):
        settings.build()


def test_a_part_of_which_the_cache_has_the_description_alone_is_missing(monkeypatch, tmp_path):
    cached = {"unet/config.json", "unet/diffusion_pytorch_model.safetensors", "vae/config.json"}
    monkeypatch.setattr(
        "huggingface_hub.try_to_load_from_cache",
        lambda repo, name: str(tmp_path) if name in cached else None,
    )
    with pytest.raises(UserError) as raised:
        StableDiffusion(path="owner/name").check()
    text = str(raised.value)
    assert "a file of weights of vae/ is not in the local cache" in text and "unet" not in text


def test_a_pickle_of_tensors_serves_where_there_are_no_safetensors(own, folder):
    file = own / "unet" / "diffusion_pytorch_model.safetensors"
    state = load_file(file)
    file.unlink()
    torch.save(state, file.with_suffix(".bin"))
    one, other = (StableDiffusion(path=str(p)).build().unet.state_dict() for p in (own, folder))
    assert all(torch.equal(one[k], other[k]) for k in other)


def test_parts_that_do_not_fit_are_refused(own, tmp_path):
    image_encoder(projection=CONTEXT + 8).save_pretrained(tmp_path / "clip")
    with pytest.raises(
        UserError, match=r"model\.image_encoder: gives 24 .* cross-attention has 16"
    ):
        StableDiffusion(path=str(own), image_encoder=str(tmp_path / "clip")).build()
    AutoencoderKL(latent_channels=3, block_out_channels=(4,), norm_num_groups=4).save_pretrained(
        tmp_path / "vae"
    )
    with pytest.raises(UserError, match=r"model\.vae: gives 3 channels, .* latents has 4"):
        StableDiffusion(path=str(own), vae=str(tmp_path / "vae")).build()


def test_controlnets_come_from_folders_too(folder, tmp_path):
    model = StableDiffusion(path=str(folder)).build()
    for name in ("pose_controlnet", "background_controlnet"):
        part = getattr(model, name)
        with torch.no_grad():
            for p in part.parameters():
                p.add_(0.5)
        part.save_pretrained(tmp_path / name)
    settings = StableDiffusion(
        path=str(folder),
        pose_controlnet=str(tmp_path / "pose_controlnet"),
        background_controlnet=str(tmp_path / "background_controlnet"),
    )
    again = settings.build()
    for name in ("pose_controlnet", "background_controlnet"):
        one, other = getattr(model, name).state_dict(), getattr(again, name).state_dict()
        assert one.keys() == other.keys() and all(torch.equal(one[k], other[k]) for k in one)
    settings.background_controlnet = settings.pose_controlnet
    with pytest.raises(
        UserError, match=r"background_controlnet.*left over.*cond_embedding\.blocks"
    ):
        settings.build()


def test_discos_checkpoint_fills_every_part(folder, tmp_path):
    base = StableDiffusion(path=str(folder)).build()
    content = {
        "module": disco_state(base), "global_steps": 7, "ds_version": "0.9",
        "param_shapes": [{"unet.conv_in.weight": torch.Size([8, 4, 3, 3])}],
    }  # fmt: skip
    torch.save(content, tmp_path / "mp_rank_00_model_states.pt")
    for given in (tmp_path, tmp_path / "mp_rank_00_model_states.pt"):
        loaded = StableDiffusion(path=str(folder), disco=str(given)).build()
        for key, tensor in base.state_dict().items():
            expected = (tensor + 0.25).half().float()
            assert torch.equal(loaded.state_dict()[key], expected), key


def test_discos_frozen_parts_may_be_left_out_and_are_told(folder, tmp_path, caplog):
    base = StableDiffusion(path=str(folder)).build()
    state = {k: v for k, v in disco_state(base).items() if not k.startswith("vae.")}
    save_file(state, tmp_path / "disco.safetensors")
    with caplog.at_level(logging.INFO):
        loaded = StableDiffusion(
            path=str(folder), disco=str(tmp_path / "disco.safetensors")
        ).build()
    assert "holds no codec.vae" in caplog.text and "position_ids" in caplog.text
    ours, theirs = loaded.codec.state_dict(), base.codec.state_dict()
    assert all(torch.equal(ours[k], theirs[k]) for k in theirs)
    assert not torch.equal(loaded.unet.conv_in.weight, base.unet.conv_in.weight)


def test_a_checkpoint_with_an_empty_caption_is_refused(folder, tmp_path):
    state = disco_state(StableDiffusion(path=str(folder)).build())
    torch.save({"module": {**state, "text_encoder.bias": torch.ones(1)}}, tmp_path / "disco.pt")
    with pytest.raises(UserError, match="ref_null_caption"):
        StableDiffusion(path=str(folder), disco=str(tmp_path / "disco.pt")).build()


def test_discos_missing_and_temporal_tensors_are_listed(folder, tmp_path):
    state = disco_state(StableDiffusion(path=str(folder)).build())
    del state["controlnet.nets.1.conv_in.bias"]
    state["unet.down_blocks.0.attentions.0.transformer_blocks.0.tem_norm.weight"] = torch.ones(8)
    torch.save({"module": state}, tmp_path / "disco.pt")
    with pytest.raises(UserError) as raised:
        StableDiffusion(path=str(folder), disco=str(tmp_path / "disco.pt")).build()
    text = str(raised.value)
    assert "missing: 1 (background_controlnet.conv_in.bias)" in text
    assert "left over: 1 (unet." in text and "tem_norm" in text


@pytest.mark.parametrize("content", [{"module": {}}, [1, 2], {"module": {"a": 3}}, {"steps": 3}])
def test_what_is_no_checkpoint_of_disco_is_said(folder, tmp_path, content):
    torch.save(content, tmp_path / "disco.pt")
    with pytest.raises(UserError, match="not DisCo's checkpoint"):
        StableDiffusion(path=str(folder), disco=str(tmp_path / "disco.pt")).build()


def test_an_old_scheduler_file_gives_unclipped_latents_and_its_own_noise(own):
    file = own / "scheduler" / "scheduler_config.json"
    config = json.loads(file.read_text())
    config.pop("clip_sample", None)
    file.write_text(json.dumps(config))
    scheduler = StableDiffusion(path=str(own)).build().scheduler_config
    assert scheduler["clip_sample"] is False
    assert (scheduler["beta_schedule"], scheduler["beta_end"]) == ("scaled_linear", 0.012)
    assert scheduler["num_train_timesteps"] == 50


@pytest.mark.parametrize(
    "content", [{"beta_schedule": "cosine"}, {"num_train_timesteps": "1000"}, [1], 3]
)
def test_a_scheduler_that_cannot_be_is_said_before_weights_are_read(own, content, monkeypatch):
    file = own / "scheduler" / "scheduler_config.json"
    file.write_text(json.dumps(content))
    monkeypatch.setattr("attnzoo.models.stable_diffusion.load_part", lambda *_: pytest.fail())
    with pytest.raises(UserError, match=r"scheduler/\): cannot be read"):
        StableDiffusion(path=str(own)).build()


def test_latents_have_the_scale_and_come_back(folder):
    codec = StableDiffusion(path=str(folder)).build().codec
    images = torch.rand(2, 3, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    latents = codec.encode(images)
    alone = codec.vae.encode(images[1] * 2 - 1).latent_dist.mean * 0.18215
    torch.testing.assert_close(latents[1], alone)
    assert torch.equal(latents, codec.encode(images))
    decoded = codec.decode(latents)
    assert decoded.shape == images.shape and decoded.min() >= 0 and decoded.max() <= 1
    whole = codec.vae.decode(latents[0] / 0.18215).sample
    torch.testing.assert_close(decoded[0], (whole / 2 + 0.5).clamp(0, 1))


def test_no_person_is_the_black_picture_and_the_picture_matters(folder):
    model = StableDiffusion(path=str(folder)).build()
    batch = collate([tiny_clip(0), tiny_clip(1)])
    tokens = model.tokens(batch)
    null = model.null_tokens(tokens)
    assert null.shape == tokens.shape and torch.equal(null[0], null[1])
    assert not torch.equal(tokens[0], tokens[1])
    # Zero behind CLIP's normalisation: the mean colour.
    gray = model.image_encoder.mean.expand(1, 3, 28, 28)
    torch.testing.assert_close(model.image_encoder(gray, batch.mask, batch.pose), null[:1])


def test_pictures_are_normalised_as_clips_and_closed_by_its_norm(folder):
    encoder = StableDiffusion(path=str(folder)).build().image_encoder
    mean, std = (torch.tensor(v).view(3, 1, 1) for v in (OPENAI_CLIP_MEAN, OPENAI_CLIP_STD))
    picture = torch.rand(1, 3, 28, 28, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        states = encoder.vision((picture - mean) / std).last_hidden_state
        expected = encoder.vision.post_layernorm(states)
    torch.testing.assert_close(encoder(picture, picture[:, :1], picture), expected)
    assert not torch.allclose(expected, states)


def test_a_whole_step_and_a_sample_with_checkpointing_equal_those_without(folder):
    results = []
    for checkpointing in (False, True):
        model = StableDiffusion(path=str(folder)).build()
        if checkpointing:
            model.checkpoint_gradients()
        model.inflate("temporal", slots=Slots.all, seed=3)
        model.train()
        batch = collate([tiny_clip(0)])
        clean, t = noisy(model, batch)
        loss = model(clean, t, model.tokens(batch), batch.pose, batch.background).square().mean()
        loss.backward()
        results.append([p.grad for p in model.inflation.new_parameters()])
        made = sample(
            model, batch, steps=2, guidance=1.5, noise=Noise.shared,
            generator=torch.Generator().manual_seed(0),
        )  # fmt: skip
        assert made.shape == (1, 3, 3, 16, 16)
    plain, checkpointed = results
    assert any(g.abs().max() > 0 for g in plain)
    assert all(torch.equal(a, b) for a, b in zip(plain, checkpointed, strict=True))


@pytest.mark.long
def test_random_weights_are_the_same_each_time_and_read_no_file():
    one, other = (StableDiffusion(weights=Weights.random, scale=0.05).build() for _ in range(2))
    assert all(torch.equal(v, other.state_dict()[k]) for k, v in one.state_dict().items())
    assert one.codec.factor == 8
    with pytest.raises(UserError, match=r"leave out model\.path=x"):
        StableDiffusion(weights=Weights.random, path="x").check()
    with pytest.raises(UserError, match=r"model\.scale=0\.0"):
        StableDiffusion(weights=Weights.random, scale=0.0).check()
    with pytest.raises(UserError, match=r"model\.scale=0\.5: only random"):
        StableDiffusion(path="x", scale=0.5).check()


def test_the_published_shapes_are_made_without_memory():
    with torch.device("meta"):
        model = StableDiffusion(weights=Weights.random).shape()
    counts = {k: sum(p.numel() for p in m.parameters()) for k, m in model.named_children()}
    assert counts["unet"] == 859_520_964  # Stable Diffusion 1.5's own number
    assert counts["codec"] == 83_653_863
    assert counts["pose_controlnet"] == 361_279_120
    assert model.image_encoder.token_shape(torch.ones(1, 1, 8, 8)) == (257, 1024)


def test_a_unet_of_another_layout_is_no_surprise(own, tmp_path):
    unet(context=CONTEXT + 4).save_pretrained(tmp_path / "unet")
    with pytest.raises(UserError, match="cross-attention has 20"):
        StableDiffusion(path=str(own), unet=str(tmp_path / "unet")).build()


def test_a_whole_run_of_a_folders_model(folder, tmp_path):
    given = [*TINY, "train.stage1.steps=2", "train.gradient_checkpointing=true"]
    done = command(
        "run", "attn=stsa", "model=stable_diffusion", f"model.path={folder}", "hydra.run.dir=out",
        "sample.guidance=1.5", *given, cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    record = json.loads((tmp_path / "out" / "record.json").read_text())
    assert record["environment"]["model"]["path"] == str(folder)
    assert record["environment"]["model"]["background"] == "latents"
    assert record["training"]["stage1"]["steps"] == 2
    kept = load_file(tmp_path / "out" / "weights.safetensors")
    assert "image_projection.weight" in kept and not any("controlnet" in key for key in kept)
