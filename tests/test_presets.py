"""Presets: what they say, against the paper, and that they refuse before anything expensive."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import hydra
import pytest
from command import ROOT, command
from omegaconf import OmegaConf

from attnzoo import composing, config
from attnzoo.errors import UserError
from attnzoo.models.choice import Background, Embedded, StableDiffusion
from attnzoo.models.noise import Noise
from attnzoo.train.settings import Precision

PRESETS = ("paper", "h200")


def composed(*overrides: str):
    config.register()
    with hydra.initialize(config_path=None, version_base="1.3"):
        return hydra.compose(config.NAME, list(overrides))


def experiment(*overrides: str):
    return config.experiment_of(composed(*overrides, "data.path=somewhere"))


@pytest.mark.parametrize("preset", PRESETS)
def test_section_5_1(preset):
    said = experiment(f"+preset={preset}", "attn=stsa")
    assert isinstance(said.model, StableDiffusion)
    assert said.model.background is Background.latents and said.model.disco is not None
    assert (said.data["name"], said.data["size"], said.data["frames"]) == ("tiktok", 256, 16)
    assert tuple(said.options["size"]) == (4, 4, 4)
    one, two = said.training.stage1, said.training.stage2
    assert (one.steps, one.learning_rate) == (50_000, 2e-4)
    assert (two.steps, two.learning_rate) == (20_000, 2e-5)
    assert said.sampling.steps == 50 and said.sampling.clips == 10
    assert said.training.batch * said.training.accumulate == 8
    assert said.training.gradient_checkpointing
    said.check()


def test_h200_differs_from_the_paper_in_what_one_machine_changes_alone():
    paper, large = (
        OmegaConf.to_container(composed(f"+preset={name}"), resolve=True) for name in PRESETS
    )
    changed = {k for k in paper if paper[k] != large[k]}
    assert changed == {"precision", "train", "workers"}
    train = {k for k in paper["train"] if paper["train"][k] != large["train"][k]}
    assert train == {"batch", "accumulate"}
    assert experiment("+preset=h200").precision is Precision.bf16


@pytest.mark.parametrize("preset", PRESETS)
def test_every_training_setting_is_said_and_the_open_ones_have_a_reason(preset):
    text = (config.experiments() / "preset" / "paper.yaml").read_text()
    # How a run bears faults and repeats itself is the user's, at any size.
    for name in set(OmegaConf.structured(config.Training)) - {"nonfinite", "deterministic"}:
        assert f"  {name}:" in text, name
    told = (config.experiments() / "preset" / f"{preset}.yaml").read_text().splitlines()
    assert any("# open" in line for line in told) == (preset == "paper")
    for line in told:
        if "# open" in line:
            assert len(line.split("# open", 1)[1]) > 10, line


def test_a_preset_leaves_the_data_of_other_runs_alone():
    assert isinstance(config.experiment_of(composed("attn=stsa")).model, Embedded)


def test_settings_win_over_a_preset():
    said = experiment("+preset=paper", "train.batch=2", "model.disco=null", "attn=temporal")
    assert (said.training.batch, said.model.disco, said.variant) == (2, None, "temporal")


def test_a_stored_configuration_gives_the_same_model_again():
    cfg = composed("+preset=paper", "data.path=d", "model.path=m", "model.background=picture")
    text = config.stored(cfg)
    groups = config.groups_of(text)
    assert "model=stable_diffusion" in groups
    again = config.experiment_of(config.restored(composed(*groups), text, {}))
    # What is stored has the method's noise by its name.
    assert again == replace(config.experiment_of(cfg), noise=Noise.shared)
    assert again.model.background is Background.picture


def test_a_configuration_from_before_models_could_be_chosen_is_the_embedded_one():
    text = "attn:\n  name: stsa\ndata:\n  name: embedded\n"
    assert config.groups_of(text) == ["attn=stsa", "model=embedded", "data=embedded"]


def test_a_model_belongs_to_a_runs_identity_and_how_it_is_fetched_does_not():
    runs = [
        experiment("+preset=paper", f"model.path={path}", f"model.download={fetched}")
        for path, fetched in (("a", False), ("b", False), ("a", True))
    ]
    one, other, fetched = (run.identity("") for run in runs)
    assert one != other and one == fetched


def test_unknown_models_and_settings_are_named():
    with pytest.raises(UserError, match=r"model=stable_difusion: no such choice.*stable_diffusion"):
        composing.composed(["model=stable_difusion"])
    with pytest.raises(UserError, match=r"unknown setting 'model\.pth'.*path"):
        composing.composed(["model=stable_diffusion", "model.pth=x"])
    with pytest.raises(UserError, match=r"unknown setting 'model\.path'"):
        composing.composed(["model.path=x"])


def test_all_that_is_missing_is_named_at_once():
    with pytest.raises(UserError) as raised:
        config.experiment_of(composed("+preset=paper"))
    text = str(raised.value)
    for word in ("data.path", "model.path=FOLDER", "unet/, vae/, scheduler/, image_encoder/",
                 "model.disco=mp_rank_00_model_states.pt"):  # fmt: skip
        assert word in text


def test_the_commands_compose_and_refuse(tmp_path: Path):
    shown = command("run", "+preset=paper", "attn=stsa", "--cfg", "job", cwd=tmp_path)
    assert shown.returncode == 0 and "stable_diffusion" in shown.stdout
    given = ("data.path=.", f"model.path={tmp_path / 'sd'}", "device=cpu", "precision=fp32")
    refused = command("run", "+preset=paper", "attn=stsa", *given, cwd=tmp_path)
    assert refused.returncode == 2
    assert len(refused.stderr.strip().splitlines()) == 1
    assert f"model.path={tmp_path / 'sd'}: no such folder" in refused.stderr
    assert "model.disco=" in refused.stderr
    assert not list(tmp_path.iterdir())


def test_the_file_of_embedded_weights_is_looked_for():
    with pytest.raises(UserError, match=r"model\.weights=gone\.safetensors: no such file"):
        Embedded(weights="gone.safetensors").check()
    shipped = ROOT / "attnzoo" / "weights" / "base.safetensors"
    assert Embedded(weights=str(shipped)).build().codec.factor == 2
