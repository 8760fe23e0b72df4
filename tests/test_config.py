"""The configuration: made from what the package declares, and the same after it was stored."""

from __future__ import annotations

import inspect
from dataclasses import MISSING as NO_DEFAULT
from dataclasses import fields
from types import SimpleNamespace

import hydra
import pytest
from omegaconf import OmegaConf

from attnzoo import config, registry, stored
from attnzoo.data.embedded import Camera, open_embedded
from attnzoo.data.tiktok import open_tiktok
from attnzoo.data.video import open_video
from attnzoo.errors import UserError
from attnzoo.models.noise import Noise
from attnzoo.train.settings import Experiment, Precision, Training

VARIANTS = registry.list_variants()
OPENERS = {"embedded": open_embedded, "video": open_video, "tiktok": open_tiktok}


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    """Every test works in a folder that knows nothing of the project."""
    monkeypatch.chdir(tmp_path)
    config.register()
    with hydra.initialize(config_path=None, version_base="1.3"):
        yield


def composed(*overrides: str):
    return hydra.compose(config.NAME, list(overrides))


@pytest.mark.parametrize("name", VARIANTS)
def test_group_attn_holds_every_free_option_with_the_default_of_the_signature(name):
    cfg = composed(f"attn={name}")
    entry = registry.get(name)
    assert cfg.attn.name == name
    assert set(cfg.attn) == {"name", *(option.name for option in entry.free)}
    given = config.options_of(cfg)
    registry.create(name, 32, 2, **given)
    for option in entry.free:
        value = given[option.name]
        assert (tuple(value) if isinstance(value, list) else value) == option.default


@pytest.mark.parametrize("name", config.DATA)
def test_group_data_is_the_signature_of_what_opens_it(name):
    parameters = inspect.signature(OPENERS[name]).parameters
    schema = {f.name: f.default for f in fields(config.data_schema(name))}
    assert schema.pop("name") == name
    assert list(schema) == list(parameters)
    for key, parameter in parameters.items():
        required = parameter.default is parameter.empty
        assert schema[key] == ("???" if required else parameter.default)
        assert schema[key] is not NO_DEFAULT


def test_defaults_are_those_of_the_plain_settings():
    experiment = config.experiment_of(composed("attn=none"))
    plain = Experiment("none", data=experiment.data)
    assert experiment == plain


def test_every_setting_of_an_experiment_can_be_said():
    named_otherwise = {"variant", "options", "training", "sampling"}
    assert {f.name for f in fields(Experiment)} - named_otherwise <= {*config.settings()}


@pytest.mark.parametrize("name", VARIANTS)
def test_a_stored_configuration_gives_the_same_experiment_again(name):
    cfg = composed(
        f"attn={name}", "seed=3", "noise=half", "sample.noise=independent", "precision=bf16",
        "data.camera=moving", "train.stage2.learning_rate=2e-5", "workers=2",
    )  # fmt: skip
    text = config.stored(cfg)
    again = config.restored(composed(*config.groups_of(text)), text, {})
    experiment = config.experiment_of(again)
    assert experiment == config.experiment_of(cfg)
    assert isinstance(experiment.training, Training)
    assert (experiment.noise, experiment.precision) == (Noise.half, Precision.bf16)
    assert experiment.sampling_noise is Noise.independent
    assert "hydra" not in text and "resume" not in text


def test_a_stored_configuration_that_is_cut_off_is_none(tmp_path):
    """Whole lines of it are YAML, too, of other values: the defaults of what is gone."""
    text = config.stored(composed("seed=3"))
    lines = text.splitlines(keepends=True)
    for count in range(1, len(lines)):
        (tmp_path / "config.yaml").write_text("".join(lines[:count]))
        with pytest.raises(UserError, match=r"resume=here: .*config.yaml"):
            stored.read(tmp_path, "resume=here")
    (tmp_path / "config.yaml").write_text(text)
    assert stored.read(tmp_path, "resume=here") == text


def test_what_may_change_wins_over_what_was_stored():
    text = config.stored(composed("workers=2", "seed=5"))
    again = config.restored(composed(), text, {"workers": 0})
    assert (again.workers, again.seed) == (0, 5)


def test_data_is_opened_with_the_types_of_its_opener():
    cfg = composed("data.camera=moving", "data.clips=3", "data.frames=4", "data.size=32")
    source = config.source_of(cfg)
    assert (len(source.test), source.frames, source.size) == (3, 4, 32)
    assert source.test.camera is Camera.moving
    assert config.experiment_of(cfg).data["camera"] == "moving"


def test_a_missing_setting_of_the_data_is_named():
    with pytest.raises(config.UserError, match=r"data=video needs data\.path"):
        config.source_of(composed("data=video"))


@pytest.mark.parametrize(("prepared", "said"), [("~nobody1/x", "no such user"), ("", "empty")])
def test_a_path_of_prepared_data_that_can_be_none_is_named(prepared, said, monkeypatch):
    opened = SimpleNamespace(train=[])
    monkeypatch.setattr(config, "_opener", lambda name: lambda **settings: opened)
    monkeypatch.setattr("attnzoo.data.flow_source.with_flow", lambda source, *_, **__: source)
    cfg = composed("data=video", "data.path=v", f"data.prepared='{prepared}'")
    with pytest.raises(config.UserError, match=rf"^data\.prepared={prepared}: .*{said}"):
        config.source_of(cfg)


def test_every_experiment_composes_from_any_folder():
    every = config.experiments().rglob("*.yaml")
    found = [path for path in every if path.parent.name != config.PROTOCOLS]
    assert found
    for path in found:
        group = path.parent.name
        assert group in ("experiment", "preset", "row"), path
        cfg = composed(f"+{group}={path.stem}")
        for key in cfg.data:
            if OmegaConf.is_missing(cfg.data, key):
                cfg.data[key] = "somewhere"
        config.experiment_of(cfg).check()
        assert set(cfg) <= {*config.settings()}


def test_quick_is_quick_whatever_the_data():
    for data in config.DATA:
        cfg = composed(f"data={data}", "+experiment=quick")
        assert cfg.train.stage1.steps + cfg.train.stage2.steps < 10


def test_a_run_has_its_folder_and_a_job_of_a_sweep_too():
    cfg = hydra.compose(config.NAME, ["attn=temporal"], return_hydra_config=True)
    assert cfg.hydra.run.dir.startswith("outputs/temporal/2")
    node = OmegaConf.to_container(cfg.hydra.sweep, resolve=False)
    assert node["subdir"].startswith("${attn.name}/") and "${hydra.job.num}" in node["subdir"]
    assert cfg.hydra.output_subdir is None


def test_mechanisms_that_come_later_are_put_in_the_group():
    with registry.preserved():
        entry = registry.get("temporal")
        registry.register(
            "late", title="t", source="s", kind=entry.kind, cost="0", last_linear=entry.last_linear
        )(entry.cls)
        config.register()
        assert composed("attn=late").attn.name == "late"
