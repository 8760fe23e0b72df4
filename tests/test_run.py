"""The main job, whole: as a user starts it, stops it, and goes on with it."""

from __future__ import annotations

import json
import pkgutil
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import av
import pytest
from command import (
    OPTIONAL,
    ROOT,
    TINY,
    WITHOUT_OPTIONAL,
    Forked,
    command,
    environment,
    finish,
    start,
)  # fmt: skip
from PIL import Image

import attnzoo
from attnzoo import commands, run
from attnzoo.config import experiments
from attnzoo.train.record import read_record
from attnzoo.train.settings import Sampling

FILES = {
    "config.yaml", "log", "loss.png", "record.json", "sample.mp4", "strip.png",
    "weights.safetensors",
}  # fmt: skip


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A finished run, made with the base dependencies alone, and the process that made it."""
    folder = tmp_path_factory.mktemp("whole")
    done = command("run", "attn=stsa", "size=[2,4,4]", *TINY, cwd=folder, code=WITHOUT_OPTIONAL)
    assert done.returncode == 0, done.stderr
    (made,) = folder.glob("outputs/*/*")
    return made, done


def scores(folder: Path) -> dict[str, float | None]:
    return {name: score["value"] for name, score in read_record(folder)["scores"].items()}


def stages(folder: Path) -> list[object]:
    record = read_record(folder)
    return [record["training"][stage]["loss"] for stage in ("stage1", "stage2")]


def test_a_run_leaves_its_files_and_a_table(whole):
    folder, done = whole
    assert folder.parent.name == "stsa"
    assert {p.name for p in folder.iterdir() if p.is_file()} == FILES
    assert {p.name for p in folder.iterdir() if p.is_dir()} <= {"checkpoints"}
    assert not [p for p in folder.parents[2].iterdir() if p.name != "outputs"]
    with Image.open(folder / "strip.png") as strip, Image.open(folder / "loss.png") as loss:
        assert min(strip.size + loss.size) > 100
    with av.open(str(folder / "sample.mp4")) as video:
        assert sum(1 for _ in video.decode(video=0)) == 2 * 4
    lines = done.stdout.splitlines()
    assert lines[0].startswith("stsa size=[2,4,4]") and "noise shared/shared" in lines[0]
    assert lines[-1].startswith(f"outputs/stsa/{folder.name}: ")
    assert all(name in lines[-1] for name in FILES)
    assert "SSIM" in done.stdout and len(lines) < 30
    assert done.stdout.strip().splitlines()[-1] in (folder / "log").read_text()


def test_progress_shows_loss_and_speed(whole):
    assert "loss" in whole[1].stderr and "frames/s" in whole[1].stderr


def test_the_record_says_what_was_run(whole):
    record = read_record(whole[0])
    assert record["options"]["size"] == [2, 4, 4]
    assert record["data"]["settings"]["frames"] == 4
    assert record["noise"] == {"training": "shared", "sampling": "shared"}
    assert record["environment"]["versions"]["torch"] and record["environment"]["hardware"]
    assert record["profile"]["forward"]["flops"] > 0
    assert record["profile"]["module"]["forward"]["peak_memory_bytes"] > 0
    assert record["training"]["stage1"]["steps"] == 12
    for score in record["scores"].values():
        assert score["value"] is not None or score["reason"]


def test_a_finished_run_says_so(whole):
    folder = whole[0]
    before = (folder / "record.json").read_bytes()
    (folder / "checkpoints/stage2-000001").mkdir(parents=True)  # it was killed behind its record
    (folder / ".lock").touch()
    done = command("run", f"resume={folder}", cwd=folder.parent)
    assert (done.returncode, done.stderr) == (0, "")
    assert "is finished" in done.stdout and folder.name in done.stdout
    assert (folder / "record.json").read_bytes() == before
    assert not (folder / "checkpoints").exists() and not (folder / ".lock").exists()


def test_a_new_run_is_refused_where_a_record_lies(whole):
    folder = whole[0]
    files = sorted(folder.rglob("*"))
    done = command("run", *TINY, f"hydra.run.dir={folder}", cwd=folder.parent)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1 and str(folder) in done.stderr
    assert sorted(folder.rglob("*")) == files


@pytest.fixture(scope="module")
def stopped(tmp_path_factory):
    """A folder whose run was terminated after a checkpoint."""
    folder = tmp_path_factory.mktemp("stopped")
    process = start(
        "run", "attn=stsa", "size=[2,4,4]", *TINY, "train.checkpoint_seconds=0",
        "hydra.run.dir=here", cwd=folder,
    )  # fmt: skip
    wait_for(process, folder / "here", "checkpoints/stage1-000002")
    process.send_signal(signal.SIGTERM)
    done = finish(process)
    assert done.returncode == 143, done.stderr
    return folder


def wait_for(process: Forked, folder: Path, name: str) -> None:
    until = time.monotonic() + 120
    while not (folder / name).exists() and process.poll() is None and time.monotonic() < until:
        time.sleep(0.01)
    assert process.poll() is None, process.communicate()


def test_a_terminated_run_leaves_no_record(stopped):
    folder = stopped / "here"
    assert {"config.yaml", "log", "checkpoints"} >= {p.name for p in folder.iterdir()}
    assert "checkpoint_seconds: 0.0" in (folder / "config.yaml").read_text()


def test_a_resumed_run_refuses_other_settings(stopped, monkeypatch, capfd):
    monkeypatch.chdir(stopped)
    before = sorted(stopped.rglob("*"))
    for override in ("seed=1", "attn=none", "size=[4,4,4]", "hydra.run.dir=there", "+a=1", "~seed"):
        with pytest.raises(SystemExit) as exit_:
            commands.execute(run.command, ["resume=here", override])
        assert exit_.value.code == 2
        err = capfd.readouterr().err
        assert err.count("\n") == 1 and override in err
    assert sorted(stopped.rglob("*")) == before


def test_a_resumed_run_ends_as_the_undisturbed_one(stopped, whole, tmp_path):
    # From another folder, with what may differ differing, and with the optional packages.
    folder = tmp_path / "moved"
    shutil.copytree(stopped / "here", folder)
    done = command(
        "run", f"resume={folder}", "workers=1", "device=auto", "hydra.verbose=false",
        cwd=tmp_path, CUDA_VISIBLE_DEVICES="",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert read_record(folder)["training"]["resumed"] == 1
    assert stages(folder) == stages(whole[0])
    ours, theirs = scores(folder), scores(whole[0])
    ours.pop("lpips"), theirs.pop("lpips")  # the optional package, where it has its weights
    assert ours == pytest.approx(theirs)
    assert not [p for p in tmp_path.iterdir() if p != folder]


def test_an_interrupted_run_ends_with_130_and_no_new_one_takes_its_folder(tmp_path):
    arguments = ("run", "attn=none", *TINY, "train.checkpoint_seconds=0", "hydra.run.dir=here")
    process = start(*arguments, cwd=tmp_path)
    wait_for(process, tmp_path / "here", "checkpoints/stage1-000001")
    process.send_signal(signal.SIGINT)
    done = finish(process)
    assert done.returncode == 130
    last = "interrupted; to go on: python -m attnzoo.run resume=here\n"
    assert "Traceback" not in done.stderr and done.stderr.endswith(last)
    assert not (tmp_path / "here/record.json").exists()
    there = sorted((tmp_path / "here").rglob("*"))
    config = (tmp_path / "here/config.yaml").read_text()
    again = command(*arguments, "train.stage1.steps=1", cwd=tmp_path)
    said = "holds an unfinished run; resume=here goes on with it, or take another folder\n"
    assert again.returncode == 2 and again.stderr.endswith(said), again.stderr
    assert again.stderr.count("\n") == 1
    assert sorted((tmp_path / "here").rglob("*")) == there
    assert (tmp_path / "here/config.yaml").read_text() == config


def test_a_module_is_named_again_where_a_run_says_how_to_go_on(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    alone = SimpleNamespace(count=1)
    told = {}
    for plugins in ((), ("/a/mine.py",), ("/a/mine.py", "my.pkg")):
        with (
            pytest.raises(KeyboardInterrupt),
            run._saying_how_to_go_on(tmp_path / "out", alone, plugins),
        ):
            raise KeyboardInterrupt
        told[plugins] = commands._going_on.pop().removeprefix("to go on: python -m attnzoo.run ")
    assert [*told.values()] == [
        "resume=out", "resume=out", "resume=out '+plugins=[/a/mine.py,my.pkg]'",
    ]  # fmt: skip


def test_a_folder_without_a_checkpoint_starts_over(stopped, tmp_path):
    folder = tmp_path / "here"
    folder.mkdir()
    text = (stopped / "here/config.yaml").read_text().replace("steps: 12", "steps: 1")
    (folder / "config.yaml").write_text(text)
    done = command("run", "resume=here", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    record = read_record(folder)
    assert record["training"]["resumed"] == 0 and record["training"]["stage1"]["steps"] == 1


@pytest.mark.long
def test_a_sweep_leaves_a_record_for_each_job(tmp_path):
    done = command(
        "run", "-m", "attn=none,temporal", *TINY, "train.stage1.steps=1", "train.stage2.steps=1",
        cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = [read_record(p.parent) for p in tmp_path.glob("outputs/*/*/record.json")]
    assert sorted(r["variant"] for r in found) == ["none", "temporal"]
    assert all(f"outputs/{r['variant']}/" in done.stdout for r in found)


def test_importing_the_package_imports_nothing_heavy():
    code = (
        "import sys, attnzoo, attnzoo.errors\n"
        "assert attnzoo.UserError\n"
        "heavy = 'torch hydra omegaconf matplotlib numpy diffusers torchvision'.split()\n"
        "print(sorted(set(heavy) & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment(), cwd=ROOT, capture_output=True, text=True
    )
    assert (done.stdout, done.stderr) == ("[]\n", "")


# The heavy libraries are imported once; each module then in a process forked from there, as the
# first of the package and with the base dependencies alone. Prints what does not import, and
# whether a module brings Hydra along.
EACH_MODULE = """
import json, os, sys, traceback
import numpy, scipy.linalg, scipy.stats, torch, diffusers, accelerate, einops, cv2, av, PIL.Image
import jinja2, matplotlib.pyplot, pandas, seaborn
from diffusers import ControlNetModel, DDIMScheduler, DDPMScheduler, UNet2DConditionModel
names = json.loads(sys.argv[1])
found = {}
for name in names:
    read, write = os.pipe()
    if os.fork() == 0:
        try:
            before = {m.split(".")[0] for m in sys.modules}
            __import__(name)
            brought = {m.split(".")[0] for m in sys.modules} - before
            result = sorted(brought & {"hydra", "omegaconf"})
        except BaseException:
            result = traceback.format_exc()
        os.write(write, json.dumps(result).encode()[:4000])
        os._exit(0)
    os.close(write)
    os.wait()
    found[name] = json.loads(os.read(read, 4000))
    os.close(read)
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def imported():
    names = [m.name for m in pkgutil.walk_packages(attnzoo.__path__, "attnzoo.")]
    assert len(names) > 40
    # What is forked ends without saving what it went through; measuring it would only cost time.
    unmeasured = {k: v for k, v in environment().items() if not k.startswith("COVERAGE_PROCESS")}
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_OPTIONAL + EACH_MODULE, json.dumps(names)],
        env=unmeasured, cwd=ROOT, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_every_module_imports_alone_with_the_base_dependencies(imported):
    assert not {name: found for name, found in imported.items() if isinstance(found, str)}


def test_only_config_and_commands_bring_hydra(imported):
    above = {
        "attnzoo.config", "attnzoo.overrides", "attnzoo.composing", "attnzoo.application",
        "attnzoo.stored", "attnzoo.grammar", "attnzoo.run", "attnzoo.plan", "attnzoo.prepare",
        "attnzoo.sample", "attnzoo.bench.__main__",
    }  # fmt: skip
    bring = {name for name, found in imported.items() if "hydra" in found}
    # The tables are a command with a room of its own, which composes runs.
    assert {name for name in bring if not name.startswith("attnzoo.tables.")} == above


def test_the_optional_packages_are_hidden_where_that_is_said():
    code = WITHOUT_OPTIONAL + (
        "import importlib.util\n"
        f"print([n for n in {OPTIONAL} if importlib.util.find_spec(n) is not None])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout == "[]\n"


def test_experiments_lie_beside_the_package_or_in_it():
    assert (experiments() / "experiment" / "quick.yaml").is_file()


def test_fewer_test_clips_than_were_asked_for_are_told_of(caplog):
    run._tell_of_few(Sampling(clips=2, first=1), there=3)
    assert not caplog.text
    run._tell_of_few(Sampling(clips=2, first=2), there=3)
    assert "sample.clips=2: from clip 2 on the test part has 1, which are scored" in caplog.text
