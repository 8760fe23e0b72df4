"""The import hook for torchvision, each time in an interpreter of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import torch

BROKEN = """
import torch

@torch.library.register_fake("torchvision::nms")
def nms(dets, scores, iou_threshold):
    return dets.new_empty(0, dtype=torch.long)
loaded_by = type(__spec__.loader).__name__
"""


def fake(folder: Path, source: str, library: bytes | Path | None) -> Path:
    package = folder / "torchvision"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text(source)
    (package / "ops.py").write_text("here = True\n")
    if isinstance(library, bytes):
        (package / "_C.so").write_bytes(library)
    elif library is not None:
        (package / "_C.so").symlink_to(library)
    return folder


def alone(code: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """`code` in a fresh interpreter that finds the fake torchvision first."""
    root = Path(__file__).parents[1]
    path = os.pathsep.join([str(folder), str(root), os.environ.get("PYTHONPATH", "")])
    return subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": path, "OMP_NUM_THREADS": "1"},
    )


def test_a_torchvision_that_cannot_load_imports_all_the_same(tmp_path):
    folder = fake(tmp_path, BROKEN, b"not a library")
    run = alone("import torchvision", folder)
    assert run.returncode and "operator torchvision::nms does not exist" in run.stderr
    code = """
import sys, importlib.util
import attnzoo, attnzoo._torchvision as hook
hook.install()
hooks = lambda: sum(isinstance(f, hook._Finder) for f in sys.meta_path)
print(hooks(), "torch" in sys.modules)
spec = importlib.util.find_spec("torchvision")
print(spec.submodule_search_locations is not None, "torch" in sys.modules, hooks())
import torchvision, torchvision.ops, torch
print(torchvision.loaded_by, torchvision.ops.here, hooks(), torchvision.__spec__.loader.path[-11:])
try:
    torch.ops.torchvision.nms(torch.zeros(1, 4), torch.zeros(1), 0.5)
except NotImplementedError as error:
    print("not faked")
hook.install()
print(hooks())
"""
    run = alone(code, folder)
    assert run.stdout.split("\n") == [
        "1 False",
        "True False 1",
        "SourceFileLoader True 0 __init__.py",
        "not faked",
        "0",
        "",
    ], run.stderr


def test_a_torchvision_that_loads_is_left_alone(tmp_path):
    library = Path(torch.__file__).parent / "lib" / "libc10.so"
    folders = [
        fake(tmp_path / "loads", "import torch", library),
        fake(tmp_path / "pure", "import torch", None),
    ]
    code = """
import attnzoo, torchvision, torch
from attnzoo._torchvision import _declared, repair
print(_declared, hasattr(torch.ops.torchvision, "nms"))
import pathlib
torch.version.cuda = "13.0"
print(repair(pathlib.Path(__import__("sys").argv[0])))
"""
    for folder in folders:
        run = alone(code, folder)
        assert run.stdout.split("\n") == ["[] False", "False", ""], run.stderr


def test_without_torchvision_nothing_happens(tmp_path):
    code = """
import attnzoo, importlib.util, sys
sys.path[:] = [p for p in sys.path if "site-packages" not in p]
print(importlib.util.find_spec("torchvision"))
"""
    run = alone(code, tmp_path)
    assert run.stdout.strip() == "None", run.stderr
