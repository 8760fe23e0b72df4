"""Runs commands of the package as a user does, in a process of their own."""

from __future__ import annotations

import atexit
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import weakref
from dataclasses import asdict
from functools import cache, partial
from pathlib import Path

from warm import Asked

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
    """One thread, as a fork has: numbers are the same where that is. Warnings are errors."""
    inherited = {k: v for k, v in os.environ.items() if k != "HYDRA_FULL_ERROR"}
    threads = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "PYTHONWARNINGS": "error"}
    return {**threads, **inherited, "PYTHONPATH": str(ROOT), **changes}


def start(
    *arguments: str, cwd: Path, code: str | None = None, **env: str
) -> subprocess.Popen[str] | Forked:
    """`python -m attnzoo ...` in `cwd`: a fork that needs no imports; with `code`, which is run
    first, a process of its own.
    """
    if code is None:
        return Forked("attnzoo.__main__", [*arguments], cwd, environment(**env))
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


def finish(process: subprocess.Popen[str] | Forked) -> subprocess.CompletedProcess[str]:
    out, err = process.communicate(timeout=300)
    assert process.returncode is not None
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)


def command(
    *arguments: str, cwd: Path, code: str | None = None, **env: str
) -> subprocess.CompletedProcess[str]:
    """A command from start to end."""
    return finish(start(*arguments, cwd=cwd, code=code, **env))


class Forked:
    """`main` of a module in a process that needs no imports.

    Has of `subprocess.Popen` what tests use.
    """

    def __init__(self, program: str, arguments: list[str], cwd: Path, env: dict[str, str]) -> None:
        self.args, self.returncode = arguments, None
        self._folder = tempfile.mkdtemp()
        weakref.finalize(self, shutil.rmtree, self._folder)
        os.mkfifo(f"{self._folder}/told")
        self._told = os.open(f"{self._folder}/told", os.O_RDONLY | os.O_NONBLOCK)
        weakref.finalize(self, os.close, self._told)
        server = _warm()
        assert server.stdin is not None
        asked = Asked(program, arguments, os.path.abspath(cwd), env, self._folder)
        server.stdin.write(json.dumps(asdict(asked)) + "\n")
        server.stdin.flush()
        self._line = b""
        pid = self._next(60)
        assert pid is not None, "the process that forks commands does not answer"
        self.pid = pid

    def _next(self, seconds: float) -> int | None:
        """The next number that is told, if it comes in time."""
        until = time.monotonic() + seconds
        while not self._line.endswith(b"\n"):
            if not select.select([self._told], [], [], max(until - time.monotonic(), 0))[0]:
                return None
            one = os.read(self._told, 1)
            assert one, "the process that waits for a command is gone"
            self._line += one
        number, self._line = int(self._line), b""
        return number

    def poll(self) -> int | None:
        return self.wait(0)

    def wait(self, timeout: float) -> int | None:
        if self.returncode is None:
            self.returncode = self._next(timeout)
        return self.returncode

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def communicate(self, timeout: float = 300) -> tuple[str, str]:
        if self.wait(timeout) is None:
            self.kill()
            raise TimeoutError(f"{self.args}: not done after {timeout} s")
        out, err = (Path(self._folder, name).read_text() for name in ("output", "errors"))
        return out, err


@cache
def _warm() -> subprocess.Popen[str]:
    """The process whose forks are the commands; it ends with this one."""
    server = subprocess.Popen(
        [sys.executable, str(ROOT / "tests" / "warm.py")],
        env=environment(OMP_NUM_THREADS="1", MKL_NUM_THREADS="1"),
        stdin=subprocess.PIPE,
        text=True,
    )
    atexit.register(server.kill)
    return server
