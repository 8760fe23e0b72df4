"""What comes from elsewhere runs no code, leaves no folder and asks no network."""

from __future__ import annotations

import ast
import html
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import pytest
import torch
from command import TINY, command
from made_page import page, small_results

import attnzoo
from attnzoo import registry, results, run
from attnzoo.errors import UserError
from attnzoo.paths import inside, typed
from attnzoo.registry import RegistrationError
from attnzoo.report.folder import read_folder

PACKAGE = Path(attnzoo.__file__).parent
SCRIPT = "<script>alert(1)</script>"

BLOCKED = """
import socket, sys

def refuse(*arguments, **named):
    sys.stderr.write(f"NETWORK {arguments}\\n")
    raise OSError("no network in this test")

# A socket between two processes of this machine is none to the network.
inner = socket.socket.connect

def connect(self, address):
    return inner(self, address) if self.family == socket.AF_UNIX else refuse(address)

socket.socket.connect = socket.socket.connect_ex = connect
socket.getaddrinfo = socket.gethostbyname = socket.create_connection = refuse
"""


@pytest.mark.long
def test_the_whole_default_job_makes_no_connection(tmp_path: Path) -> None:
    """And imports nothing that lies around."""
    for name in ("mine.py", "attnzoo_mine.py", "attnzoo.attention.py"):
        (tmp_path / name).write_text("raise SystemExit('code ran')\n")
    done = command("run", *TINY, "hydra.run.dir=out", cwd=tmp_path, code=BLOCKED)
    assert done.returncode == 0, done.stderr
    assert "NETWORK" not in done.stderr + done.stdout
    record = json.loads((tmp_path / "out" / "record.json").read_text())
    assert record["scores"]["ssim"]["value"] is not None


def test_the_block_is_seen_when_something_asks(tmp_path: Path) -> None:
    code = f"{BLOCKED}\nimport urllib.request\nurllib.request.urlopen('http://127.0.0.1:9')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode and "NETWORK" in done.stderr


def calls() -> Iterator[tuple[Path, ast.Call, str]]:
    """Every call in the package, with what is called in words."""
    for path in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call):
                yield path, node, ast.unparse(node.func)


FORBIDDEN = re.compile(
    r"(.*\.)?(pickle\.loads?|pickle\.Unpickler|dill\.loads?|joblib\.load|marshal\.loads?|shelve\.open"
    r"|pandas\.read_pickle|pd\.read_pickle|yaml\.(full_|unsafe_)?load(_all)?|os\.(system|popen|exec\w*)"
    r"|subprocess\.getoutput|exec|extractall)"
)
LOOKING_AT = {("registry.py", "eval"), ("_options.py", "compile")}
"""A cost expression: what it may name is checked when it is registered."""

ITS_OWN = {("spool.py", "pickle.loads")}
"""Frames that the process itself has put into a file without a name, which nobody else can open."""


def test_no_call_unpickles_or_runs_what_it_is_given() -> None:
    seen = {"torch.load": 0, "subprocess.run": 0, "yaml.safe_load": 0}
    for path, call, name in calls():
        where = f"{path.relative_to(PACKAGE)}:{call.lineno}: {name}"
        seen |= {name: seen[name] + 1} if name in seen else {}
        named = {key.arg: ast.unparse(key.value) for key in call.keywords}
        assert not FORBIDDEN.fullmatch(name) or (path.name, name) in ITS_OWN, where
        assert name not in ("eval", "compile") or (path.name, name) in LOOKING_AT, where
        assert named.get("shell", "False") == "False", where
        assert named.get("allow_pickle", "False") == "False", where
        if name == "torch.load":
            assert named.get("weights_only") == "True", where
        if name in ("np.load", "numpy.load"):
            assert named.get("allow_pickle") == "False", where
    assert all(seen.values()), f"the scan sees too little: {seen}"


@pytest.mark.parametrize(
    "text", ["pickle.load(f)", "yaml.load(t)", "os.system(c)", "yaml.unsafe_load(t)", "exec(t)"]
)
def test_the_scan_knows_what_it_looks_for(text: str) -> None:
    (call,) = (node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Call))
    assert FORBIDDEN.fullmatch(ast.unparse(call.func))


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
        cell |= {"attn": SCRIPT, "label": SCRIPT, "overrides": [f"attn={SCRIPT}"]}

    folder = small_results(tmp_path / "evil", "table1", videos=False, change=evil)
    for file in (folder / "records").glob("*/seed?.json"):
        content = json.loads(file.read_text())
        content |= {"variant": SCRIPT, "kind": SCRIPT}
        content["options"] = {SCRIPT: SCRIPT}
        content["environment"]["versions"] = {SCRIPT: SCRIPT}
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


def test_a_plugin_that_a_downloaded_folder_names_is_not_imported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "run"
    folder.mkdir()
    for place, named in (("mine.py", "mine.py"), ("run/mine.py", f"{folder / 'mine.py'}")):
        Path(place).write_text("raise SystemExit('code ran')\n")
        (folder / "config.yaml").write_text(
            f"attn: {{name: mine}}\ndata: {{name: embedded}}\nplugins: ['{named}']\n"
        )
        with pytest.raises(UserError, match=r"\+plugins=\[mine\.py\], if you trust it"):
            run.command(["resume=run"])
