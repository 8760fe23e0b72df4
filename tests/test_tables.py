"""The tables' command: what it runs, what it keeps, and that a kill or a failure costs nothing."""

from __future__ import annotations

import errno
import io
import json
import os
import pickle
import shutil
import signal
import subprocess
import sys
import time
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from command import command, start
from once import made_once
from PIL import Image

from attnzoo import commands, run
from attnzoo.bench.hardware import hardware, versions
from attnzoo.errors import UserError
from attnzoo.tables import __main__ as tables
from attnzoo.tables import folder as place
from attnzoo.tables.checking import ALONE, _kind, check
from attnzoo.tables.jobs import Composed, Job, compose, jobs_of
from attnzoo.tables.joining import described, joined
from attnzoo.tables.progress import Progress
from attnzoo.tables.reading import read_protocol
from attnzoo.tables.run import run as run_tables
from attnzoo.tables.search import write_choice
from attnzoo.tables.settings import SETTINGS, Settings, settings_of
from attnzoo.tables.spreading import spread
from attnzoo.tables.work import _drop_damaged, run_job
from attnzoo.tables.workers import Outcome, Task
from attnzoo.train.record import read_record

TINY = {
    "name": "tiny",
    "seeds": [0, 1],
    "clips": 1,
    "profile_rounds": 1,
    "settings": [
        "data.size=32", "data.frames=4", "data.clips=2", "train.stage1.steps=4",
        "train.stage1.warmup=1", "train.stage2.steps=1", "train.stage2.warmup=1", "sample.steps=1",
        "train.checkpoint_seconds=0", "device=cpu",
    ],
    "cells": {
        "none": {"label": "VD", "overrides": ["attn=none"]},
        "stsa": {"label": "SA", "overrides": ["attn=stsa", "size=[2,4,4]"]},
        "wild": {"label": "wild", "overrides": ["attn=none", "train.stage1.learning_rate=1e20"]},
    },
    "tables": {
        "table1": {"title": "One", "rows": ["stsa", "none"]},
        "table2": {"title": "Two", "rows": [{"cell": "stsa", "label": "ours"}, "wild"]},
    },
    "curves": {"cells": ["stsa"], "clips": 1, "denoising": [1, 2], "training": [0.5]},
    "search": {
        "common": ["train.ema=0.5"],
        "settings": [["train.clip_norm=1"], ["train.clip_norm=2"]],
        "seeds": 2,
    },
}  # fmt: skip
PLUGIN = '''
import torch

from attnzoo import Kind, register
from attnzoo.attention import Mechanism


@register("mine", title="mine", source="a test", kind=Kind.insert, cost="0")
class Mine(Mechanism):
    """Changes nothing."""

    def forward(self, x, *, flow=None):
        """`[b, f, h, w, c]` to the same."""
        return x * 0

    def sees(self, query, shape):
        """Nothing."""
        return torch.zeros(shape, dtype=torch.bool)
'''


def written(folder: Path, **changes: object) -> Path:
    path = folder / "tiny.yaml"
    path.write_text(yaml.safe_dump({**TINY, **changes}))
    return path


def settings(protocol: Path, out: Path, **given: object) -> Settings:
    values = {"protocol": [str(protocol)], "out": [str(out)], "workers": [2]}
    return settings_of({**values, **{k: [v] for k, v in given.items()}}, (), "command")


def records(folder: Path) -> dict[str, dict]:
    found = sorted(folder.glob("records/*/seed?.json"))
    return {str(path.relative_to(folder)): read_record(path) for path in found}


TIMES = ("seconds", "frames_per_second", "resumed", "loader")


def timeless(value: object) -> object:
    """A record without what another run of the same does not have in common with it."""
    if isinstance(value, dict):
        return {k: timeless(v) for k, v in value.items() if k not in TIMES}
    return [timeless(v) for v in value] if isinstance(value, list) else value


@pytest.fixture(scope="module")
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> tuple[Path, Path, int]:
    """The tiny protocol run by two workers: its file, its results, the command's status."""

    def make(folder: Path) -> None:
        written(folder)
        done = command("tables", "protocol=tiny.yaml", "out=out", "workers=2", cwd=folder)
        (folder / "status").write_text(str(done.returncode))

    folder = made_once(tmp_path_factory, "tables", make)
    return folder / "tiny.yaml", folder / "out", int((folder / "status").read_text())


def test_a_cell_that_tables_share_runs_once_a_seed(made):
    protocol, out, _ = made
    assert set(records(out)) == {
        f"records/{cell}/seed{seed}.json" for cell in ("none", "stsa") for seed in (0, 1)
    }
    names = [job.place for job in jobs_of(read_protocol(protocol), ["none", "stsa"])]
    assert len(names) == len(set(names)) == 4


def test_a_failing_cell_says_why_and_leaves_the_rest(made):
    _, out, status = made
    assert status == 1
    failures = sorted(p.name for p in out.glob("records/wild/*"))
    assert failures == ["seed0.error.json", "seed1.error.json"]
    said = json.loads((out / "records/wild/seed1.error.json").read_text())
    assert (said["schema"], said["cell"], said["seed"], said["kind"]) == (1, "wild", 1, "Diverged")
    assert "stage 1" in said["error"] and "\n" not in said["error"]
    # Of a diverged run the log stays for whoever asks; finished ones leave nothing.
    kept = {p.name for p in (out / place.WORK).glob("*.log")}
    assert len(kept) == 2


def test_each_seed_is_scored_on_its_own_clips(made):
    names = [tuple(r["sampling"]["clips"]) for r in records(made[1]).values()]
    assert len(set(names)) == 2 and names[:2] == names[2:]


def test_costs_clips_curves_and_figure(made):
    _, out, _ = made
    for cell in ("none", "stsa", "wild"):
        cost = json.loads((out / f"costs/{cell}.json").read_text())
        assert cost["cell"] == cell and cost["reused"] is False
        assert cost["profile"]["forward"]["latency_s"]["median"] > 0
        assert cost["environment"]["hardware"] and {*cost["load"]} == {"load", "others"}
    assert cost["profile"] == json.loads((out / "costs/none.json").read_text())["profile"]
    (clip,) = json.loads((out / "clips/index.json").read_text())
    for path in ("none", "stsa", "real", "pose"):
        assert [p.stem for p in (out / "clips" / path).iterdir()] == [clip["name"]]
    with Image.open(out / f"clips/reference/{clip['name']}.png") as reference:
        assert reference.size == (128, 128)
    assert len(clip["boxes"]) == clip["frames"] == 4 and clip["size"] == 32
    curves = json.loads((out / "curves/stsa.json").read_text())
    assert curves["denoising"]["steps"] == [1, 2] and curves["training"]["steps"] == [2, 5]
    own = read_record(out / "records/stsa/seed0.json")["scores"]["l1"]["value"]
    assert curves["denoising"]["scores"][0]["l1"]["value"] == own
    assert curves["training"]["scores"][0]["l1"]["value"] != own
    assert not (out / "curves/none.json").exists()
    assert not (out / "floor.json").exists()  # of one clip there is no distance
    with Image.open(out / "figures/align.png") as figure:
        assert min(figure.size) > 100


def test_what_a_token_sees_is_kept_for_the_report(made):
    with np.load(made[1] / "figures" / "figure3.npz") as stored:
        assert set(stored.files) == {"query", "VD", "SA"}
        assert stored["SA"].sum() == 2 * 4 * 4  # size=[2,4,4]


def test_the_protocol_stands_with_the_results(made):
    protocol, out, _ = made
    said = json.loads((out / "protocol.json").read_text())
    assert said["hash"] == read_protocol(protocol).hash() and said["seeds"] == [0, 1]
    assert said["tables"]["table2"]["rows"][0] == {"label": "ours", "cell": "stsa", "group": None}
    assert said["cells"]["stsa"]["attn"] == "stsa" and said["settings"]["data.size"] == "32"


def test_tables_run_one_after_the_other_stand_together(made, tmp_path):
    protocol, out, _ = made
    place.write_json(tmp_path / "protocol.json", json.loads((out / "protocol.json").read_text()))
    whole, tables_ = joined(tmp_path, read_protocol(protocol), ["table1"])
    about = described(tmp_path, whole, tables_, "another command", part=False)
    assert list(about["tables"]) == ["table1", "table2"]
    assert about["command"].startswith("python -m attnzoo.tables protocol=")
    assert about["command"].endswith(" workers=2 && another command")
    # Of another protocol no record is there.
    changed = read_protocol(written(tmp_path, clips=2))
    assert joined(tmp_path, changed, ["table2"]) == (changed, ("table2",))
    assert described(tmp_path, changed, ["table2"], "c", part=False)["command"] == "c"


@pytest.mark.long
def test_scores_are_those_of_the_run_command(made, one_thread, tmp_path, monkeypatch, capsys):
    # Looked at in the middle of its training by the tables, and not by the command.
    monkeypatch.chdir(tmp_path)
    ours = read_record(made[1] / "records/stsa/seed0.json")
    with pytest.raises(SystemExit) as status:
        overrides = [*ours["environment"]["overrides"], "hydra.run.dir=here"]
        commands.execute(run.command, overrides)
    assert status.value.code == 0, capsys.readouterr().err
    theirs = read_record(tmp_path / "here")
    assert ours["scores"] == theirs["scores"]
    assert timeless(ours["training"]) == timeless(theirs["training"])


@pytest.mark.long
def test_killed_and_resumed_gives_the_same_records(made, one_thread, tmp_path):
    protocol, out, _ = made
    part = ("tables", f"protocol={protocol}", "out=out", "only=table1", "workers=1", "part=0/1")
    process = start(*part, cwd=tmp_path)
    until = time.monotonic() + 240
    while not list(tmp_path.glob("out/.cells/*/checkpoints/stage1-000003")):
        assert process.poll() is None and time.monotonic() < until, process.communicate()
        time.sleep(0.02)
    process.kill()
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    assert not records(tmp_path / "out")
    # What a worker does with what is left, here without one: the bits of two are those of one.
    jobs = jobs_of(read_protocol(protocol), ["stsa", "none"])
    for job in jobs:
        assert not place.stands(tmp_path / "out", job)
        run_job(tmp_path / "out", job)
    again = records(tmp_path / "out")
    assert again["records/stsa/seed0.json"]["training"]["resumed"] == 1
    assert timeless(again) == timeless(records(out))
    # It was looked at before the kill, and shown further points after it.
    ours, theirs = (folder / "curves/stsa.json" for folder in (tmp_path / "out", out))
    assert ours.read_text() == theirs.read_text()


def test_what_is_there_is_not_run_again(made, monkeypatch, capsys):
    protocol, out, _ = made
    before = {path: path.stat().st_mtime_ns for path in out.glob("records/*/seed?.json")}

    def none(*_: object) -> None:
        raise AssertionError("a worker was started")

    monkeypatch.setattr("attnzoo.tables.workers._started", none)
    assert run_tables(settings(protocol, out, only="table1", part="0/1"))
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert "4 of 4 runs are there already" in capsys.readouterr().err


@pytest.mark.parametrize("change", ["settings", "curves"])
def test_a_changed_protocol_is_run_again(made, tmp_path, change):
    _, out, _ = made
    changed = {
        "settings": [*TINY["settings"], "train.ema=0.9"],
        "curves": {**TINY["curves"], "denoising": [1]},
    }
    jobs = jobs_of(read_protocol(written(tmp_path, **{change: changed[change]})), ["none", "stsa"])
    stand = [place.stands(out, job) for job in jobs]
    # Other curves concern one run alone.
    assert stand == ([False] * 4 if change == "settings" else [True, False, True, True])


def test_an_edited_plugin_is_run_again(tmp_path):
    from attnzoo import registry

    keys = []
    for edit in ("", "# another text\n"):
        with registry.preserved():
            file = tmp_path / f"mine{len(keys)}.py"
            file.write_text(edit + PLUGIN)
            registry.load_plugin(file)
            cells = {"mine": {"label": "mine", "overrides": ["attn=mine"]}}
            tables_ = {"table1": {"title": "One", "rows": ["mine"]}}
            path = written(tmp_path, cells=cells, tables=tables_, curves={})
            keys.append([job.key for job in jobs_of(read_protocol(path), ["mine"])])
    assert not set(keys[0]) & set(keys[1])


def test_reuse_takes_over_what_was_run_and_marks_it(made, tmp_path):
    protocol, out, _ = made
    given = {"only": "table1", "part": "0/1", "reuse": str(out), "add": ["temporal"]}
    wanted = settings(protocol, tmp_path / "new", **given)
    assert wanted.cells == ["stsa", "none", "add-temporal"]
    assert wanted.protocol.hash() == read_protocol(protocol).hash()
    theirs = tmp_path / "theirs"
    shutil.copytree(out, theirs)
    shutil.copytree(theirs / "records/none", theirs / "records/add-temporal")
    for job in jobs_of(wanted.protocol, ["add-temporal"]):  # nothing is run
        record = read_record(theirs / job.place)
        record["environment"]["key"] = job.key
        place.write_json(theirs / job.place, record)
    assert run_tables(settings(protocol, tmp_path / "new", **{**given, "reuse": str(theirs)}))
    copied = read_record(tmp_path / "new/records/stsa/seed1.json")
    assert copied["environment"].pop("reused") is True
    ours = read_record(out / "records/stsa/seed1.json")
    assert ours["environment"].pop("reused") is False
    assert copied == ours
    assert (tmp_path / "new/curves/stsa.json").exists() and (tmp_path / "new/clips/none").is_dir()


@pytest.mark.parametrize("which", ["clips/none/more", "records/none/seed0.json"])
def test_reuse_follows_no_link_out_of_the_other_folder(made, tmp_path, which):
    """It may have come from anywhere, and what it lends is shown in reports."""
    protocol, out, _ = made
    theirs = tmp_path / "theirs"
    shutil.copytree(out, theirs)
    (tmp_path / "secret").write_bytes((out / "records/none/seed0.json").read_bytes())
    (theirs / which).unlink(missing_ok=True)
    (theirs / which).symlink_to(tmp_path / "secret")
    wanted = settings(protocol, tmp_path / "new", only="table1", reuse=str(theirs))
    job = next(iter(jobs_of(wanted.protocol, ["none"])))
    with pytest.raises(UserError, match=r"reuse=.*(is a link|leaves the folder)"):
        place.reuse(tmp_path / "new", theirs, job, added=False)
    assert not (tmp_path / "new").exists()


def test_reuse_of_another_protocol_is_refused_by_name(made, tmp_path):
    _, out, _ = made
    other = written(tmp_path, clips=2)
    with pytest.raises(UserError, match=r"reuse=.*different protocols"):
        run_tables(settings(other, tmp_path / "out", reuse=str(out)))
    with pytest.raises(UserError, match=r"no protocol\.json can be read"):
        run_tables(settings(other, tmp_path / "out", reuse=str(tmp_path)))
    assert not (tmp_path / "out").exists()


def test_the_search_tries_all_on_the_validation_part_and_takes_the_lowest(made, tmp_path):
    from attnzoo.tables.search import search_jobs

    protocol, out, _ = made
    read = read_protocol(protocol)
    jobs = search_jobs(read, ["none", "stsa"])
    assert [job.place for job in jobs] == [
        f"search/records/{cell}/setting{i}-seed{seed}.json"
        for cell in ("none", "stsa")
        for i in (0, 1)
        for seed in (2, 3)
    ]
    last = dict(text.split("=", 1) for text in jobs[2].overrides)
    assert last["data.part"] == "validation" and last["sample.first"] == "0"
    assert int(last["seed"]) not in read.seeds
    assert (last["train.ema"], last["train.clip_norm"]) == ("0.5", "2")
    record = read_record(out / "records/none/seed0.json")
    # The first is best by one seed and worst by another, the last by its one seed that has ended.
    for job, error in zip(jobs[:7], (0.02, 0.9, 0.1, 0.1, 0.3, 0.3, 0.01), strict=True):
        record["scores"]["warp_error_1"]["clips"] = [error]
        record["scores"]["warp_error_4"]["clips"] = [error]
        place.write_json(tmp_path / job.place, record)
    place.write_error(tmp_path, jobs[7], "Diverged", "the loss is nan", passing=False)
    chosen = write_choice(tmp_path, read, ["none", "stsa"])
    assert chosen == {"none": {"train.clip_norm": "2"}, "stsa": {"train.clip_norm": "1"}}
    assert json.loads((tmp_path / "search/chosen.json").read_text()) == chosen
    lines = [*map(json.loads, (tmp_path / "search/log.jsonl").read_text().splitlines())]
    assert [line["mean"] is None for line in lines] == [False, False, False, True]
    assert lines[3]["error"] == "the loss is nan" and lines[0]["seeds"] == [2, 3]
    assert [len(scores) for scores in lines[0]["scores"]] == [1, 1]


def test_two_commands_do_not_work_in_one_folder(tmp_path):
    from attnzoo.tables.run import _alone

    def whole() -> None:
        with _alone(tmp_path, None):
            pass

    part = _alone(tmp_path, (0, 2))
    with part, _alone(tmp_path, (1, 2)), pytest.raises(UserError, match="another command"):
        whole()
    whole()
    other = _alone(tmp_path, (0, 3))
    with _alone(tmp_path, (0, 2)), pytest.raises(UserError, match="another command"), other:
        raise AssertionError("two would do the first run")
    with _alone(tmp_path, (0, 3)):
        pass
    assert {p.name for p in tmp_path.iterdir()} == {".lock", ".cells"}


def test_parts_of_other_tables_do_not_work_beside_each_other(tmp_path):
    from attnzoo.tables.run import _alone

    protocol = read_protocol(written(tmp_path))
    one, two = (jobs_of(protocol, protocol.only([name])) for name in ("table1", "table2"))
    assert {job.place for job in one} & {job.place for job in two}
    other = _alone(tmp_path, (1, 2), two)
    with _alone(tmp_path, (0, 2), one), pytest.raises(UserError, match="another command"), other:
        raise AssertionError("two would do the same run")
    with _alone(tmp_path, (0, 2), one), _alone(tmp_path, (1, 2), one):
        pass
    with _alone(tmp_path, (1, 2), two):
        pass


def test_parts_share_the_runs(made):
    from attnzoo.tables.run import _share

    jobs = jobs_of(read_protocol(made[0]), ["none", "stsa"])
    shares = [_share(jobs, (i, 3)) for i in range(3)]
    assert sorted(job.place for share in shares for job in share) == sorted(
        job.place for job in jobs
    )
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


EXAMPLE = Path(__file__).parents[1] / "results/example/record.json"
SIXTH = {
    "title": "Six",
    "settings": ["train.stage1.steps=2"],
    "axes": {
        "noise": {"half": {"label": "half", "overrides": ["noise=half"]}},
        "variant": {"none": {"label": "none", "overrides": ["attn=none"]}},
    },
}


def made_up(job: Job) -> dict:
    """A record in a job's place, of another run."""
    record = read_record(EXAMPLE)
    record["data"]["split_hash"] = job.split_hash
    record["environment"] |= {"overrides": [*job.overrides], "key": job.key, "reused": False}
    return record


@cache
def composed_once(name: str, overrides: tuple[str, ...]) -> Composed:
    return compose(name, overrides)


@pytest.fixture
def ran(monkeypatch) -> list[str]:
    """Nothing is run: a job that does not stand gets a record at once, and its name is here."""
    names = []
    for module in ("jobs", "search"):
        monkeypatch.setattr(
            f"attnzoo.tables.{module}.compose",
            lambda name, overrides: composed_once(name, tuple(overrides)),
        )

    def run_jobs(wanted: Settings, jobs: list[Job], _: object) -> list:
        for job in jobs:
            if not place.stands(wanted.out, job):
                record = made_up(job)
                for made in place.beside(wanted.out, job, record):
                    made.parent.mkdir(parents=True, exist_ok=True)
                    made.touch()
                place.write_json(wanted.out / job.place, record)
                names.append(job.name)
        return []

    monkeypatch.setattr("attnzoo.tables.run._run_jobs", run_jobs)
    monkeypatch.setattr("attnzoo.tables.run.measure_costs", lambda *_: [])
    for name in ("_pictures", "_report"):
        monkeypatch.setattr(f"attnzoo.tables.run.{name}", lambda *_: None)
    return names


def edited(path: Path, **changes: object) -> None:
    """Changes what a record says of where it was made."""
    record = read_record(path)
    record["environment"] |= changes
    place.write_json(path, record)


def about(folder: Path) -> dict:
    return json.loads((folder / "protocol.json").read_text())


def rows(folder: Path, table: str) -> list[str]:
    return [row["cell"] for row in about(folder)["tables"][table]["rows"]]


def snapshot(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_reuse_of_its_own_folder_takes_nothing_over(ran, tmp_path):
    protocol, out = written(tmp_path), tmp_path / "out"
    assert run_tables(settings(protocol, out, only="table1"))
    edited(out / "records/none/seed1.json", key="made by other code")
    before = ran.copy()
    (tmp_path / "link").symlink_to(out)
    for same in (out, tmp_path / "link"):
        assert run_tables(settings(protocol, out, only="table1", reuse=str(same)))
    assert ran == [*before, "none, seed 1"]
    assert not any(record["environment"]["reused"] for record in records(out).values())


def test_reuse_says_what_other_code_has_made_and_leaves_other_variants(ran, tmp_path, capsys):
    protocol, theirs = written(tmp_path), tmp_path / "theirs"
    given = {"only": "table1", "add": ["temporal"]}
    assert run_tables(settings(protocol, theirs, **given))
    for path in ("none/seed1", "add-temporal/seed0"):
        edited(theirs / f"records/{path}.json", key="made by other code")
    ran.clear()
    new, newer = tmp_path / "new", tmp_path / "newer"
    failed = settings(protocol, new, **given, reuse=str(theirs))
    job = next(j for j in jobs_of(failed.protocol, failed.cells) if j.name == "none, seed 1")
    place.write_error(new, job, "Diverged", "the loss is nan", passing=False)
    assert run_tables(failed)
    assert ran == ["add-temporal, seed 0"]
    assert not place.error_path(new / job.place).exists()
    said = "1 of the 5 records taken over were made with other code or libraries"
    assert [line for line in capsys.readouterr().out.splitlines() if said in line]
    # From there it goes on, and what it was made with goes along.
    assert run_tables(settings(protocol, newer, **given, reuse=str(new)))
    assert said.replace("5", "6") in capsys.readouterr().out and len(ran) == 1
    for folder in (new, newer):
        environment = read_record(folder / job.place)["environment"]
        assert (environment["key"], environment["reused_key"]) == (job.key, "made by other code")
        assert "reused_key" not in read_record(folder / "records/stsa/seed0.json")["environment"]


@pytest.mark.parametrize("change", ["overrides", "split", "base", "curves", "clips"])
def test_reuse_leaves_what_is_not_of_the_protocol(ran, tmp_path, change):
    """As where a changed protocol's run was killed: its hash is there, and older records."""
    protocol, theirs, new = written(tmp_path), tmp_path / "theirs", tmp_path / "new"
    assert run_tables(settings(protocol, theirs, only="table1"))
    path = theirs / "records/stsa/seed0.json"
    record = read_record(path)
    record["environment"]["key"] = "made by other code"
    if change == "overrides":
        record["environment"]["overrides"][-1] += "1"
    if change == "split":
        record["data"]["split_hash"] = "others"
    if change == "base":
        record["environment"]["based_on"] = {"model": "others"}
    place.write_json(path, record)
    gone = theirs / {"curves": "curves/stsa.json", "clips": "clips/stsa"}.get(change, "nothing")
    place.remove(gone)
    ran.clear()
    assert run_tables(settings(protocol, new, only="table1", reuse=str(theirs)))
    assert ran == ["stsa, seed 0"]
    assert read_record(new / "records/stsa/seed1.json")["environment"]["reused"] is True


def test_a_kill_leaves_no_failure_beside_its_record(ran, tmp_path, monkeypatch):
    protocol, out = written(tmp_path), tmp_path / "out"
    job = jobs_of(read_protocol(protocol), ["none"])[0]
    place.write_error(out, job, "Diverged", "the loss is nan", passing=False)

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(place, "write_json", killed)
    with pytest.raises(KeyboardInterrupt):
        place.publish(out, job, made_up(job))
    assert not place.error_path(out / job.place).exists()


@pytest.mark.parametrize("change", ["code", "overrides"])
@pytest.mark.parametrize("passing", [True, False])
def test_a_failure_does_not_lose_the_record_of_before(tmp_path, change, passing):
    job = jobs_of(read_protocol(written(tmp_path)), ["none"])[1]
    older = made_up(job)
    if change == "code":
        older["environment"]["key"] = "of other code"
    else:
        older["environment"]["overrides"] = ["of other settings"]
    place.write_json(tmp_path / job.place, older)
    before, aside = (tmp_path / job.place).read_bytes(), tmp_path / ".cells/before/none/seed1.json"
    place.write_error(tmp_path, job, "WorkerDied", "it died", passing=passing)
    stays = passing and change == "code"
    assert place.error_path(tmp_path / job.place).exists() is not stays
    assert (tmp_path / job.place).exists() is stays
    assert (tmp_path / job.place if stays else aside).read_bytes() == before
    if not stays:
        error = json.loads(place.error_path(tmp_path / job.place).read_text())["error"]
        assert error == f"it died (the record of before lies in {aside.relative_to(tmp_path)})"
    place.publish(tmp_path, job, made_up(job))
    assert place.stands(tmp_path, job) and not (tmp_path / ".cells/before").exists()


def test_what_one_part_is_about_to_put_aside_has_its_folder(tmp_path):
    """A finished run takes an empty folder away only where its own older record was."""
    first, second = jobs_of(read_protocol(written(tmp_path)), ["none"])[:2]
    aside = tmp_path / ".cells/before/none"
    aside.mkdir(parents=True)
    place.publish(tmp_path, first, made_up(first))
    assert aside.is_dir()
    place.write_json(tmp_path / second.place, made_up(second))
    place.write_error(tmp_path, second, "Diverged", "the loss is nan", passing=False)
    assert [path.name for path in aside.iterdir()] == ["seed1.json"]


def test_a_record_that_cannot_be_read_just_now_is_not_made_again(tmp_path, monkeypatch):
    job = jobs_of(read_protocol(written(tmp_path)), ["none"])[1]
    place.write_json(tmp_path / job.place, made_up(job))
    assert place.stands(tmp_path, job)

    def stale(*_: object, **__: object) -> str:
        raise OSError(errno.ESTALE, "Stale file handle")

    with monkeypatch.context() as patch, pytest.raises(UserError, match="Stale file handle"):
        patch.setattr(Path, "read_bytes", stale)
        place.stands(tmp_path, job)
    (tmp_path / job.place).write_text("{")
    assert not place.stands(tmp_path, job)


def test_a_record_without_its_clips_or_curves_is_made_again(made, tmp_path):
    """Else what somebody deleted, since it was damaged, would never come back."""
    protocol, out, _ = made
    job = next(j for j in jobs_of(read_protocol(protocol), ["none", "stsa"]) if j.curves_place)
    assert job.clips is not None and place.stands(out, job)
    copy = Path(shutil.copytree(out, tmp_path / "copy"))
    clip = next((copy / job.clips).glob("*.mp4"))
    for path in (copy / job.curves_place, clip):
        content = path.read_bytes()
        path.unlink()
        assert not place.stands(copy, job) and _kind(copy, job) == ALONE
        path.write_bytes(content)
    assert place.stands(copy, job)


@pytest.mark.parametrize("name", ["record.json", "curve-stage1-000002.json"])
def test_what_a_disk_has_damaged_of_an_unfinished_run_costs_that_run(tmp_path, caplog, name):
    work = tmp_path / "work"
    _drop_damaged(work)
    (work / "checkpoints").mkdir(parents=True)
    (work / "curve-stage1-000001.json").write_text("{}")
    _drop_damaged(work)
    assert (work / "checkpoints").exists() and not caplog.text
    (work / name).write_text('{"cut": ')
    _drop_damaged(work)
    assert not work.exists() and f"{name} is damaged" in caplog.text


def test_equal_settings_do_not_share_a_working_folder(tmp_path):
    cells = {**TINY["cells"], "same": {"label": "the same", "overrides": ["attn=none"]}}
    tables_ = {"table1": {"title": "One", "rows": ["same", "none"]}}
    read = read_protocol(written(tmp_path, cells=cells, tables=tables_, curves={}))
    jobs = jobs_of(read, ["none", "same"])
    assert len({job.key for job in jobs}) == 2 and len(jobs) == 4
    assert len({place.working(tmp_path, job) for job in jobs}) == 4


def test_nothing_is_chosen_where_the_machine_fell_short(ran, tmp_path, monkeypatch, capsys):
    protocol, out = written(tmp_path), tmp_path / "out"
    assert run_tables(settings(protocol, out, search=True))
    before = (out / "search/chosen.json").read_bytes()
    job = Task("a", tmp_path / "log", print, ())
    for passing in (True, False):
        failed = Outcome(job, 1.0, kind="WorkerDied", said="died", passing=passing)
        monkeypatch.setattr("attnzoo.tables.run._run_jobs", lambda *_, failed=failed: [failed])
        place.remove(out / "search/chosen.json")
        assert run_tables(settings(protocol, out, search=True)) is not passing
        assert (out / "search/chosen.json").exists() is not passing
        assert ("the machine fell short" in capsys.readouterr().out) is passing
    assert (out / "search/chosen.json").read_bytes() == before


def test_a_cost_that_could_not_be_measured_again_is_gone(tmp_path, monkeypatch):
    from attnzoo.tables import costs

    monkeypatch.setattr("attnzoo.tables.costs.compose", composed_once_of)
    read = read_protocol(written(tmp_path))
    old = {"profile": {}, "environment": {}, "key": "of other code"}
    for cell in ("none", "stsa"):
        place.write_json(tmp_path / f"costs/{cell}.json", old)

    class Failing:
        def __init__(self, *_: object) -> None:
            pass

        def __enter__(self) -> Failing:
            return self

        def __exit__(self, *_: object) -> None:
            pass

        def do(self, tasks: list[Task], tick: object) -> list[Outcome]:
            return [Outcome(task, 1.0, kind="RuntimeError", said="no") for task in tasks[1:]]

    monkeypatch.setattr(costs, "Workers", Failing)
    failed = costs.measure_costs(tmp_path, read, ["none", "stsa"], (), Progress(io.StringIO()))
    assert [one.task.name for one in failed] == ["cost of stsa"]
    assert [path.stem for path in (tmp_path / "costs").iterdir()] == ["none"]


@pytest.mark.parametrize(
    "text", ["[]", "null", "3", "{", '{"key": "KEY"}', '{"key": "KEY", "profile": 3}', "[" * 9000]
)
def test_a_cost_that_is_none_is_measured(tmp_path, monkeypatch, text):
    from attnzoo.tables import costs

    monkeypatch.setattr("attnzoo.tables.costs.compose", composed_once_of)
    (cost,) = costs.costs_of(read_protocol(written(tmp_path)), ["none"])
    place.write_json(tmp_path / "costs/none.json", {})
    (tmp_path / "costs/none.json").write_text(text.replace("KEY", cost.key))
    costs._shared(tmp_path, cost)
    assert not costs._stands(tmp_path, cost, "none")


@pytest.mark.parametrize(
    ("change", "stands"),
    [
        ({}, True),
        ({"versions": {"torch": "1.0"}}, False),
        ({"hardware": {"gpu": "another"}}, False),
    ],
)
def test_a_cost_is_of_the_libraries_and_the_gpu_of_here(tmp_path, monkeypatch, change, stands):
    from attnzoo.tables import costs

    monkeypatch.setattr("attnzoo.tables.costs.compose", composed_once_of)
    (cost,) = costs.costs_of(read_protocol(written(tmp_path)), ["none"])
    environment = {"versions": versions(), "hardware": hardware(), **change}
    content = {"key": cost.key, "profile": {}, "environment": environment}
    place.write_json(tmp_path / "costs/none.json", content)
    assert costs._stands(tmp_path, cost, "none") is stands


def composed_once_of(name: str, overrides: list[str]) -> Composed:
    return composed_once(name, tuple(overrides))


def test_a_part_that_is_stopped_lets_its_command_save(monkeypatch):
    from attnzoo.tables import spreading

    said = []

    class Process:
        def __init__(self, command: list[str], *, start_new_session: bool, **_: object) -> None:
            said.append((command[-1], start_new_session))

        def wait(self) -> int:
            said.append("waits")
            if said.count("waits") == 1:
                raise KeyboardInterrupt
            return 143

        def terminate(self) -> None:
            said.append("terminates")

    monkeypatch.setattr(spreading.subprocess, "Popen", Process)
    with pytest.raises(KeyboardInterrupt):
        spreading._share(spreading.Share("0/2", ["quick=true"]))
    assert said == [("part=0/2", True), "waits", "terminates", "waits"]


@pytest.mark.parametrize(
    ("status", "ends"), [(0, None), (3, None), (2, 2), (1, 1), (74, 74), (143, 143), (-9, 137)]
)
def test_how_a_part_ends_is_how_its_launcher_ends(monkeypatch, status, ends):
    from attnzoo.tables import spreading

    asked = {}

    class Process:
        def __init__(self, command: list[str], **options: Any) -> None:
            asked.update(options["env"])

        def wait(self) -> int:
            return status

    monkeypatch.setattr(spreading.subprocess, "Popen", Process)
    monkeypatch.setenv("HYDRA_FULL_ERROR", "1")  # as it is in a job
    share = spreading.Share("0/2", ["quick=true"])
    if ends is None:
        spreading._share(share)
    elif ends == 2:
        with pytest.raises(UserError, match="status 2"):
            spreading._share(share)
    else:
        with pytest.raises(spreading.PartEnded) as told:
            spreading._share(share)
        assert (pickle.loads(pickle.dumps(told.value)).status, told.value.status) == (ends, ends)
    assert "HYDRA_FULL_ERROR" not in asked


@pytest.mark.long
def test_a_part_ends_with_its_launcher():
    code = (
        "import time\n"
        "from attnzoo.tables.spreading import end_with_launcher\n"
        "end_with_launcher()\n"
        "print('ready', flush=True)\n"
        "time.sleep(60)\n"
    )
    environment = {**os.environ, "ATTNZOO_PART_WATCHES_STDIN": "1"}
    pipe = subprocess.PIPE
    part = subprocess.Popen([sys.executable, "-c", code], stdin=pipe, stdout=pipe, env=environment)
    assert part.stdin is not None and part.stdout is not None
    assert part.stdout.readline() == b"ready\n"
    part.stdin.close()  # as the system does of a process that is gone
    assert part.wait(30) == -signal.SIGTERM
    part.stdout.close()


def test_one_part_is_run_once_at_a_time(tmp_path):
    from attnzoo.tables.run import _alone

    with _alone(tmp_path, (0, 2)), _alone(tmp_path, (1, 2)):
        with pytest.raises(UserError, match="another command"), _alone(tmp_path, (0, 2)):
            pass
        with pytest.raises(UserError, match="another command"), _alone(tmp_path, None):
            pass


@pytest.mark.parametrize("kind", ["folder", "link", "pipe"])
def test_chosen_settings_that_cannot_be_read_are_none_that_are_not_there(tmp_path, kind):
    protocol, chosen = written(tmp_path), tmp_path / "chosen.yaml"
    make = {"folder": chosen.mkdir, "link": lambda: chosen.symlink_to("gone")}
    make.get(kind, lambda: os.mkfifo(chosen))()
    with pytest.raises(UserError, match=r"chosen\.yaml: cannot be read"):
        settings(protocol, tmp_path / "out")


def test_quick_has_a_folder_of_its_own():
    assert settings_of({"quick": [True]}, (), "").out == Path("outputs/tables-quick")
    assert settings_of({}, (), "").out == Path("outputs/tables")
    assert settings_of({"quick": [True], "out": ["here"]}, (), "").out == Path("here")


def test_a_folder_of_another_protocol_is_refused(ran, tmp_path):
    protocol, out = written(tmp_path), tmp_path / "out"
    assert run_tables(settings(protocol, out))
    before, first = snapshot(out), read_protocol(protocol).hash()[:12]
    changed = written(tmp_path, cells=TINY["cells"] | {"none": {**TINY["cells"]["stsa"]}})
    second = read_protocol(changed).hash()[:12]
    ran.clear()
    with pytest.raises(UserError, match="give another out=, or delete it") as error:
        run_tables(settings(changed, out, only="table1"))
    assert all(text in str(error.value) for text in (str(out), first, second))
    with pytest.raises(UserError, match="give another out=, or delete it"):
        spread(["parts=2", f"protocol={changed}", f"out={out}"])
    assert not ran and snapshot(out) == before
    # What only writes search/ may go on there: what it chooses changes the protocol.
    assert run_tables(settings(changed, out, search=True, part="0/1"))
    cells = ("none", "stsa", "wild")
    assert set(ran) == {
        f"{c}, setting {i}, seed {seed}" for c in cells for i in (0, 1) for seed in (2, 3)
    }
    assert about(out)["hash"].startswith(first)
    # Without it keys alone say what stands.
    ran.clear()
    (out / "protocol.json").unlink()
    assert run_tables(settings(changed, out, only="table1"))
    assert ran == ["none, seed 0", "none, seed 1"] and about(out)["hash"].startswith(second)


def test_a_damaged_protocol_is_refused_by_name(ran, tmp_path):
    (tmp_path / "out").mkdir()
    endless = '{"hash": "a", "cells": {}, "seeds": [1e999]}'
    for text in ("{", '{"hash": 3}', '{"cells": []}', endless):
        (tmp_path / "out/protocol.json").write_text(text)
        with pytest.raises(UserError, match=r"out/protocol\.json is no protocol"):
            run_tables(settings(written(tmp_path), tmp_path / "out"))
    assert not ran


def test_figure_3_is_of_all_tables_that_stand_and_not_of_grids(ran, tmp_path, monkeypatch):
    drawn = []
    monkeypatch.setattr("attnzoo.tables.run._pictures", lambda *given: drawn.append(given[2]))
    protocol, out = written(tmp_path, grids={"table6": SIXTH}), tmp_path / "out"
    assert run_tables(settings(protocol, out, only="table6"))
    assert run_tables(settings(protocol, out, only="table2"))
    assert run_tables(settings(protocol, out, only="table1"))
    assert run_tables(settings(protocol, out, only="table6"))
    assert drawn == [[], ["stsa", "wild"], ["stsa", "none", "wild"], ["stsa", "none", "wild"]]
    assert list(about(out)["tables"]) == ["table1", "table2", "table6"]


def test_figure_3_leaves_out_what_earlier_plugins_brought(tmp_path, monkeypatch):
    from attnzoo.tables.run import _fields

    drawn = []
    monkeypatch.setattr("attnzoo.testing.receptive_field.save", lambda *given: drawn.append(given))
    added = settings(written(tmp_path), tmp_path, add=["temporal", "gone"]).protocol
    _fields(tmp_path, added, ["stsa", "add-temporal", "add-gone"])
    ((_, seen),) = drawn
    assert {label: name for label, (name, _) in seen.items()} == {
        "SA": "stsa", "temporal": "temporal"
    }  # fmt: skip


def test_added_rows_stay_as_long_as_their_records(ran, tmp_path):
    protocol, out = written(tmp_path), tmp_path / "out"
    assert run_tables(settings(protocol, out, add=["temporal"]))
    with_it = about(out)
    assert run_tables(settings(protocol, out))
    assert about(out) == with_it and with_it["cells"]["add-temporal"]["added"] is True
    assert rows(out, "table1") == ["stsa", "none", "add-temporal"]
    assert run_tables(settings(protocol, out, only="table1", add=["temporal_conv", "temporal"]))
    assert rows(out, "table1") == ["stsa", "none", "add-temporal", "add-temporal_conv"]
    assert rows(out, "table2") == ["stsa", "wild", "add-temporal"]
    shutil.rmtree(out / "records/add-temporal")
    assert run_tables(settings(protocol, out, only="table2"))
    assert rows(out, "table1") == ["stsa", "none", "add-temporal_conv"]
    assert rows(out, "table2") == ["stsa", "wild"] and "add-temporal" not in about(out)["cells"]


def test_others_may_go_on_from_their_work(ran, tmp_path):
    protocol, out = written(tmp_path), tmp_path / "out"
    wanted = settings(protocol, out, only="table1")
    job = jobs_of(wanted.protocol, wanted.cells)[0]
    for name in (place.working(out, job).name, "another"):
        (out / place.WORK / name).mkdir(parents=True)
        (out / place.WORK / f"{name}.log").touch()
    assert run_tables(wanted)
    assert {p.name for p in (out / place.WORK).iterdir()} == {"another", "another.log"}
    for path in (out / place.WORK / "another.log", out / place.WORK / "another"):
        place.remove(path)
    assert run_tables(wanted)
    assert not (out / place.WORK).exists()


def test_seeds_other_than_those_there_are_refused(ran, tmp_path):
    grown = [*TINY["settings"], "data.clips=4"]
    protocol = written(tmp_path, grids={"table6": SIXTH}, settings=grown)
    out = tmp_path / "out"

    def refused(**given: object) -> str:
        before = snapshot(out)
        with pytest.raises(UserError) as error:
            run_tables(settings(protocol, out, **given))
        assert snapshot(out) == before
        return str(error.value)

    assert run_tables(settings(protocol, out, only="table1"))
    said = refused(only="table6", seeds=1)
    assert "of seeds 0, 1, this command's are 0;" in said and str(out) in said
    assert "table1" in refused(only="table6", seeds=3)
    assert run_tables(settings(protocol, out, seeds=3))
    assert about(out)["seeds"] == [0, 1, 2] and "records/none/seed2.json" in records(out)
    assert "of seeds 0, 1, 2, this command's are 0, 1;" in refused()
    assert run_tables(settings(protocol, out, seeds=3, only="table2", add=["temporal"]))
    assert "add-temporal" in refused(seeds=4)
    assert run_tables(settings(protocol, out, seeds=4, add=["temporal"]))
    assert about(out)["seeds"] == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("change", "fine", "said"),
    [
        ("nothing", True, "6 runs of 3 cells, comes from the protocol"),
        ("key", True, "made with other code or libraries: 1: none, seed 1"),
        ("reused key", True, "made with other code or libraries: 1: none, seed 1"),
        ("overrides", False, "other settings than the protocol's: 1: none, seed 1"),
        ("split", False, "other data than the protocol's: 1: none, seed 1"),
        ("base", False, "upon other weights than the protocol's: 1: none, seed 1"),
        ("missing", False, "missing: 2: stsa, seed 1; none, seed 1"),
        ("failed", False, "failed: 1: none, seed 1"),
        ("left", False, "not of the protocol: 1: records/none/seed7.json"),
        ("hash", False, "hash: {theirs} in protocol.json, {ours} of the protocol"),
        ("seeds", False, "seeds: 0, 1 in protocol.json, 0, 1, 2 of the protocol"),
        ("chosen", False, "settings that are not those of search/chosen.json: 1: none"),
    ],
)
def test_whether_results_come_from_the_protocol(ran, tmp_path, change, fine, said, capsys):
    protocol, out = written(tmp_path), tmp_path / "out"
    path = out / "records/none/seed1.json"
    assert run_tables(settings(protocol, out))
    record, hash_ = read_record(path), read_protocol(protocol).hash()
    if change in ("key", "reused key", "overrides"):
        edited(path, **{change.replace(" ", "_"): "others"})
    elif change == "split":
        record["data"]["split_hash"] = "others"
        place.write_json(path, record)
    elif change == "base":
        edited(path, based_on={"model": "others"})
    elif change in ("missing", "failed"):
        path.unlink()
        (out / "records/stsa/seed1.json").unlink()
        if change == "failed":
            place.write_json(path.with_suffix(".error.json"), {})
    elif change == "left":
        place.write_json(path.with_name("seed7.json"), record)
    elif change == "hash":
        protocol = written(tmp_path, settings=[*TINY["settings"], "train.ema=0.9"])
        said = said.format(theirs=hash_[:12], ours=read_protocol(protocol).hash()[:12])
    elif change == "seeds":
        grown = [text.replace("clips=2", "clips=3") for text in TINY["settings"]]
        protocol = written(tmp_path, seeds=[0, 1, 2], settings=grown)
    elif change == "chosen":
        chosen = {"none": {"train.ema": "0.9"}, "stsa": {}, "add-gone": {"train.ema": "0.9"}}
        place.write_json(out / "search/chosen.json", chosen)
    before = snapshot(out)
    capsys.readouterr()
    with pytest.raises(SystemExit) as status:
        commands.execute(tables.command, [f"protocol={protocol}", f"out={out}", "check=true"])
    printed = capsys.readouterr().out
    assert status.value.code == (0 if fine else 1)
    assert said in printed.splitlines()[-1] if change == "nothing" else said in printed.splitlines()
    assert ("does not come from the protocol" in printed) == (not fine)
    assert snapshot(out) == before


def test_checked_is_what_stands_or_what_was_asked_for(ran, tmp_path, capsys):
    protocol, out = written(tmp_path, grids={"table6": SIXTH}), tmp_path / "out"
    given = {"only": "table1", "add": ["temporal"]}
    assert run_tables(settings(protocol, out, **given))
    assert check(settings(protocol, out, check=True))
    assert "6 runs of 3 cells" in capsys.readouterr().out
    assert not check(settings(protocol, out, check=True, only="table6"))
    assert "missing: 2: table6-half-none, seed 0; table6-half-none, seed 1" in (
        capsys.readouterr().out
    )
    shutil.rmtree(out / "records/add-temporal")
    assert not check(settings(protocol, out, check=True))
    assert "missing: 2: add-temporal, seed 0" in capsys.readouterr().out


def test_a_search_of_some_cells_leaves_what_was_chosen_for_others(ran, tmp_path):
    protocol, out = written(tmp_path), tmp_path / "out"
    read = read_protocol(protocol)
    assert run_tables(settings(protocol, out, search=True))
    all_, log = (snapshot(out / "search")[name] for name in ("chosen.json", "log.jsonl"))
    best = {"train.clip_norm": "1"}
    assert json.loads(all_) == {"stsa": best, "none": best, "wild": best}
    record = read_record(out / "search/records/none/setting0-seed2.json")
    for part in ("embedded_perceptual", "l1"):
        clips = record["scores"][part]["clips"]
        record["scores"][part]["clips"] = [2 * value for value in clips]
    place.write_json(out / "search/records/none/setting0-seed2.json", record)
    assert write_choice(out, read, ["none"]) == {"none": {"train.clip_norm": "2"}}
    again = snapshot(out / "search")
    assert json.loads(again["chosen.json"]) == json.loads(all_) | {"none": {"train.clip_norm": "2"}}
    both = zip(log.splitlines(), again["log.jsonl"].splitlines(), strict=True)
    assert [one == other for one, other in both] == [True, True, False, True, True, True]
    (out / "search/log.jsonl").write_text("hello")
    ran.clear()
    with pytest.raises(UserError, match=r"log\.jsonl: not a search's log .*delete it"):
        run_tables(settings(protocol, out, search=True))
    assert not ran


def test_an_added_variant_has_what_a_search_there_chose(ran, tmp_path):
    search = {
        "settings": [["train.clip_norm=3"], ["train.clip_norm=2"]],
        "own": {"none": [["train.ema=0.9"]], "stsa": [["bias=local"]]},
    }
    protocol, out = written(tmp_path, search=search), tmp_path / "out"
    given = {"only": "table1", "add": ["temporal"]}
    assert run_tables(settings(protocol, out, **given))
    # Until then what searches try first, and it says so.
    before = about(out)["cells"]["add-temporal"]
    assert before["chosen"] == {"train.clip_norm": "3"} and before["searched"] is False
    ran.clear()
    assert run_tables(settings(protocol, out, **given, search=True))
    # It alone is searched, as often as the others, with what is tried of `none`.
    assert ran == [f"add-temporal, setting {i}, seed 2" for i in range(3)]
    last = read_record(out / "search/records/add-temporal/setting2-seed2.json")
    assert last["environment"]["overrides"][-1] == "train.ema=0.9"
    worse = out / "search/records/add-temporal/setting0-seed2.json"
    record = read_record(worse)
    record["scores"]["l1"]["clips"] = [2 * value for value in record["scores"]["l1"]["clips"]]
    place.write_json(worse, record)
    assert run_tables(settings(protocol, out, **given, search=True))
    ran.clear()
    assert run_tables(settings(protocol, out, **given))
    chosen = {"train.clip_norm": "2"}
    after = about(out)["cells"]["add-temporal"]
    assert after["chosen"] == chosen and after["searched"] is True
    assert ran == ["add-temporal, seed 0", "add-temporal, seed 1"]  # and nothing else of before
    # What is searched alone is all that is compared with it.
    assert check(settings(protocol, out, check=True))
    assert run_tables(settings(protocol, out, only="table1"))
    assert about(out)["cells"]["add-temporal"]["chosen"] == chosen


def test_what_no_search_of_the_protocol_tries_is_not_taken_for_its_choice(tmp_path):
    protocol, out = written(tmp_path), tmp_path / "out"
    place.write_json(out / "search/chosen.json", {"add-temporal": {"train.clip_norm": "123"}})
    given = {"only": "table1", "add": ["temporal"]}
    with pytest.raises(UserError, match=r"chosen.json: add-temporal has train.clip_norm=123, whi"):
        settings(protocol, out, **given)
    settings(protocol, out, **given, search=True)  # which chooses anew
    place.write_json(out / "search/chosen.json", {"add-temporal": {"train.clip_norm": "2"}})
    assert settings(protocol, out, **given).protocol.cells["add-temporal"].searched


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["quik=true"], "quick"),
        (["only=table9"], "only=table9"),
        (["part=4/4"], "part=4/4"),
        ([f"part='{'1' * 5000}/{'2' * 5000}'"], "NUMBER/COUNT"),
        (["protocol=gone.yaml"], "gone.yaml"),
        (["protocol=tiny.yaml", "seeds=3"], "seeds=3"),
        (["protocol=tiny.yaml", "add=[stsaa]"], "stsaa"),
        (["protocol=tiny.yaml", "add=['temporal reach=3']"], "reach"),
        (["protocol=tiny.yaml", "add=['temporal seed=3']"], "add=temporal seed=3: seed=3: the"),
        (["only=table1,table1"], "table1 stands there twice"),
        (["only=[table1,table2]"], "as only=table1,table2"),
        (["protocol=tiny.yaml", "add=[temporal,temporal]"], "add=temporal: there is a cell"),
        (["protocol=tiny.yaml", "add=['temporal attn=none']"], "the row is of temporal"),
        (["six=true", "only=table1"], "six"),
        (["six=true", "add=[temporal]"], "table6"),
        (["check=true"], "protocol.json"),
        (["check=true", "part=0/2"], "check="),
        (["-m", "parts=2", "check=true"], "check=true"),
        (["--quick"], "--quick"),
        (["-m", "quick=true"], "parts=N"),
        (["-m", "parts=2", "part=0/2"], "part="),
        (["-m", "parts=2", "only=table9"], "only=table9"),
    ],
)
def test_bad_input_is_one_line_and_leaves_nothing(arguments, said, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    written(tmp_path)
    with pytest.raises(SystemExit) as status:
        commands.execute(tables.command, [*arguments, "out=out"])
    err = capsys.readouterr().err
    assert status.value.code == 2 and said in err and err.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_help_names_every_setting(capsys):
    tables.command(["--help"])
    text = capsys.readouterr().out
    assert all(f"{name}=" in text for name in SETTINGS)
    assert max(map(len, text.splitlines())) <= 100
