"""The tables' command: what it runs, what it keeps, and that a kill or a failure costs nothing."""

from __future__ import annotations

import json
import shutil
import signal
import time
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from command import command, start
from PIL import Image

from attnzoo import commands, run
from attnzoo.errors import UserError
from attnzoo.tables import __main__ as tables
from attnzoo.tables import folder as place
from attnzoo.tables.jobs import jobs_of
from attnzoo.tables.reading import read_protocol
from attnzoo.tables.run import run as run_tables
from attnzoo.tables.settings import Settings, settings_of
from attnzoo.tables.work import run_job
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
    folder = tmp_path_factory.mktemp("tables")
    protocol = written(folder)
    done = command("tables", f"protocol={protocol}", "out=out", "workers=2", cwd=folder)
    return protocol, folder / "out", done.returncode


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
        assert cost["environment"]["hardware"]
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
    described = place.described(
        tmp_path, read_protocol(protocol), ["table1"], "another command", part=False
    )
    assert list(described["tables"]) == ["table1", "table2"]
    assert described["command"].startswith("python -m attnzoo.tables protocol=")
    assert described["command"].endswith(" workers=2 && another command")
    changed = read_protocol(written(tmp_path, clips=2))
    assert list(place.described(tmp_path, changed, ["table2"], "c", part=False)["tables"]) == [
        "table2"
    ]


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
    shutil.copytree(theirs / "records/none", theirs / "records/add-temporal")  # nothing is run
    assert run_tables(settings(protocol, tmp_path / "new", **{**given, "reuse": str(theirs)}))
    copied = read_record(tmp_path / "new/records/stsa/seed1.json")
    assert copied["environment"].pop("reused") is True
    ours = read_record(out / "records/stsa/seed1.json")
    assert ours["environment"].pop("reused") is False
    assert copied == ours
    assert (tmp_path / "new/curves/stsa.json").exists() and (tmp_path / "new/clips/none").is_dir()


def test_reuse_of_another_protocol_is_refused_by_name(made, tmp_path):
    _, out, _ = made
    other = written(tmp_path, clips=2)
    with pytest.raises(UserError, match=r"reuse=.*different protocols"):
        run_tables(settings(other, tmp_path / "out", reuse=str(out)))
    with pytest.raises(UserError, match=r"no protocol\.json can be read"):
        run_tables(settings(other, tmp_path / "out", reuse=str(tmp_path)))
    assert not (tmp_path / "out").exists()


def test_the_search_tries_all_on_the_validation_part_and_takes_the_lowest(made, tmp_path):
    from attnzoo.tables.search import search_jobs, write_choice

    protocol, out, _ = made
    read = read_protocol(protocol)
    jobs = search_jobs(read, ["none", "stsa"])
    assert [job.place for job in jobs] == [
        f"search/records/{cell}/setting{i}.json" for cell in ("none", "stsa") for i in (0, 1)
    ]
    last = dict(text.split("=", 1) for text in jobs[1].overrides)
    assert last["data.part"] == "validation" and last["sample.first"] == "0"
    assert int(last["seed"]) not in read.seeds
    assert (last["train.ema"], last["train.clip_norm"]) == ("0.5", "2")
    record = read_record(out / "records/none/seed0.json")
    for job, error in zip(jobs[:3], (0.2, 0.1, 0.3), strict=True):
        record["scores"]["warp_error_1"]["clips"] = [error]
        record["scores"]["warp_error_4"]["clips"] = [error]
        place.write_json(tmp_path / job.place, record)
    place.write_error(tmp_path, jobs[3], "Diverged", "the loss is nan")
    chosen = write_choice(tmp_path, read, ["none", "stsa"])
    assert chosen == {"none": {"train.clip_norm": "2"}, "stsa": {"train.clip_norm": "1"}}
    assert json.loads((tmp_path / "search/chosen.json").read_text()) == chosen
    lines = [*map(json.loads, (tmp_path / "search/log.jsonl").read_text().splitlines())]
    assert [line["mean"] is None for line in lines] == [False, False, False, True]
    assert lines[3]["error"] == "the loss is nan"


def test_two_commands_do_not_work_in_one_folder(tmp_path):
    from attnzoo.tables.run import _alone

    def whole() -> None:
        with _alone(tmp_path, shared=False):
            pass

    part = _alone(tmp_path, shared=True)
    with part, _alone(tmp_path, shared=True), pytest.raises(UserError, match="another command"):
        whole()
    whole()


def test_parts_share_the_runs(made):
    from attnzoo.tables.run import _share

    jobs = jobs_of(read_protocol(made[0]), ["none", "stsa"])
    shares = [_share(jobs, (i, 3)) for i in range(3)]
    assert sorted(job.place for share in shares for job in share) == sorted(
        job.place for job in jobs
    )
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["quik=true"], "quick"),
        (["only=table9"], "only=table9"),
        (["part=4/4"], "part=4/4"),
        (["protocol=gone.yaml"], "gone.yaml"),
        (["protocol=tiny.yaml", "seeds=3"], "seeds=3"),
        (["protocol=tiny.yaml", "add=[stsaa]"], "stsaa"),
        (["protocol=tiny.yaml", "add=['temporal reach=3']"], "reach"),
        (["six=true", "only=table1"], "six"),
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
    from attnzoo.tables.settings import SETTINGS

    tables.command(["--help"])
    text = capsys.readouterr().out
    assert all(f"{name}=" in text for name in SETTINGS)
    assert max(map(len, text.splitlines())) <= 100
