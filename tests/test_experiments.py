"""Experiments: the rows of the paper's Tables 1 to 3 as sweeps that stand in files."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from omegaconf import DictConfig, OmegaConf

from attnzoo import application, composing, config, job, run
from attnzoo.errors import UserError
from attnzoo.train.settings import Experiment

TABLE1 = [
    ("dreampose", "none"),
    ("disco", "none"),
    ("video", "none"),
    ("video", "stsa"),
    ("video", "stsa_flow"),
]
TABLE2 = [f"crossframe_{name}" for name in ("first", "middle", "previous", "all")]
TABLE2 += ["temporal", "stsa"]
PAPER = ("+preset=paper", "data.path=somewhere")


def rows(*arguments: str) -> list[Experiment]:
    """The runs of a sweep, as they were checked and as Hydra's own sweeper starts them."""
    checked: list[Experiment] = []
    started: list[Experiment] = []

    def task(cfg: DictConfig) -> None:
        started.append(config.experiment_of(cfg))

    task.__module__ = "attnzoo.run"  # Hydra asks from which package the task comes
    application.launch(
        task,
        ["-m", "hydra.sweep.dir=sweep", *arguments],
        check=lambda cfg, folder: checked.append(config.experiment_of(cfg)),
    )
    assert started == checked
    return started


@pytest.fixture(autouse=True)
def _elsewhere(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)


def test_table_1_has_methods_and_variants():
    found = rows("+experiment=table1", *PAPER)
    assert [(e.method.name, e.variant) for e in found] == TABLE1
    assert {tuple(e.options.get("size", (4, 4, 4))) for e in found} == {(4, 4, 4)}
    for e in found:
        e.check()
        assert e.model.name == "stable_diffusion" and e.training.stage1.steps == 50_000


@pytest.mark.long
def test_table_2_has_every_cross_frame_attention():
    found = rows("+experiment=table2", *PAPER)
    assert [e.variant for e in found] == TABLE2
    assert tuple(found[-1].options["size"]) == (4, 4, 4)


@pytest.mark.long
def test_table_3_has_three_sizes_and_seeds_multiply_them():
    found = rows("+experiment=table3", "seed=0,1")
    assert [tuple(e.options["size"]) for e in found[::2]] == [(4, 2, 2), (4, 4, 4), (8, 4, 4)]
    assert [e.seed for e in found] == [0, 1] * 3 and {e.variant for e in found} == {"stsa"}


def test_rows_can_be_chosen():
    found = rows("+experiment=table1", "+row=vd,vd_sa", "noise=half")
    assert [e.variant for e in found] == ["none", "stsa"]
    cfg = composing.composed(["+row=dreampose"])
    assert (cfg.method.name, cfg.attn.name) == ("dreampose", "none")


def test_each_table_has_a_folder_of_its_own():
    for table in ("table1", "table2", "table3"):
        file = config.experiments() / "experiment" / f"{table}.yaml"
        assert OmegaConf.load(file).hydra.sweep.dir == f"outputs/{table}"


@pytest.mark.parametrize(
    "given",
    [
        ("+experiment=table1",),
        ("-m", "+experiment=table1,table2"),
        ("-m", "+experiment=table3,quick"),
        ("+experiment=table2", "attn=stsa"),
    ],
)
def test_a_table_never_becomes_one_run_in_silence(given):
    with pytest.raises(UserError, match=r"means a run of each; that takes -m"):
        application.launch(lambda cfg: None, given, check=lambda cfg, folder: None)
    if "-m" not in given:
        with pytest.raises(UserError, match=r"means a run of each"):
            composing.composed(given)


def test_a_row_that_cannot_run_is_refused_before_the_first_one(tmp_path: Path):
    with pytest.raises(UserError, match=r"noise=shared: method=dreampose"):
        run.command(["-m", "+experiment=table1", "noise=shared"])
    assert not list(tmp_path.iterdir())


@pytest.mark.long
def test_a_table_is_run(monkeypatch, tmp_path: Path):
    monkeypatch.setattr(job, "profiler", lambda experiment: None)
    run.command(
        ["-m", "+experiment=table3", "data.size=32", "data.frames=2", "data.clips=2",
         "train.stage1.steps=1", "train.stage2.steps=1", "sample.steps=1", "sample.clips=1",
         "device=cpu"]
    )  # fmt: skip
    records = sorted((tmp_path / "outputs" / "table3" / "stsa").glob("*/record.json"))
    sizes = [json.loads(record.read_text())["options"]["size"] for record in records]
    assert sorted(sizes) == [[4, 2, 2], [4, 4, 4], [8, 4, 4]]
