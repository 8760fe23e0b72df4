"""What commands say and how they exit: one line and status 2 for whatever is wrong."""

from __future__ import annotations

import contextlib
import errno
import gc
import importlib
import logging
import os
import re
import signal
import subprocess
import sys
import time
import warnings
from pathlib import Path

import av
import numpy as np
import pytest
from command import command, environment

from attnzoo import __main__ as dispatcher
from attnzoo import check, commands, config, new, registry, run
from attnzoo import list as listing
from attnzoo.errors import UserError

importlib.import_module("attnzoo.train.experiment")  # what a check may import: it is timed below

# `attnzoo.show` is the function.
MAIN = {
    "run": run.command,
    "list": listing.command,
    "show": importlib.import_module("attnzoo.show").command,
    "new": new.command,
    "check": check.command,
}


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("HYDRA_FULL_ERROR", raising=False)


@pytest.fixture
def job(monkeypatch):
    """Puts a function in the place of what `run` does with a configuration."""

    def put(task):
        task.__module__ = run.__name__
        monkeypatch.setattr(run, "_run", task)

    return put


@pytest.fixture
def composed(job):
    """Configurations that `run` would have started with; none is."""
    started = []
    job(lambda cfg: started.append(cfg))
    return started


def status(*arguments: str, name: str = "run") -> int:
    with pytest.raises(SystemExit) as exit_:
        commands.execute(MAIN[name], arguments)
    return exit_.value.code


def clip(path: Path, frames: int) -> Path:
    with av.open(str(path), "w") as file:
        stream = file.add_stream("libx264", rate=8)
        stream.width = stream.height = 64
        for i in range(frames):
            picture = np.full((64, 64, 3), 10 * i, np.uint8)
            file.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        file.mux(stream.encode())
    return path


@pytest.fixture
def videos(tmp_path):
    clip(tmp_path / "short.mp4", 5)
    (tmp_path / "empty.mp4").touch()
    (tmp_path / "broken.mp4").write_bytes(clip(tmp_path / "whole.mp4", 20).read_bytes()[:300])
    (tmp_path / "file").touch()
    return tmp_path


# Arguments, and what the one line must say: the value, and what would be right.
WRONG = [
    ("attn=stas", "'stas'", "did you mean 'stsa'"),
    ("attn=", "''", "crossframe_all, crossframe_first"),
    ("attn=[stsa,none]", "attn=[stsa,none]", "-m attn=stsa,none"),
    ("attn=stsa,none", "attn=stsa,none", "-m attn=stsa,none"),
    ("size=[0,4,4]", "[0,4,4]", "positive"),
    ("size=[-8,4,4]", "[-8,4,4]", "positive"),
    ("size=[4,4]", "[4,4]", "3 values"),
    ("size=[4,4,4,4]", "[4,4,4,4]", "3 values"),
    ("size=8", "size=8", "[int, int, int]"),
    ("size=[8,4.5,4]", "[8,4.5,4]", "[int, int, int]"),
    ("size=[8,four,4]", "[8,four,4]", "[int, int, int]"),
    ("size=null", "size=", "[int, int, int]"),
    ("size=[8,4,4", "size=[8,4,4", "key=value"),
    ("attn=none size=[8,4,4]", "'size'", "attn=none has no option"),
    ("attn.sizes=[8,4,4]", "'sizes'", "did you mean 'size'"),
    ("+attn.sizes=[8,4,4]", "'sizes'", "did you mean 'size'"),
    ("shift=true", "shift", "stack=declared|flat"),
    ("sed=1", "'sed'", "did you mean 'seed'"),
    ("+sed=1", "'sed'", "did you mean 'seed'"),
    ("train.stage1.stps=3", "'train.stage1.stps'", "did you mean 'steps'"),
    ("train.stage3.steps=3", "'train.stage3.steps'", "did you mean 'stage1'|'stage2'"),
    ("+train.foo=3", "'train.foo'", "stage1, stage2"),
    ("data.sise=64", "'data.sise'", "did you mean 'size'"),
    ("hydra.foo=1", "'hydra.foo'", "job_logging"),
    ("seed=one", "seed=one", "Integer"),
    ("seed=-1", "seed=-1", "at least 0"),
    ("train.stage1.steps=-5", "train.stage1.steps=-5", "at least 0"),
    ("train.accumulate=1000000000", "train.accumulate=1000000000", "at most 65536"),
    ("train.stage1.steps=1000000000000", "train.stage1.steps=1000000000000", "at most"),
    ("train.stage2.warmup=1000000000000", "train.stage2.warmup=1000000000000", "at most"),
    ("sample.fps=3000000000", "sample.fps=3000000000", "at most 1000"),
    ("noise=some", "noise=some", "[shared, half, independent]"),
    ("slots=every", "slots=every", "[attention, all, inside]"),
    ("stack=tall", "stack=tall", "[declared, flat]"),
    ("precision=fp8", "precision=fp8", "[fp32, bf16, fp16]"),
    ("device=cpu precision=fp16", "precision=fp16", "bf16 or fp32"),
    ("device=tpu", "device=tpu", "auto, cpu, cuda"),
    ("data=tiktak", "data=tiktak", "did you mean 'tiktok'"),
    ("data.size=63", "data.size=63", "multiple of 8"),
    ("data.camera=shaky", "data.camera=shaky", "[still, moving]"),
    ("data=video", "data.path", "data.path=VALUE"),
    ("data.name=video", "data.name=video", "chosen by data=video"),
    ("model.name=stable_diffusion", "model.name=stable_diffusion", "by model=stable_diffusion"),
    ("data=video data.path=gone.mp4", "gone.mp4", "give a video"),
    ("data=video data.path=empty.mp4", "empty.mp4", ""),
    ("data=video data.path=broken.mp4", "broken.mp4", ""),
    ("data=video data.path=file", "file", ""),
    ("data=video data.path=short.mp4", "5 frames", "data.short=loop"),
    ("data=video data.path=1_0", "data.path=1_0", "in quotes"),
    ("data=video data={path:1_0}", "data={path:1_0}", "in quotes"),
    ("-m data=video data.path=x,1_0", "data.path=x,1_0", "in quotes"),
    ("data=video data.path=true", "data.path=true", "in quotes"),
    ("hydra.run.dir=2026_01_31", "read as 20260131", "in quotes"),
    ("resume=1e3", "resume=1e3", "in quotes"),
    ("data=tiktok data.path=gone", "gone", ""),
    ("hydra.run.dir=file/below", "hydra.run.dir=file/below", "another folder"),
    ("hydra.job.chdir=true", "hydra.job.chdir=true", "lead nowhere"),
    ("+experiment=quik", "experiment=quik", "did you mean 'quick'"),
    ("experiment=quick", "experiment=", "+experiment=NAME"),
    ("resume=gone", "resume=gone", "folder of an earlier run"),
    ("resume=.", "config.yaml", "folder of an earlier run"),
    ("resume=. seed=1", "seed=1", "device, workers, tracker"),
    ("-m resume=.", "resume=.", "not with -m"),
    ("-m seed=0,1 hydra.sweep.dir=sw hydra.sweep.subdir=x", "hydra.sweep.subdir=x", "job.num"),
    ("-m seed=0,1 hydra.sweep.subdir=${attn.name}", "hydra.sweep.subdir=stsa", "job.num"),
    ("-m attn=stsa,nune", "'nune'", "did you mean 'none'"),
    ("-m attn=stsa,none size=[8,4,4]", "'size'", "attn=none has no option"),
    ("-m attn=stsa size=[8,4,4],[8,4]", "[8,4]", "3 values"),
    ("-m attn=glob(x*)", "attn=glob(x*)", "no name matches"),
    ("-m seed=0,-1", "seed=-1", "at least 0"),
    ("--cfg job sed=1", "'sed'", "did you mean 'seed'"),
    ("--config-dir gone", "gone", "no such folder"),
    ("--fast", "--fast", "--help"),
    ("--resolve", "--resolve", "--cfg"),
    ("--package train", "--package", "--cfg"),
    ("--resolve --hydra-help", "--resolve", "--cfg"),
    ("-m --cfg job", "--multirun --cfg", "one of them"),
    ("-r -m seed=0,1", "--run --multirun", "one of them"),
    ("--info plugins --cfg job", "--cfg --info", "one of them"),
    ("--shell-completion", "--shell-completion", "install=SHELL"),
    ("--shell-completion install=dash", "--shell-completion", "No completion plugin for 'dash'"),
    ("--cfg job --package nosuch", "--package nosuch", "there are: attn"),
    ("--cfg job --package hydra", "--package hydra", "--cfg job"),
    ("--cfg hydra --package train", "--package train", "there are: hydra"),
    ("--info all sed=1", "'sed'", "did you mean 'seed'"),
    ("hydra.job_logging.root.level=LOUD", "hydra.job_logging.root.level=LOUD", "WARNING"),
    ("hydra.hydra_logging.root.level=LOUD", "hydra.hydra_logging.root.level=LOUD", "WARNING"),
    ("hydra.job_logging.loggers.accelerate.level=loud", "accelerate.level=loud", "WARNING"),
    (f"seed={'9' * 5000}", "seed=999", "4300 digits"),
    (f"seed=int({'9' * 5000})", "seed=int(999", "4300 digits"),
    # How deep is too deep depends on what else was imported: some libraries raise Python's limit.
    (f"size={'[' * 500}1{']' * 500}", "size=[[[", "too deep'|'must be [int, int, int]"),
    ("-m seed=range(0,inf)", "seed=range(0,inf)", "without end"),
    ("-m seed=range(0,1,0)", "seed=range(0,1,0)", "without end"),
    ("-m seed=range(0,1000000000000)", "seed=range(0,1000000000000)", "10000 values"),
    ("-m seed=range(0,9999) workers=range(0,256)", "2559744 runs", "at most 10000"),
    ("size", "size", "key=value"),
    ("=3", "=3", "key=value"),
]  # fmt: skip


@pytest.mark.parametrize(("line", "value", "right"), WRONG, ids=[row[0][:80] for row in WRONG])
def test_bad_input_is_one_line_and_status_2(line, value, right, videos, composed, capfd):
    before = sorted(videos.rglob("*"))
    started = time.process_time()
    assert status(*line.split()) == commands.BAD_INPUT
    assert time.process_time() - started < 5
    out, err = capfd.readouterr()
    assert err.count("\n") == 1 and err.endswith("\n") and not out
    assert value in err
    assert any(words in err for words in right.split("'|'")), err
    assert "Traceback" not in err and not composed
    assert sorted(videos.rglob("*")) == before, "bad input leaves nothing behind"


def test_in_a_process_of_its_own_too_within_5_seconds_of_the_imports(tmp_path):
    clock = (
        "import atexit, time, attnzoo.run, attnzoo.train.experiment\n"
        "began = time.process_time()\n"
        "atexit.register(lambda: print(time.process_time() - began))"
    )
    done = command("run", "attn=stsa", "size=[0,4,4]", cwd=tmp_path, code=clock)
    assert done.returncode == 2
    assert re.fullmatch(r"[^\n]*\[0,4,4\][^\n]*\n", done.stderr)
    assert float(done.stdout) < 5
    assert not list(tmp_path.iterdir())


def test_the_traceback_is_shown_when_asked_for(monkeypatch, capfd):
    monkeypatch.setenv("HYDRA_FULL_ERROR", "1")
    assert status("seed=one") == commands.BAD_INPUT
    assert "Traceback" in capfd.readouterr().err


def test_hydras_own_switch_is_as_it_was_afterwards(composed, monkeypatch):
    assert status("attn=none") == 0
    assert not commands.full_error()
    monkeypatch.setenv("HYDRA_FULL_ERROR", "0")
    assert status("attn=none") == 0
    assert not commands.full_error()


def test_a_missing_device_is_named(composed, monkeypatch, capfd):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert status("device=cuda") == commands.BAD_INPUT
    assert re.fullmatch(r"device=cuda: [^\n]*device=cpu[^\n]*\n", capfd.readouterr().err)


def test_a_tracker_that_is_not_installed_is_named(composed, monkeypatch, capfd):
    monkeypatch.setattr("attnzoo.train.device.importlib.util.find_spec", lambda name: None)
    assert status("tracker=tensorboard") == commands.BAD_INPUT
    assert "attnzoo[logging]" in capfd.readouterr().err


def test_a_folder_with_a_record_is_refused(composed, tmp_path, capfd):
    (tmp_path / "done").mkdir()
    (tmp_path / "done/record.json").write_text("{}")
    assert status("hydra.run.dir=done") == commands.BAD_INPUT
    assert re.fullmatch(r"hydra.run.dir=done: [^\n]* another folder\n", capfd.readouterr().err)


def test_weights_without_a_record_are_not_written_over(composed, tmp_path, capfd):
    (tmp_path / "own").mkdir()
    (tmp_path / "own/weights.safetensors").write_bytes(b"mine")
    assert status("hydra.run.dir=own") == commands.BAD_INPUT
    said = capfd.readouterr().err
    assert re.fullmatch(r"hydra.run.dir=own: holds weights.safetensors [^\n]*folder\n", said)
    assert (tmp_path / "own/weights.safetensors").read_bytes() == b"mine"


def test_a_wrong_configuration_in_a_folder_is_one_line(composed, tmp_path, capfd):
    for text in ("attn: [", "seed: 1", "attn: {name: none}\ndata: {name: embedded}\nfoo: 1"):
        (tmp_path / "config.yaml").write_text(f"{text}\n{config.END}")
        assert status("resume=.") == commands.BAD_INPUT
        assert capfd.readouterr().err.count("\n") == 1


def test_the_short_form_is_the_option_of_the_variant(composed):
    assert status("attn=stsa", "size=[8,4,4]") == 0
    assert status("size=[8,4,4]") == 0
    assert status("attn=temporal", "positions=sinusoidal") == 0
    assert status("attn.size=[2,2,2]", "size=[8,4,4]") == 0
    assert [list(cfg.attn.get("size", [])) for cfg in composed] == [[8, 4, 4]] * 2 + [[], [8, 4, 4]]
    assert composed[2].attn.positions.name == "sinusoidal"


def test_an_option_named_like_a_setting_needs_its_prefix(composed):
    entry = registry.get("none")

    class Noisy(entry.cls):
        def __init__(self, channels: int, heads: int, *, noise: int = 3) -> None:
            super().__init__(channels, heads)

    with registry.preserved():
        registry.register("noisy", title="t", source="s", kind=entry.kind, cost="0")(Noisy)
        assert status("attn=noisy", "noise=half", "attn.noise=4") == 0
    assert composed[0].noise.name == "half" and composed[0].attn.noise == 4


def test_runs_of_a_sweep_have_the_folders_that_they_are_given(composed, tmp_path, capfd):
    line = ["-m", "seed=0,1", "hydra.sweep.dir=sw", "hydra.sweep.subdir=${seed}"]
    assert status(*line) == 0 and len(composed) == 2
    assert sorted(p.parent.name for p in tmp_path.glob("sw/*/log")) == ["0", "1"]
    (tmp_path / "sw/1/record.json").touch()
    assert status(*line) == commands.BAD_INPUT and len(composed) == 2
    assert "sw/1: holds the record of a finished run" in capfd.readouterr().err


def test_a_path_that_is_a_number_is_itself_where_it_reads_so(composed):
    assert status("hydra.run.dir=2026") == 0 and Path("2026").is_dir()
    assert status("hydra.run.dir='2026_01_31'") == 0 and Path("2026_01_31").is_dir()


def test_a_sweep_runs_every_combination_in_a_folder_of_its_own(composed, tmp_path):
    assert status("-m", "attn=none,stsa", "seed=0,1,2") == 0
    assert [(c.attn.name, c.seed) for c in composed] == [
        (name, seed) for name in ("none", "stsa") for seed in (0, 1, 2)
    ]
    folders = [path.parent for path in tmp_path.glob("outputs/*/*/log")]
    assert len(folders) == 6 and {f.parent.name for f in folders} == {"none", "stsa"}


@pytest.mark.long
def test_a_sweep_goes_over_options_and_globs(composed):
    assert status("-m", "size=[8,4,4],[4,4,4]") == 0
    assert status("-m", "attn=glob(crossframe*)") == 0
    assert [list(c.attn.size) for c in composed[:2]] == [[8, 4, 4], [4, 4, 4]]
    assert [c.attn.name for c in composed[2:]] == registry.list_variants("crossframe*")


def test_what_fails_inside_a_job_is_one_line_and_in_a_sweep_says_which(job, capfd):
    def task(cfg):
        raise UserError(f"seed {cfg.seed}\nwill not do")

    job(task)
    assert status("seed=4") == commands.BAD_INPUT
    assert capfd.readouterr().err == "seed 4 will not do\n"
    assert status("-m", "seed=4") == commands.BAD_INPUT
    assert capfd.readouterr().err.splitlines()[-1] == "seed 4 will not do"


def test_a_fault_of_the_program_is_no_bad_input(job):
    def task(cfg):
        raise ZeroDivisionError

    job(task)
    with pytest.raises(ZeroDivisionError):
        commands.execute(run.command, ["attn=none"])


@pytest.mark.parametrize("name", ["list", "show", "new", "check", "run"])
def test_help_works_and_that_of_run_lists_the_variants(name, capfd):
    assert status("--help", name=name) == 0
    out = capfd.readouterr().out
    assert len(out) > 100
    if name == "run":
        for variant in registry.list_variants():
            assert re.search(rf"^  {variant} +\S", out, re.MULTILINE), variant
        assert "data: embedded, tiktok, video" in out and "size" in out
        assert "+experiment=quick" in out


def test_help_and_cfg_take_overrides(capfd):
    assert status("--cfg", "job", "attn=stsa", "size=[8,4,4]") == 0
    out = capfd.readouterr().out
    assert re.search(r"size:\n  - 8\n  - 4\n  - 4", out)


@pytest.fixture
def logged():
    """What Hydra's flags have logged in every detail is not in the tests that come later."""
    level = logging.getLogger().level
    yield
    logging.getLogger().setLevel(level)


@pytest.mark.usefixtures("logged")
@pytest.mark.parametrize(
    "line",
    [
        "--cfg job --resolve", "--cfg job --package train.stage1", "--cfg all -p hydra.run",
        "--cfg job -p _global_", "--help -p train", "--help --resolve",
        "--info searchpath", "--hydra-help", "-r seed=1",
        "hydra.job_logging.root.level=DEBUG", "hydra.job_logging.root.level=10",
    ],
)  # fmt: skip
def test_flags_that_go_together(line, composed, capfd):
    assert status(*line.split()) == 0


def test_settings_of_logging_that_cannot_be_are_one_line(composed, capfd):
    for setting in ("root.level=[1]", "handlers.console.class=Nobodys", "+handlers.more=3"):
        plus, name = ("+", setting[1:]) if setting[0] == "+" else ("", setting)
        assert status(f"{plus}hydra.job_logging.{name}") == commands.BAD_INPUT
        assert capfd.readouterr().err.startswith("hydra.job_logging") and not composed
    with warnings.catch_warnings():
        # The handlers that were made before the one that cannot be are nobody's.
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()


def test_what_a_task_raises_is_its_own_fault(job):
    def task(cfg):
        raise ValueError("Unable to configure")

    job(task)
    with pytest.raises(ValueError, match="Unable"):
        commands.execute(run.command, ["attn=none"])


BOMB = "\n".join(
    [
        "# @package _global_",
        "a0: &a0 [x]",
        *(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 12)),
    ]
)


@pytest.mark.usefixtures("logged")
@pytest.mark.parametrize("flags", ["", "--cfg job", "--info config", "--hydra-help"])
def test_settings_that_aliases_make_endless_are_refused(flags, composed, tmp_path, capfd):
    (tmp_path / "s/experiment").mkdir(parents=True)
    (tmp_path / "s/experiment/bomb.yaml").write_text(BOMB)
    line = f"{flags} --config-dir s +experiment=bomb"
    assert status(*line.split()) == commands.BAD_INPUT
    err = capfd.readouterr().err
    assert err.count("\n") == 1 and "bomb.yaml" in err and "aliases written out" in err


def test_list_prints_names_and_titles(capfd):
    assert status(name="list") == 0
    lines = capfd.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == registry.list_variants()
    assert all(registry.get(line.split()[0]).title in line for line in lines)
    assert status("crossframe*", "--names", name="list") == 0
    assert capfd.readouterr().out.split() == registry.list_variants("crossframe*")
    assert status("x*", name="list") == commands.BAD_INPUT
    assert "'x*'" in capfd.readouterr().err


def test_show_prints_all_of_a_variant(capfd):
    assert status("stsa", name="show") == 0
    assert capfd.readouterr().out.strip() == registry.show("stsa")
    assert status("stas", name="show") == commands.BAD_INPUT
    assert "'stsa'" in capfd.readouterr().err
    assert status(name="show") == commands.BAD_INPUT
    assert capfd.readouterr().err.count("\n") == 1


@pytest.mark.parametrize("line", ["align gone --out", "flow gone --out", "show none --picture"])
def test_a_file_where_a_folder_is_to_be_written_is_told_first(line, tmp_path, capfd):
    (tmp_path / "file").touch()
    with pytest.raises(SystemExit) as exit_:
        dispatcher.main([*line.split(), "file/below"])
    assert exit_.value.code == commands.BAD_INPUT
    out, err = capfd.readouterr()
    assert "file/below: cannot be written (Not a directory); take another folder" in err
    assert not out


def test_list_and_show_take_plugins(tmp_path, capfd):
    source = Path(sys.modules[registry.get("none").cls.__module__].__file__).read_text()
    (tmp_path / "mine.py").write_text(re.sub(r'"none"', '"mine"', source, count=1))
    with registry.preserved():
        assert status("--plugin", "mine.py", "mi*", name="list") == 0
        assert status("--plugin", "mine.py", "mine", name="show") == 0
    assert capfd.readouterr().out.count("mine") >= 2
    assert status("--plugin", "gone.py", name="list") == commands.BAD_INPUT


@pytest.mark.long
def test_both_spellings_of_a_command_are_the_same(tmp_path):
    one = command("list", "--names", cwd=tmp_path)
    code = "import runpy\nrunpy.run_module('attnzoo.list', run_name='__main__', alter_sys=True)"
    other = command("--names", cwd=tmp_path, code=code)
    assert (one.returncode, one.stderr) == (other.returncode, other.stderr) == (0, "")
    assert one.stdout.split() == other.stdout.split() == registry.list_variants()


def test_every_command_of_the_dispatcher_exists(capfd):
    for name in dispatcher.COMMANDS:
        with contextlib.suppress(SystemExit):
            dispatcher.command([name, "--help"])
        assert name in capfd.readouterr().out
    for arguments in ([], ["--help"]):
        dispatcher.command(arguments)
        out = capfd.readouterr().out
        assert all(re.search(rf"^  {name} ", out, re.MULTILINE) for name in dispatcher.COMMANDS)
    with pytest.raises(UserError, match="did you mean 'list'"):
        dispatcher.command(["lisst"])


def test_a_reader_that_goes_away_is_no_error(tmp_path):
    code = "import os\nr, w = os.pipe()\nos.close(r)\nos.dup2(w, 1)"
    done = command("list", cwd=tmp_path, code=code)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_name_that_is_no_text_is_printed_by_its_bytes(tmp_path):
    code = (
        "import os, sys\nfrom attnzoo import commands\n"
        "def said(arguments):\n"
        "    print(os.fsdecode(b'o\\xff'))\n"
        "    print(os.fsdecode(b'e\\xff'), file=sys.stderr)\n"
        "commands.execute(said, [])"
    )
    strict = environment(PYTHONIOENCODING="utf-8:strict")
    done = subprocess.run([sys.executable, "-c", code], env=strict, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "o\\udcff\n", "e\\udcff\n")


@pytest.mark.parametrize(
    ("raised", "code"), [(KeyboardInterrupt, 130), (SystemExit(143), 143), (UserError("no"), 2)]
)
def test_statuses(raised, code):
    def failing(arguments):
        raise raised

    with pytest.raises(SystemExit) as exit_:
        commands.execute(failing, [])
    assert exit_.value.code == code


@pytest.mark.parametrize(
    ("cause", "code", "said"),
    [
        (OSError(errno.EMFILE, "Too many open files", "a"), 74, "Too many open files: a"),
        (OSError(errno.ENOSPC, "No space left on device"), 74, "No space left on device"),
        (MemoryError(), 2, "out=x: cannot be written"),
        (OSError(errno.EACCES, "Permission denied"), 2, "out=x: cannot be written"),
        (OSError(errno.EROFS, "Read-only file system"), 2, "out=x: cannot be written"),
        (ValueError("No space left on device"), 2, "out=x: cannot be written"),
        (None, 2, "out=x: cannot be written"),
    ],
)
def test_a_lack_of_the_machine_is_no_bad_input_though_a_reader_took_it_for_one(
    capsys, cause, code, said
):
    def writes(arguments):
        raise UserError("out=x: cannot be written") from cause

    with pytest.raises(SystemExit) as exit_:
        commands.execute(writes, [])
    assert exit_.value.code == code and capsys.readouterr().err == f"{said}\n"


@pytest.mark.parametrize("kind", [UserError, ValueError])
def test_an_error_that_is_its_own_cause_ends_all_the_same(kind):
    """OmegaConf's is where it is traced, as by a debugger, or with OC_CAUSE=1."""

    def fails(arguments):
        first, second = ValueError("first"), ValueError("second")
        first.__cause__, second.__cause__ = second, first
        raise kind("no") from first

    if kind is UserError:
        assert ended(fails) == commands.BAD_INPUT
    else:
        with pytest.raises(ValueError, match="no"):
            commands.execute(fails, [])


def test_with_the_causes_of_omegaconf_too(tmp_path):
    text = "attn: {name: none}\ndata: {name: embedded}\nfoo: 1"
    (tmp_path / "config.yaml").write_text(f"{text}\n{config.END}")
    shown = command("run", "resume=.", cwd=tmp_path, OC_CAUSE="1")
    assert shown.returncode == 2 and shown.stderr.count("\n") == 1


def test_no_room_for_what_is_printed_is_a_lack(tmp_path):
    arguments = [sys.executable, "-m", "attnzoo", "list"]
    with open("/dev/full", "w") as full:
        done = subprocess.run(arguments, stdout=full, stderr=subprocess.PIPE, text=True)
    assert done.returncode == 74 and done.stderr == "No space left on device\n"


def ended(command_):
    """The status with which it ends; handlers of signals are what they were."""
    before = {one: signal.getsignal(one) for one in (signal.SIGTERM, signal.SIGINT)}
    try:
        with pytest.raises(SystemExit) as exit_:
            commands.execute(command_, [])
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)
    return exit_.value.code


@pytest.mark.parametrize(
    ("cause", "status"),
    [
        (RuntimeError("Cannot allocate memory (os error 12)"), 74),  # as safetensors says it
        (BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable"), 74),
        (RuntimeError("invalid header (os error 22)"), 2),
    ],
)
def test_a_file_that_cannot_be_read_for_want_of_memory_is_no_bad_input(cause, status):
    def reads(arguments):
        raise UserError("x.safetensors: cannot be read") from cause

    assert ended(reads) == status


@pytest.mark.parametrize(
    ("does", "status"),
    [
        ("signal.raise_signal(signal.SIGINT)", 130),
        ("signal.raise_signal(signal.SIGTERM)", 143),
        ("wrong()", 2),
    ],
)
def test_a_status_does_not_depend_on_who_reads(does, status):
    code = (
        "import signal\n"
        "from attnzoo import commands, errors\n"
        "def wrong():\n"
        "    raise errors.UserError('no')\n"
        f"commands.execute(lambda arguments: {does}, [])\n"
    )
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run([sys.executable, "-c", code], stderr=writer, env=environment())
    os.close(writer)
    assert done.returncode == status


@pytest.mark.parametrize(("does", "status"), [("print('a')", 0), ("wrong()", 2)])
@pytest.mark.parametrize("closed", ["1", "2", "12"])
def test_a_status_does_not_depend_on_streams_that_were_closed(tmp_path, does, status, closed):
    """Nor does what is written get into a file that is opened in their place."""
    code = (
        "import sys\n"
        "from attnzoo import commands, errors\n"
        "def wrong():\n"
        "    raise errors.UserError('no')\n"
        "def does(arguments):\n"
        f"    with open({str(tmp_path / 'a')!r}, 'w') as file:\n"
        "        print('text', file=file, flush=True)\n"
        "        print('out', flush=True)\n"
        "        print('err', file=sys.stderr, flush=True)\n"
        f"        {does}\n"
        "commands.execute(does, [])\n"
    )
    close = " ".join(f"{number}>&-" for number in closed)
    shell = ["sh", "-c", f'exec "$0" -c "$1" {close}', sys.executable, code]
    assert subprocess.run(shell, env=environment()).returncode == status
    assert (tmp_path / "a").read_text() == "text\n"


def test_a_mechanism_that_leaves_does_not_end_a_run_well(capsys):
    def leaves(arguments):
        with commands.going_on("to go on: that"):
            sys.exit(0)

    assert ended(leaves) == commands.FAULT
    assert capsys.readouterr().err == "left by SystemExit before it was done; to go on: that\n"
    assert ended(lambda arguments: sys.exit(0)) == 0  # as --help does


@pytest.mark.parametrize(
    ("number", "code", "said"),
    [(signal.SIGTERM, 143, "terminated"), (signal.SIGINT, 130, "interrupted")],
)
def test_a_signal_is_no_bad_input_though_a_library_took_it_for_one(capsys, number, code, said):
    def reads(arguments):
        try:
            signal.raise_signal(number)
        except BaseException as error:
            raise UserError("x.safetensors: cannot be read") from error

    assert ended(reads) == code and capsys.readouterr().err == f"{said}\n"
