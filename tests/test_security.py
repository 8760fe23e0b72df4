"""What comes from elsewhere runs no code, leaves no folder and asks no network."""

from __future__ import annotations

import ast
import contextlib
import html
import json
import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest
import torch
from command import ROOT, TINY, Forked, command, environment, finish
from made_page import page, small_results
from tiny_run import Interrupting, tiny_experiment, tiny_run, tiny_source

import attnzoo
from attnzoo import config, registry, results, run, sample, stored
from attnzoo.errors import UserError
from attnzoo.files import SUMS, replacing
from attnzoo.paths import NoFile, inside, regular, typed
from attnzoo.registry import RegistrationError
from attnzoo.report.folder import read_folder
from attnzoo.tables.__main__ import command as tables_command
from attnzoo.tables.settings import settings_of
from attnzoo.train.checkpoint import Checkpoints

PACKAGE = Path(attnzoo.__file__).parent
SCRIPT = "<script>alert(1)</script>"

BLOCKED = """
import sys

ASKING = (
    "socket.connect", "socket.sendto", "socket.sendmsg", "socket.getaddrinfo",
    "socket.gethostbyname", "socket.gethostbyaddr", "socket.getnameinfo",
)

def refuse(event, arguments):
    # A socket between two processes of this machine is none to the network.
    if event in ASKING and getattr(arguments[0], "family", 0) != 1:
        sys.stderr.write(f"NETWORK {event} {arguments[1:]}\\n")
        raise OSError("no network in this test")

sys.addaudithook(refuse)
"""
ASKS = """
import socket

udp, there = socket.socket(socket.AF_INET, socket.SOCK_DGRAM), ("127.0.0.1", 9)
for ask in (
    lambda: udp.connect(there), lambda: udp.connect_ex(there), lambda: udp.sendto(b"x", there),
    lambda: udp.sendmsg([b"x"], [], 0, there), lambda: socket.getaddrinfo("localhost", 9),
    lambda: socket.gethostbyname("localhost"),
):
    try:
        ask()
    except OSError as error:
        assert "no network" in str(error), error
    else:
        raise SystemExit("it was let through")
one, other = socket.socketpair()
one.sendmsg([b"x"])
assert other.recv(1) == b"x"
"""


def unconnected(folder: Path) -> dict[str, str]:
    """What refuses the network to a process, and to those that it starts."""
    place = folder / "unconnected"
    place.mkdir()
    (place / "sitecustomize.py").write_text(BLOCKED)
    return {"PYTHONPATH": os.pathsep.join((str(place), str(ROOT)))}


def main() -> None:
    """The command line without a network, in a process that `Forked` has made."""
    exec(BLOCKED, {})
    with pytest.raises(OSError, match="no network"):
        socket.getaddrinfo("localhost", 9)
    from attnzoo.__main__ import main as command_line

    command_line()


JOB = ("run", *TINY, "train.stage1.steps=2", "hydra.run.dir=out")


def made_unconnected(done: CompletedProcess[str], folder: Path, asked: int = 0) -> None:
    assert done.returncode == 0, done.stderr
    assert (done.stderr + done.stdout).count("NETWORK") == asked
    record = json.loads((folder / "out" / "record.json").read_text())
    assert record["scores"]["ssim"]["value"] is not None and record["profile"] is not None


def test_the_whole_default_job_makes_no_connection(tmp_path: Path) -> None:
    env = environment(**unconnected(tmp_path))
    # It asks once itself, to see that it is refused.
    made_unconnected(finish(Forked("test_security", [*JOB], tmp_path, env)), tmp_path, asked=1)


@pytest.mark.long
def test_a_fresh_process_makes_no_connection_and_imports_nothing_that_lies_around(
    tmp_path: Path,
) -> None:
    for name in ("mine.py", "attnzoo_mine.py", "attnzoo.attention.py"):
        (tmp_path / name).write_text("raise SystemExit('code ran')\n")
    done = command(*JOB, cwd=tmp_path, code="", **unconnected(tmp_path))
    made_unconnected(done, tmp_path)


def test_the_block_is_seen_by_a_childs_child_when_it_asks(tmp_path: Path) -> None:
    child = [sys.executable, "-c", ASKS]
    code = f"import subprocess, sys; sys.exit(subprocess.run({child}).returncode)"
    env = environment(**unconnected(tmp_path))
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("NETWORK") == 6


def mentions(tree: ast.Module) -> Iterator[tuple[ast.expr, str]]:
    """Every name and attribute, called or not, by the whole name that its imports give it."""
    whole: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            whole |= {one.asname: one.name for one in node.names if one.asname}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            whole |= {one.asname or one.name: f"{node.module}.{one.name}" for one in node.names}
    for node in ast.walk(tree):
        if isinstance(node, ast.Name | ast.Attribute):
            first, _, rest = ast.unparse(node).partition(".")
            yield node, ".".join(filter(None, (whole.get(first, first), rest)))


def package() -> Iterator[tuple[Path, ast.Module]]:
    for path in sorted(PACKAGE.rglob("*.py")):
        yield path, ast.parse(path.read_text())


FORBIDDEN = re.compile(
    r"(.*\.)?(_?pickle\.(loads?|Unpickler)|(dill|marshal)\.loads?|joblib\.load|shelve\.open"
    r"|pandas\.read_pickle|yaml\.((full_|unsafe_)?load(_all)?|(Full|Unsafe)?Loader)"
    r"|os\.(system|popen|exec\w*|spawn\w*|posix_spawn\w*)|subprocess\.get(status)?output"
    r"|torch\.(jit\.load|package\.\w+|hub\.load\w*)|runpy\.run_\w+|shutil\.unpack_archive"
    r"|extractall)|exec|__import__"
)
LOOKING_AT = {("registry.py", "eval"), ("_options.py", "compile")}
"""A cost expression: what it may name is checked when it is registered."""

ALLOWED = {("spool.py", "pickle.loads"), ("fidelity.py", "torch.jit.load")}
"""Frames that the process itself has put into a file without a name, which nobody else can open;
and the published I3D of the field's FVD, a program that the user has to fetch and to name."""


def test_nothing_unpickles_or_runs_what_it_is_given() -> None:
    seen = {"torch.load": 0, "subprocess.run": 0, "yaml.SafeLoader": 0}
    for path, tree in package():
        names = dict(mentions(tree))
        for node, name in names.items():
            where = f"{path.relative_to(PACKAGE)}:{node.lineno}: {name}"
            assert not FORBIDDEN.fullmatch(name) or (path.name, name) in ALLOWED, where
            seen |= {name: seen[name] + 1} if name in seen else {}
        for call in (node for node in ast.walk(tree) if isinstance(node, ast.Call)):
            name = names.pop(call.func, "") if isinstance(call.func, ast.expr) else ""
            where = f"{path.relative_to(PACKAGE)}:{call.lineno}: {name}"
            named = {key.arg: ast.unparse(key.value) for key in call.keywords}
            assert name not in ("eval", "compile") or (path.name, name) in LOOKING_AT, where
            assert named.get("shell", "False") == "False", where
            assert named.get("allow_pickle", "False") == "False", where
            if name == "torch.load":
                assert named.get("weights_only") == "True", where
            if name == "numpy.load":
                assert named.get("allow_pickle") == "False", where
        # Not called here and now, nobody sees with what.
        left = {name for name in names.values() if name in ("torch.load", "numpy.load")}
        assert not left, f"{path.relative_to(PACKAGE)}: {left} is handed on"
    assert all(seen.values()), f"the scan sees too little: {seen}"


@pytest.mark.parametrize(
    "text",
    [
        "pickle.load(f)", "yaml.load(t)", "os.system(c)", "yaml.unsafe_load(t)", "exec(t)",
        "from pickle import loads\nloads(t)", "import pickle as p\np.load(f)",
        "from yaml import unsafe_load as load\nload(t)", "import os\nmap(os.system, c)",
        "import torch.jit as j\nj.load(f)", "import tarfile\ntarfile.open(f).extractall()",
    ],
)  # fmt: skip
def test_the_scan_knows_what_it_looks_for(text: str) -> None:
    found = [name for _, name in mentions(ast.parse(text)) if FORBIDDEN.fullmatch(name)]
    assert len(found) == 1, list(mentions(ast.parse(text)))


def test_a_checkpoint_runs_no_code(tmp_path: Path) -> None:
    """What accelerate reads of a checkpoint is read without code, too."""
    from accelerate.utils.other import load

    class Evil:
        def __reduce__(self):  # type: ignore[no-untyped-def]
            return Path.touch, (tmp_path / "ran",)

    torch.save({"state": Evil()}, tmp_path / "optimizer.bin")
    with pytest.raises(Exception, match=r"weights_only|Weights only"):
        load(tmp_path / "optimizer.bin")
    assert not (tmp_path / "ran").exists()


def test_a_run_that_goes_on_runs_no_code_of_its_checkpoint(tmp_path: Path) -> None:
    """Also where it comes without checksums, as from somebody else."""
    experiment, folder = tiny_experiment(), tmp_path / "run"
    with pytest.raises(KeyboardInterrupt):
        tiny_run(folder, experiment, tiny_source(Interrupting(3, KeyboardInterrupt())))
    newest = Checkpoints(folder, every=0).newest_first()[0]

    class Evil:
        def __reduce__(self):  # type: ignore[no-untyped-def]
            return Path.touch, (tmp_path / "ran",)

    changed = [path for path in newest.iterdir() if path.suffix in (".bin", ".pkl", ".pt")]
    assert changed
    for path in changed:
        torch.save({"state": Evil()}, path)
    (newest / SUMS).unlink()
    with contextlib.suppress(Exception):  # refused, or begun anew
        tiny_run(folder, experiment, resume=True)
    assert not (tmp_path / "ran").exists()


class Tags(HTMLParser):
    """Elements and scripts of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.scripts, self.handlers = 0, []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.scripts += tag == "script"
        self.handlers += [name for name, _ in attrs if name.startswith("on")]


def test_a_variant_named_script_is_a_text_on_the_page(tmp_path: Path) -> None:
    def evil(protocol: dict) -> None:  # type: ignore[type-arg]
        cell = protocol["cells"][protocol["tables"]["table1"]["rows"][2]["cell"]]
        cell |= {"label": SCRIPT, "overrides": [f"attn={SCRIPT}"]}
        for one in protocol["cells"].values():
            one["attn"] = SCRIPT

    folder = small_results(tmp_path / "evil", "table1", videos=False, change=evil)
    for file in (folder / "records").glob("*/seed?.json"):
        content = json.loads(file.read_text())
        content |= {"variant": SCRIPT, "kind": SCRIPT}
        content["options"] = {SCRIPT: SCRIPT}
        content["environment"]["versions"] = {SCRIPT: SCRIPT}
        del content["environment"]["overrides"]  # of other settings it would be refused
        file.write_text(json.dumps(content))
    text = page(folder, tmp_path / "evil.html")[0]
    found = Tags(text)
    template = (PACKAGE / "report" / "page" / "page.html").read_text()
    assert 0 < found.scripts <= template.count("<script") and not found.handlers
    assert SCRIPT not in text and html.escape(SCRIPT) in text
    assert set(results.load(folder)["variant"]) == {SCRIPT}


@pytest.mark.parametrize("name", [SCRIPT, "../up", "a/b", "", "-m", "a b", 3])
def test_no_variant_can_be_registered_under_such_a_name(name: object) -> None:
    entry = registry.get("none")
    with registry.preserved(), pytest.raises(RegistrationError, match="cannot be a variant's name"):
        registry.register(name, title="t", source="s", kind=entry.kind, cost="0")(entry.cls)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["../up", "/etc/passwd", "a/../../up", "link", "a\0b", "loop"])
def test_a_name_from_a_file_stays_in_its_folder(name: str, tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "link").symlink_to(tmp_path)
    (folder / "loop").symlink_to("loop")
    with pytest.raises(UserError, match=r"^f\.yaml: .*(leaves the folder|cannot be a path)"):
        inside(folder, name, "f.yaml")
    assert inside(folder, "a/b", "f.yaml") == folder.resolve() / "a" / "b"


@pytest.mark.parametrize("text", ["", "~nobody-here/a", "a" * 300, "a\0b"])
def test_a_path_that_can_be_none_is_refused(text: str) -> None:
    with pytest.raises(UserError, match=r"^data\.path: "):
        typed(text, "data.path")


def test_no_file_takes_the_place_of_a_pipe_or_a_device(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "null").symlink_to("/dev/null")
    for name in ("pipe", "null"):
        with (
            pytest.raises(UserError, match="a pipe, a socket or a device"),
            replacing(tmp_path / name),
        ):
            pytest.fail("begun")
        with pytest.raises(NoFile, match="a pipe, a socket or a device"):
            regular(tmp_path / name)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["null", "pipe"]
    assert (tmp_path / "pipe").is_fifo() and (tmp_path / "null").is_symlink()


def test_a_clip_of_a_report_is_not_taken_from_elsewhere(tmp_path: Path) -> None:
    folder = small_results(tmp_path / "results", "table1")
    index = folder / "clips" / "index.json"
    clips = json.loads(index.read_text())
    video = folder / "clips" / "none" / f"{clips[0]['name']}.mp4"
    (tmp_path / "secret.mp4").write_bytes(video.read_bytes())
    video.unlink()
    video.symlink_to(tmp_path / "secret.mp4")
    with pytest.raises(UserError, match="leaves the folder"):
        read_folder(folder).video("none", clips[0]["name"])
    clips[0]["name"] = "../../../secret"
    index.write_text(json.dumps(clips))
    with pytest.raises(UserError, match=r"index\.json: .*secret"):
        read_folder(folder)


CODE = "raise SystemExit('code ran')\n"
COMMANDS = {
    "run": (run.command, ["resume=run"]),
    "sample": (
        sample.command,
        [
            "--run",
            "run",
            *(f"--{one}=embedded:test:0" for one in ("foreground", "background", "pose")),
        ],
    ),
}


def downloaded(folder: Path, text: str) -> None:
    """A run's folder with code in it, and beside it, and a configuration that says `text`."""
    modules = ("run/mine.py", "run/inside/mine.py", "mine.py", "beside/mine.py")
    # Another `run` that can be imported would hide a folder that is no package.
    for place in (*modules, "run/__init__.py"):
        (folder / place).parent.mkdir(parents=True, exist_ok=True)
        (folder / place).write_text(CODE)
    (folder / "run/link.py").symlink_to(folder / "beside/mine.py")
    (folder / "run/config.yaml").write_text(
        f"attn: {{name: mine}}\ndata: {{name: embedded}}\n{text}\n{config.END}"
    )


@pytest.mark.parametrize("name", COMMANDS)
@pytest.mark.parametrize(
    "plugin",
    [
        "mine.py", "run/mine.py", "HERE/run/mine.py", "HERE/run/link.py", "HERE/beside/../mine.py",
        "/proc/self/cwd/mine.py", "//proc/self/cwd/mine.py", "mine", "run.mine", "run.inside.mine",
        "beside.mine",
    ],
)  # fmt: skip
def test_a_plugin_that_a_downloaded_folder_names_is_not_imported(
    plugin: str, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))  # as `python -m` has it
    monkeypatch.delitem(sys.modules, plugin.partition(".")[0], raising=False)
    plugin = plugin.replace("HERE", str(tmp_path))
    downloaded(tmp_path, f"plugins: ['{plugin}']\n")
    command, arguments = COMMANDS[name]
    again = Path(plugin).name if plugin.endswith(".py") else plugin
    with pytest.raises(UserError, match=rf"\+plugins=\[{re.escape(again)}\], if you trust it"):
        command(arguments)


@pytest.mark.parametrize("place", ["added", "protocol", "chosen"])
def test_code_that_a_folder_of_results_or_a_protocol_names_is_not_run(
    place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "evil.py").write_text(CODE)
    plugin = "+plugins=[evil.py]"
    cells: dict[str, Any] = {"none": {"label": "none", "overrides": ["attn=none"]}}
    if place == "protocol":
        cells["none"]["overrides"].append(plugin)
    tables = {"table1": {"title": "One", "rows": ["none"]}}
    protocol = {
        "name": "tiny",
        "seeds": [0],
        "clips": 1,
        "settings": ["device=cpu"],
        "cells": cells,
        "tables": tables,
    }
    (tmp_path / "p.yaml").write_text(json.dumps(protocol))
    if place == "chosen":
        (tmp_path / "chosen.yaml").write_text(json.dumps({"none": {"+plugins": "[evil.py]"}}))
    given = ["protocol=p.yaml", "out=out"]
    if place == "added":
        results = tmp_path / "out"
        (results / "records/evil").mkdir(parents=True)
        (results / "records/evil/seed0.json").write_text("{}")
        about = settings_of({"protocol": ["p.yaml"], "out": ["out"]}, (), "")
        content = about.protocol.described(["table1"], "command")
        evil = {"label": "evil", "overrides": ["attn=none", plugin], "chosen": {}, "added": True}
        content["cells"]["evil"] = evil
        content["tables"]["table1"]["rows"].append({"label": "evil", "cell": "evil", "group": None})
        given.append("check=true")
        (results / "protocol.json").write_text(json.dumps(content))
    with pytest.raises(UserError, match="of a protocol is not read: code is run only where"):
        tables_command(given)


@pytest.mark.parametrize("plugin", ["run/mine", ".mine", "a..b", "mine.pyc/", ""])
def test_a_stored_plugin_that_is_no_name_is_refused(plugin: str, tmp_path: Path) -> None:
    downloaded(tmp_path, f"plugins: ['{plugin}']\n")
    with pytest.raises(UserError, match=r"neither a file\.py nor a module's name"):
        run.command([f"resume={tmp_path / 'run'}"])


def test_a_module_that_is_installed_is_no_part_of_the_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Though packages are often installed below the working directory."""
    packages = tmp_path / "environment/packages"
    (packages / "zoo_of_mine").mkdir(parents=True)
    (packages / "zoo_of_mine/__init__.py").write_text(CODE)
    (packages / "zoo_of_mine/one.py").write_text(CODE)
    downloaded(tmp_path, "plugins: [zoo_of_mine.one]\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(packages))
    folder = Path("run")
    text = stored.read(folder, "resume=run")
    with pytest.raises(UserError, match="if you trust it"):
        stored.overrides_of(text, folder, "resume=run", anew=False)
    monkeypatch.setattr("site.getsitepackages", lambda: [str(packages)])
    found = stored.overrides_of(text, folder, "resume=run", anew=False)
    assert found[-1] == "plugins=['zoo_of_mine.one']" and "zoo_of_mine" not in sys.modules
    assert not [o for o in stored.overrides_of(text, folder, "", anew=True) if "plugins" in o]


BOMB = "\n".join(
    ["a0: &a0 [x]", *(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 12))]
)


@pytest.mark.parametrize("name", COMMANDS)
@pytest.mark.parametrize(
    ("text", "said"),
    [
        (BOMB, "aliases"),
        ("data: {name: embedded, size: '${gone}'}", "${...}"),
        ("device: '${oc.env:HOME}'", "${...}"),
        ('device: "\\x24{oc.env:HOME}"', "${...}"),
        ("seed: ???", "???"),
        ("seed: '???'", "???"),
        ("seed: 0x_", "invalid literal"),
        (f"seed: {'9' * 5000}", "4300 digits"),
        ("seed: !!bool maybe", "'maybe'"),
        ("seed: !!int ''", "none of its kind"),
        ("seed: !!timestamp x", "none of its kind"),
        ("seed: 1\nseed: 2", "duplicate key seed"),
        ("train: null", "train"),
        ("train: [1]", "Training"),
        ("resume: null", "resume"),
        ("hydra: {sweeper: 3}", "hydra"),
    ],
    ids=lambda value: value[:20],
)
def test_a_downloaded_configuration_is_plain_values(
    text: str, said: str, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    first = "" if "data:" in text else "data: {name: embedded}\n"
    (tmp_path / "run").mkdir()
    (tmp_path / "run/config.yaml").write_text(f"attn: {{name: none}}\n{first}{text}\n{config.END}")
    command, arguments = COMMANDS[name]
    with pytest.raises(UserError, match=re.escape(said)) as error:
        command(arguments)
    assert "config.yaml" in str(error.value)
