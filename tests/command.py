"""Runs commands of the package as a user does, in a process of their own."""

from __future__ import annotations

import atexit
import json
import os
import select
import signal
import subprocess
import sys
import tempfile
from functools import cache, partial
from pathlib import Path

ROOT = Path(__file__).parents[1]

TINY = (
    "data.size=32",
    "data.frames=4",
    "data.clips=2",
    "train.stage1.steps=12",
    "train.stage1.warmup=1",
    "train.stage2.steps=2",
    "train.stage2.warmup=1",
    "sample.steps=1",
    "sample.clips=2",
    "device=cpu",
)
"""A whole run in some seconds."""

OPTIONAL = (
    "joblib", "lpips", "peft", "skimage", "submitit", "tensorboard", "torch_fidelity",
    "torchmetrics", "torchvision", "transformers", "wandb", "xformers",
)  # fmt: skip

WITHOUT_OPTIONAL = f"""
from importlib.machinery import PathFinder

find_spec = PathFinder.find_spec


def blocked(name, path=None, target=None):
    return None if name.split(".")[0] in {OPTIONAL} else find_spec(name, path, target)


PathFinder.find_spec = staticmethod(blocked)
"""
"""Code after which a process finds only the base dependencies."""


def environment(**changes: str) -> dict[str, str]:
    inherited = {k: v for k, v in os.environ.items() if k != "HYDRA_FULL_ERROR"}
    return {**inherited, "PYTHONPATH": str(ROOT), **changes}


def start(*arguments: str, cwd: Path, code: str | None = None, **env: str) -> subprocess.Popen[str]:
    """`python -m attnzoo ...` in `cwd`; with `code` that is run first."""
    program = ["-m", "attnzoo"]
    if code is not None:
        program = ["-c", f"{code}\nfrom attnzoo.__main__ import main\nmain()"]
    return subprocess.Popen(
        [sys.executable, *program, *arguments],
        cwd=cwd,
        env=environment(**env),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # A process that a shell started in the background ignores Ctrl-C, and so would ours.
        preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_DFL),
    )


def finish(process: subprocess.Popen[str]) -> subprocess.CompletedProcess[str]:
    out, err = process.communicate(timeout=300)
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)


def command(
    *arguments: str, cwd: Path, code: str | None = None, **env: str
) -> subprocess.CompletedProcess[str]:
    """A command from start to end; one without `code` and `env` is a fork that needs no imports."""
    if code is not None or env or "HYDRA_FULL_ERROR" in os.environ:
        return finish(start(*arguments, cwd=cwd, code=code, **env))
    server = _warm()
    assert server.stdin is not None and server.stdout is not None
    with tempfile.TemporaryDirectory() as folder:
        streams = [os.path.join(folder, name) for name in ("output", "errors")]
        server.stdin.write(json.dumps([arguments, os.path.abspath(cwd), *streams]) + "\n")
        server.stdin.flush()
        if not select.select([server.stdout], [], [], 300)[0]:
            _warm.cache_clear()
            server.kill()
            raise TimeoutError(f"{arguments}: not done after 300 s")
        status = int(server.stdout.readline())
        out, err = (Path(stream).read_text() for stream in streams)
    return subprocess.CompletedProcess(list(arguments), status, out, err)


@cache
def _warm() -> subprocess.Popen[str]:
    """The process whose forks are the commands; it ends with this one."""
    server = subprocess.Popen(
        [sys.executable, str(ROOT / "tests" / "warm.py")],
        env=environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    atexit.register(server.kill)
    return server
