"""Variants from elsewhere: files, entry points and classes at a prompt."""

from __future__ import annotations

import hashlib
import logging
import os
import pickle
import shutil
import subprocess
import sys
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest
from command import TINY, command, environment
from omegaconf import OmegaConf

import attnzoo
from attnzoo import commands, config, registry, run
from attnzoo._imports import import_file
from attnzoo._siblings import code_digest
from attnzoo.errors import UserError
from attnzoo.train.record import read_record
from attnzoo.train.settings import Experiment

MINE = """
import torch
import attnzoo
from attnzoo.attention import Mechanism

@attnzoo.register("NAME", title="Scaled", source="a test", kind=attnzoo.Kind.insert, cost="0")
class Scaled(Mechanism):
    def __init__(self, channels: int, heads: int, *, factor: float = 2.0) -> None:
        super().__init__(channels, heads)
        self.scale = torch.nn.Parameter(torch.full((channels,), factor))
    def forward(self, x, *, flow=None):
        self.check(x)
        return x * self.scale
    def sees(self, query, shape):
        mask = torch.zeros(shape, dtype=torch.bool)
        mask[query] = True
        return mask
"""


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("HYDRA_FULL_ERROR", raising=False)
    with registry.preserved():
        yield


@pytest.fixture
def composed(monkeypatch):
    """Configurations that `run` would have started with; none is."""
    started = []

    def task(cfg):
        started.append(cfg)

    task.__module__ = run.__name__
    monkeypatch.setattr(run, "_run", task)
    return started


def write(file: str, name: str = "mine", more: str = "") -> Path:
    path = Path(file).absolute()
    path.write_text(MINE.replace("NAME", name) + more)
    return path


def status(*arguments: str) -> int:
    with pytest.raises(SystemExit) as exit_:
        commands.execute(run.command, arguments)
    return exit_.value.code


def test_a_file_is_loaded_before_all_else_and_kept_with_its_whole_path(composed):
    path = write("mine.py")
    assert status("+plugins=[mine.py]", "attn=mine", "factor=3") == 0
    assert status("attn=mine", "attn.factor=4", "plugins=mine.py") == 0
    assert [cfg.attn.factor for cfg in composed] == [3.0, 4.0]
    assert [list(cfg.plugins) for cfg in composed] == [[str(path)]] * 2
    assert f"- {path}" in config.stored(composed[0])


@pytest.mark.long
def test_a_sweep_goes_over_plugins_and_built_ins(composed):
    write("it's mine.py"), write("other.py", "other")
    plugins = r"+plugins=['it\'s mine.py',other.py]"
    assert status("-m", plugins, "attn=mine,other,temporal", "seed=0,1") == 0
    names = ("mine", "other", "temporal")
    assert [cfg.attn.name for cfg in composed] == [name for name in names for _ in (0, 1)]
    assert {Path(cfg.plugins[0]).name for cfg in composed} == {"it's mine.py"}


@pytest.mark.long
def test_help_lists_it(capfd):
    write("mine.py")
    assert status("+plugins=[mine.py]", "--help") == 0
    out = capfd.readouterr().out
    assert "  mine " in out and "+plugins=[FILE.py]" in out


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("+plugins=[gone.py]", "gone.py': no such file"),
        ("+plugins=[broken.py,mine.py]", "broken.py does not import: OSError: half-way (line 18)"),
        ("+plugins=[unread.py]", "unread.py does not import: SyntaxError"),
        ("+plugins=[leaves.py]", "leaves.py does not import: SystemExit: 3 (line 18)"),
        ("+plugins=[taken.py]", "'stsa' is used twice: attnzoo/attention/stsa.py:"),
        ("+plugins=[mine.py,again.py]", "mine.py:6 and "),
        ("+plugins=[empty.py]", "empty.py' registers no mechanism"),
        ("+plugins=[no_such_module]", "no_such_module does not import: ModuleNotFoundError"),
        ("+plugins=3", "+plugins=3: a list is needed"),
        ("+plugins=null", "+plugins=null: a list is needed"),
        ("+plugins=[1]", "+plugins=[1]: a list is needed"),
        ("-m +plugins=[mine.py],[broken.py]", "the same for all jobs: +plugins=[FILE.py,MODULE]"),
        ("+plugins=[mine.py] attn=mien", "did you mean 'mine'"),
        ("+plugins=[mine.py] attn=mine fcator=1", "'fcator'"),
        ("+plugins=[mine.py] attn=mine factor=much", "much"),
        ("--config-dir settings +experiment=late", "name them on the command line, +plugins="),
    ],
)
def test_a_plugin_that_is_asked_for_and_fails_is_one_line(line, words, composed, capfd):
    write("mine.py"), write("again.py"), write("taken.py", "stsa"), Path("empty.py").touch()
    write("broken.py", "broken", "raise OSError('half-way')\n")
    write("leaves.py", "leaves", "raise SystemExit(3)\n")
    Path("unread.py").write_text("x = (\n")
    Path("settings/experiment").mkdir(parents=True)
    Path("settings/experiment/late.yaml").write_text("# @package _global_\nplugins: [mine.py]\n")
    before = registry.list_variants()
    assert status(*line.split()) == commands.BAD_INPUT
    out, err = capfd.readouterr()
    assert err.count("\n") == 1 and words in err and not out, err
    assert not composed and not Path("outputs").exists()
    assert not {"broken", "leaves"} & set(registry.list_variants())
    assert set(registry.list_variants()) - set(before) <= {"mine"}


def kept(folder: str, *overrides: str, composed) -> None:
    """A folder like that of a run that was stopped."""
    assert status(*overrides) == 0
    Path(folder).mkdir()
    Path(folder, "config.yaml").write_text(config.stored(composed.pop()))


def test_a_run_is_gone_on_with_from_another_folder(composed, monkeypatch, capfd, tmp_path):
    path = write("mine.py")
    kept("here", "+plugins=[mine.py]", "attn=mine", "factor=5", composed=composed)
    Path("away").mkdir()
    monkeypatch.chdir("away")
    assert status("resume=../here") == 0
    (cfg,) = composed
    whole = run._configuration(cfg, ["resume=../here"])
    assert (whole.attn.name, whole.attn.factor, list(whole.plugins)) == ("mine", 5.0, [str(path)])
    path.rename(tmp_path / "moved.py")
    assert status("resume=../here") == commands.BAD_INPUT
    err = capfd.readouterr().err
    assert err.count("\n") == 1 and f"its plug-in {path} is gone" in err
    assert "resume=../here +plugins=[mine.py]" in err


def test_a_plugin_that_has_moved_is_named_anew(composed):
    path = write("mine.py")
    kept("here", "+plugins=[mine.py]", "attn=mine", composed=composed)
    moved = path.rename("moved.py").absolute()
    with registry.preserved():
        registry._entries.pop("mine")  # as in a process that starts now
        assert status("resume=here", "+plugins=[moved.py]") == 0
    (cfg,) = composed
    overrides = ["resume=here", f"plugins=['{moved}']"]
    assert list(run._configuration(cfg, overrides).plugins) == [str(moved)]


def test_an_edited_plugin_is_another_run():
    path = write("mine.py")
    with registry.preserved():
        registry.load_plugin(path)
        entry = registry.get("mine")
        before = Experiment("mine").identity("hash")
    assert entry.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    other = write("moved.py")
    with registry.preserved():
        registry.load_plugin(other)
        assert Experiment("mine").identity("hash") == before
    edited = write("edited.py", more="\n")
    registry.load_plugin(edited)
    assert Experiment("mine").identity("hash") != before


def test_what_a_plugin_imports_from_beside_it_is_its_code_too(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    texts = {
        "zoo_main.py": "import torch\nimport zoo_a\nfrom zoo_pkg import deep\n",
        "zoo_a.py": "import attnzoo\nfrom zoo_b import *\nimport zoo_main\n",
        "zoo_b.py": "x = 1\n",
        "zoo_other.py": "",
        "zoo_pkg/__init__.py": "from .near import y\n",
        "zoo_pkg/near.py": "from zoo_pkg.deep import z\ny = 1\n",
        "zoo_pkg/deep.py": "z = 1\n",
    }
    for name, text in texts.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)

    def found() -> str | None:
        return code_digest(str(tmp_path / "zoo_main.py"))

    before = found()
    for name, text in texts.items():
        (tmp_path / name).write_text(f"{text}# edited\n")
        assert (found() == before) == (name == "zoo_other.py"), name
        (tmp_path / name).write_text(text)
    assert found() == before
    shutil.copytree(tmp_path, tmp_path / "moved")
    assert code_digest(str(tmp_path / "moved/zoo_main.py")) == before
    # Where all that is installed lies, nothing is anybody's own.
    shutil.copytree(tmp_path / "moved", tmp_path / "site-packages")
    alone = hashlib.sha256(texts["zoo_main.py"].encode()).hexdigest()
    assert code_digest(str(tmp_path / "site-packages/zoo_main.py")) == alone


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """Entry points of a package, some of which fail, in a registry that looks for them anew."""
    names = ("fine", "rotten", "taken", "empty")
    for name in names:
        write(f"zoo_{name}.py", {"fine": "fine", "taken": "temporal"}.get(name, name))
    Path("zoo_rotten.py").write_text("import nothing_of_that_name\n")
    Path("zoo_empty.py").write_text("x = 1\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    points = [EntryPoint(n, f"zoo_{n}", registry.ENTRY_POINTS) for n in (*names, "gone")]
    monkeypatch.setattr(registry, "entry_points", lambda group: points)
    monkeypatch.setattr(registry, "_broken", {})

    def discover():
        for point in registry.entry_points(group=registry.ENTRY_POINTS):
            registry._load_entry_point(point)

    yield discover
    for name in names:
        sys.modules.pop(f"zoo_{name}", None)


def test_what_runs_is_the_text_of_which_the_digest_is(tmp_path, monkeypatch):
    """A file may have as many bytes as before, and the same time, as from an archive."""
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    path = tmp_path / "marked.py"
    for mark in (1, 2):
        path.write_text(f"mark = {mark}\n")
        os.utime(path, (1e9, 1e9))
        found = import_file(path)
        assert found.mark == mark


def test_an_entry_point_that_fails_is_told_of_and_the_others_are_there(installed, caplog):
    before = set(registry.list_variants())
    with caplog.at_level(logging.WARNING):
        installed()
    assert set(registry.list_variants()) - before == {"fine"}
    assert registry.get("temporal").built_in and not registry.get("fine").built_in
    rotten, taken, empty, gone = (record.getMessage() for record in caplog.records)
    assert rotten.startswith("left out: entry point rotten = zoo_rotten does not import: ModuleNo")
    assert "zoo_taken: the name 'temporal' is used twice: attnzoo/attention/temporal.py:" in taken
    assert taken.rpartition(" and ")[2].startswith(str(Path.cwd() / "zoo_taken.py:"))
    assert empty == f"left out: entry point empty = zoo_empty {registry._NOTHING}"
    assert "No module named 'zoo_gone'" in gone
    with pytest.raises(UserError, match="entry point rotten = zoo_rotten does not import"):
        registry.get("rotten")


def test_two_entry_points_of_one_module(installed, monkeypatch, caplog):
    points = [EntryPoint(n, "zoo_fine", registry.ENTRY_POINTS) for n in ("fine", "finer")]
    monkeypatch.setattr(registry, "entry_points", lambda group: points)
    installed()
    assert not caplog.records and "fine" in registry.list_variants()


def test_a_cell_that_is_run_again_replaces_what_it_entered(monkeypatch):
    about = dict(title="t", source="s", kind=attnzoo.Kind.insert, cost="0")

    def cell(module: str = "__main__") -> type:
        entry = registry.get("none")
        cls = type("Mine", (entry.cls,), {"__module__": module, "__init__": entry.cls.__init__})
        return attnzoo.register("mine", **about)(cls)

    cell()
    with pytest.raises(UserError, match="'mine' is used twice"):
        cell()  # a script has no reason to
    monkeypatch.setattr(sys, "ps1", ">>> ", raising=False)
    assert registry.get("mine").cls is not cell()
    with pytest.raises(UserError, match="'mine' is used twice"):
        cell("another")


CHOICE = """
from enum import Enum

class Way(Enum):
    up = "up"
    down = "down"
"""


def test_other_processes_know_it_too():
    """As launchers have it that send jobs away: by pickle, to an interpreter of its own."""
    text = MINE.replace("NAME", "mine").replace("factor: float = 2.0", "way: Way = Way.up")
    text = CHOICE + text.replace("(channels,), factor", "(channels,), 1.0")
    Path("with:colon").mkdir()
    file = Path("with:colon/mine.py")
    file.write_text(text)
    registry.load_plugin(str(file))
    node = OmegaConf.merge(OmegaConf.structured(registry.schema("mine")), {"way": "down"})
    # The root of a configuration, of type Run, comes before what is in it.
    Path("kept.pickle").write_bytes(pickle.dumps((config.Run, node)))
    code = (
        "import pathlib, pickle; print(pickle.loads(pathlib.Path('kept.pickle').read_bytes())[1])"
    )
    with config.inherited([str(file.absolute())]):
        done = subprocess.run(
            [sys.executable, "-c", code], env=environment(), capture_output=True, text=True
        )
    assert (done.stdout, done.stderr) == ("{'name': 'mine', 'way': <Way.down: 'down'>}\n", "")
    assert "ATTNZOO_PLUGINS" not in os.environ


@pytest.mark.slow
def test_a_new_variant_is_trained_as_it_is(tmp_path):
    done = command("new", "my_attention", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    done = command(
        "run", "+plugins=[my_attention.py]", "attn=my_attention", "width=3", *TINY,
        "train.stage1.steps=2", "train.stage2.steps=1", "hydra.run.dir=here", cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    record = read_record(tmp_path / "here")
    file = tmp_path / "my_attention.py"
    assert (record["variant"], record["options"]) == ("my_attention", {"width": 3})
    assert record["profile"]["module"]["name"] == "MyAttention"
    assert record["environment"]["code"] == {
        "file": str(file), "sha256": hashlib.sha256(file.read_bytes()).hexdigest(),
    }  # fmt: skip
    assert done.stdout.startswith("my_attention width=3, data embedded")
