"""`attnzoo new` and `attnzoo check`: what they write, print and refuse."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

import pytest
from broken_modules import ABOUT, Sound, UnusedParameter

from attnzoo import check, commands, new, registry
from attnzoo.errors import UserError
from attnzoo.testing import check_attention


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with registry.preserved():
        yield


def status(command, *arguments: str) -> int:
    with pytest.raises(SystemExit) as exit_:
        commands.execute(command, arguments)
    return exit_.value.code


def test_what_is_written_passes_its_own_test(tmp_path, capfd):
    assert status(new.command, "wide_window") == 0
    out = capfd.readouterr().out
    assert sorted(p.name for p in tmp_path.iterdir()) == ["test_wide_window.py", "wide_window.py"]
    assert "python -m attnzoo.run '+plugins=[wide_window.py]' attn=wide_window" in out
    text = Path("wide_window.py").read_text() + Path("test_wide_window.py").read_text()
    assert "class WideWindowAttention(" in text
    assert not re.search("my_attention|MyAttention", text)
    spec = importlib.util.spec_from_file_location("written", "test_wide_window.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    tests = [value for key, value in vars(module).items() if key.startswith("test_")]
    assert len(tests) == 3
    for test in tests:
        marks = getattr(test, "pytestmark", ())
        for argument in marks[0].args[1] if marks else ():
            test(argument)
        if not marks:
            test()


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("3d", "'3d' cannot be a variant's name: letters, digits and underscores"),
        ("a-b", "'a-b' cannot be"),
        ("../a", "'../a' cannot be"),
        ("a.py", "'a.py' cannot be"),
        ("class", "'class' cannot be"),
        ("_mine", "'_mine' cannot be"),
        ("stsa", "'stsa' is taken by attnzoo/attention/stsa.py:"),
        ("torch", "torch.py would hide the module 'torch' here"),
        ("random", "random.py would hide the module 'random' here"),
        ("there", "there.py exists already"),
        ("tested", "test_tested.py exists already"),
    ],
)
def test_what_is_refused_leaves_nothing(name, words, tmp_path, capfd):
    Path("there.py").touch(), Path("test_tested.py").touch()
    assert status(new.command, name) == commands.BAD_INPUT
    err = capfd.readouterr().err
    assert err.count("\n") == 1 and words in err
    assert sorted(p.name for p in tmp_path.iterdir()) == ["test_tested.py", "there.py"]
    assert not Path("there.py").read_text()


def test_what_cannot_be_written_is_written_neither(tmp_path, monkeypatch):
    opened = Path.open

    def full(path, *arguments, **named):
        if path.name == "test_mine.py":
            raise OSError(28, "No space left on device")
        return opened(path, *arguments, **named)

    monkeypatch.setattr(Path, "open", full)
    with pytest.raises(UserError, match=r"test_mine\.py cannot be written: No space left"):
        new.command(["mine"])
    assert not list(tmp_path.iterdir())


QUICK = ("--only", "gradients", "--only", "flow")


def test_each_check_is_a_line(capfd):
    registry.register("mine", **ABOUT)(Sound)
    assert status(check.command, "mine", "stsa", *QUICK) == 0
    lines = capfd.readouterr().out.splitlines()
    assert lines == [
        "mine  gradients  pass", "mine  flow       pass", "mine: 2 checks, 2 passed",
        "stsa  gradients  pass", "stsa  flow       pass", "stsa: 2 checks, 2 passed",
    ]  # fmt: skip


def test_a_failure_is_said_and_is_status_1(capfd):
    registry.register("mine", **ABOUT)(UnusedParameter)
    assert status(check.command, "mine", *QUICK) == check.FAILED
    first, _, last = capfd.readouterr().out.splitlines()
    assert re.match(r"mine  gradients  FAIL  expected .*; came .*; look at .*\.py:\d+ ", first)
    assert last == "mine: 2 checks, 1 passed, 1 failed"


def test_an_expected_failure_is_said_and_is_none(capfd):
    about = {**ABOUT, "expected_failures": {"gradients": "it is a place for later"}}
    registry.register("mine", **about)(UnusedParameter)
    assert status(check.command, "mine", *QUICK) == 0
    first, _, last = capfd.readouterr().out.splitlines()
    assert first.startswith("mine  gradients  expected failure  it is a place for later (expected")
    assert last == "mine: 2 checks, 1 passed, 1 failed as expected"


def test_a_file_is_checked_whole(capfd):
    new.command(["mine"])
    capfd.readouterr()
    assert status(check.command, "mine.py", *QUICK) == 0
    assert "mine  gradients  pass" in capfd.readouterr().out
    known = {c.name for c in check_attention("mine")}
    assert {"shapes", "cost", "compile", "unet_step"} <= known and "reference" not in known


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("gone.py", "'gone.py': no such file"),
        ("stas", "did you mean 'stsa'"),
        ("stsa --only gradient", "did you mean 'gradients'"),
        ("", "--help shows what is right"),
        ("broken.py", "broken.py does not import: NameError: name 'x' is not defined (line 1)"),
    ],
)
def test_bad_input_is_one_line_and_status_2(line, words, capfd):
    Path("broken.py").write_text("x\n")
    assert status(check.command, *line.split()) == commands.BAD_INPUT
    err = capfd.readouterr().err
    assert err.count("\n") == 1 and words in err
