"""Both ends of the line to a worker process."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import torch

from attnzoo import registry
from attnzoo.bench.cell import Cell
from attnzoo.bench.environment import PACKAGE
from attnzoo.bench.measure import timed
from attnzoo.bench.preparation import Preparation, Ready, Refused
from attnzoo.bench.row import Facts, Status
from attnzoo.bench.subject import Subject


def serve(requests: IO[str], answers: IO[str], settings: Mapping[str, Any]) -> None:
    """Prepares and times what is asked for, in the order of the requests."""
    torch.set_num_threads(settings["threads"])
    for plugin in settings["plugins"]:
        registry.load_plugin(plugin)
    device = torch.device(settings["device"])
    preparation = Preparation(device, settings["longest"], settings["memory"])
    ready: dict[str, Ready] = {}
    for line in requests:
        request = json.loads(line)
        if "prepare" in request:
            cell = Cell.of(request["prepare"])
            found = preparation.prepare(cell)
            if isinstance(found, Ready):
                ready[cell.digest] = found
            answer = _said(found)
        else:
            run = ready[request["time"]].subject.run
            if request["warm"]:
                timed(run, device)
            answer = {"seconds": timed(run, device)}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


def _said(found: Ready | Refused) -> dict[str, Any]:
    if isinstance(found, Ready):
        return {"facts": dataclasses.asdict(found.facts), "first": found.first}
    return {"refused": {**dataclasses.asdict(found), "status": found.status.value}}


class WorkerDied(Exception):
    """The process is gone; the system may have ended it for want of memory."""

    def __init__(self, status: int) -> None:
        super().__init__(f"exit status {status}")
        self.status = status


class Worker:
    """A worker process, with the package in `tree`; to be closed."""

    def __init__(
        self,
        tree: Path,
        *,
        device: torch.device,
        longest: float,
        memory: int | None,
        plugins: Sequence[str] = (),
    ) -> None:
        """Starts it; it has this process's environment, cores and number of threads."""
        self._cells: dict[str, Cell] = {}
        self._there: set[str] = set()
        settings = {
            "threads": torch.get_num_threads(),
            "plugins": list(plugins),
            "device": device.type,
            "longest": longest,
            "memory": memory,
        }
        file = PACKAGE / "bench" / "worker.py"
        self._command = [sys.executable, str(file), str(tree), json.dumps(settings)]
        self._process = self._started()

    def _revive(self) -> None:
        """Starts the process again if it is gone."""
        if self._process.poll() is not None:
            self._close_pipes()
            self._there.clear()
            self._process = self._started()

    def _started(self) -> subprocess.Popen[str]:
        return subprocess.Popen(
            self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def prepare(self, cell: Cell) -> Ready | Refused:
        """As `Preparation.prepare`, there; a worker that is killed has run out of memory.

        The next cell gets a new process, and so do those that were ready when they are timed.
        """
        self._revive()
        try:
            answer = self._ask({"prepare": cell.plain})
        except WorkerDied as died:
            killed = died.status < 0
            status = Status.out_of_memory if killed else Status.failed
            return Refused(status, f"the process that tried it died ({died})")
        if "refused" in answer:
            refused = answer["refused"]
            return Refused(**{**refused, "status": Status(refused["status"])})
        self._cells[cell.digest] = cell
        self._there.add(cell.digest)
        run = There(self, cell.digest, answer["first"] < SHORT)
        return Ready(Subject(run), Facts(**answer["facts"]), answer["first"])

    def time(self, digest: str, warm: bool) -> float:
        """Seconds of one run of a cell that was prepared, measured there.

        Raises:
            WorkerDied: the process is gone.
        """
        self._revive()
        if digest not in self._there:
            self._ask({"prepare": self._cells[digest].plain})
            self._there.add(digest)
        return float(self._ask({"time": digest, "warm": warm})["seconds"])

    def _ask(self, request: Mapping[str, Any]) -> dict[str, Any]:
        process = self._process
        assert process.stdin is not None and process.stdout is not None
        try:
            process.stdin.write(json.dumps(request) + "\n")
            process.stdin.flush()
            line = process.stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            raise WorkerDied(process.wait())
        answer: dict[str, Any] = json.loads(line)
        return answer

    def close(self) -> None:
        """Ends it."""
        self._close_pipes()
        try:
            self._process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _close_pipes(self) -> None:
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with suppress(BrokenPipeError):  # of what it was told when it died
                    pipe.close()

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


@dataclass
class There:
    """A run in the worker, timed there; warm: right after one that does not count."""

    worker: Worker
    digest: str
    warm: bool

    def seconds(self) -> float:
        """As `Worker.time`."""
        return self.worker.time(self.digest, self.warm)


SHORT = 0.02
"""Seconds below which a run is preceded by one that does not count: what ran before it has taken
the caches."""
