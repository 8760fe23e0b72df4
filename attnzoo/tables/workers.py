"""Warm worker processes: each imports the package once and then does one task after the other."""

from __future__ import annotations

import _thread
import multiprocessing
import os
import signal
import sys
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from pathlib import Path
from types import TracebackType
from typing import Any

from attnzoo.errors import UserError, lacking
from attnzoo.tables.undisturbed import undisturbed

TRIES = 2
"""A task whose worker dies is begun again once."""
PATIENCE_S = 20.0
"""How long a worker may take to write its checkpoint when all is broken off."""
IDLE_S = 1.0
"""How long a worker sleeps at a time: it notices that it is to end when it wakes."""
_THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS")
_SPAWN = multiprocessing.get_context("spawn")


@dataclass(frozen=True)
class Task:
    """A function of a module with its arguments, all of which can be pickled.

    name: what progress calls it; log: the file for all that is printed meanwhile.
    """

    name: str
    log: Path
    function: Callable[..., Any]
    arguments: tuple[Any, ...]


@dataclass(frozen=True)
class Outcome:
    """What became of a task: its result, or the kind of its error and one line about it.

    passing: it failed for what the machine lacked, or its process died: it may do another time.
    """

    task: Task
    seconds: float
    result: Any = None
    kind: str | None = None
    said: str = ""
    passing: bool = False


@dataclass
class _Worker:
    process: Any
    line: Connection
    task: Task | None = None
    began: float = 0.0


@dataclass
class Workers:
    """Processes that do tasks side by side; a context, at whose end they are gone.

    count: how many; threads: of torch in each, None for its own choice; plugins: what each loads.
    """

    count: int
    threads: int | None
    plugins: Sequence[str] = ()
    _all: list[_Worker] = field(default_factory=list)

    def __enter__(self) -> Workers:
        """Processes are started when there is something to do."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        """Ends all; those at work get time for their checkpoints."""
        for worker in self._all:
            worker.line.close()  # which ends one that waits for a task
            if worker.task is not None:
                worker.process.terminate()
        until = time.monotonic() + PATIENCE_S
        for worker in self._all:
            worker.process.join(max(0.0, until - time.monotonic()))
            if worker.process.is_alive():
                worker.process.kill()
                worker.process.join()
        self._all.clear()

    def do(
        self, tasks: Sequence[Task], tick: Callable[[Sequence[tuple[Task, float]]], None]
    ) -> Iterator[Outcome]:
        """Outcomes as they come; `tick` is told of the tasks at work and their seconds so far."""
        left, tries = deque(tasks), dict.fromkeys(map(id, tasks), 0)
        while left or any(worker.task for worker in self._all):
            self._hand_out(left, tries)
            busy = [worker for worker in self._all if worker.task is not None]
            now = time.monotonic()
            tick([(w.task, now - w.began) for w in busy if w.task is not None])
            ready = wait([x for w in busy for x in (w.line, w.process.sentinel)], timeout=1.0)
            for worker in busy:
                if worker.line in ready or worker.process.sentinel in ready:
                    outcome = self._heard(worker, left, tries)
                    if outcome is not None:
                        yield outcome

    def _hand_out(self, left: deque[Task], tries: dict[int, int]) -> None:
        # One that has died between two tasks is nobody's loss.
        self._all = [w for w in self._all if w.task is not None or w.process.is_alive()]
        while left:
            free = next((worker for worker in self._all if worker.task is None), None)
            if free is None and len(self._all) == self.count:
                return
            if free is None:
                with undisturbed():
                    free = _started(self.threads, self.plugins)
                    self._all.append(free)
            task = left.popleft()
            tries[id(task)] += 1
            free.task, free.began = task, time.monotonic()
            with suppress(OSError):  # it has died since; that is heard where outcomes are
                free.line.send(task)

    def _heard(self, worker: _Worker, left: deque[Task], tries: dict[int, int]) -> Outcome | None:
        """A worker's outcome, or None where it died and its task waits again."""
        task, seconds = worker.task, time.monotonic() - worker.began
        assert task is not None
        try:
            outcome = worker.line.recv()
        except (EOFError, OSError):
            worker.process.join()
            self._all.remove(worker)
            if tries[id(task)] < TRIES:
                left.appendleft(task)
                return None
            code = worker.process.exitcode
            said = f"the worker process died {TRIES} times, the last time with status {code}"
            return Outcome(task, seconds, kind="WorkerDied", said=said, passing=True)
        worker.task = None
        return Outcome(task, seconds, *outcome)


def _started(threads: int | None, plugins: Sequence[str]) -> _Worker:
    ours, theirs = _SPAWN.Pipe()
    process = _SPAWN.Process(target=_serve, args=(theirs, threads, tuple(plugins)), daemon=True)
    with _environment({} if threads is None else dict.fromkeys(_THREADS, str(threads))):
        process.start()
    theirs.close()
    return _Worker(process, ours)


@contextmanager
def _environment(changes: dict[str, str]) -> Iterator[None]:
    """Libraries read their numbers of threads when they are loaded."""
    before = {key: os.environ.get(key) for key in changes}
    os.environ.update(changes)
    try:
        yield
    finally:
        for key, value in before.items():
            if value is None:
                del os.environ[key]
            else:
                os.environ[key] = value


def _serve(line: Connection, threads: int | None, plugins: Sequence[str]) -> None:
    """A worker's life."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    _stop_once()
    threading.Thread(target=_end_with_parent, daemon=True).start()
    import torch

    from attnzoo import registry

    if threads is not None:
        torch.set_num_threads(threads)
    try:
        for plugin in plugins:
            registry.load_plugin(plugin)
        while True:
            while not line.poll(IDLE_S):
                pass
            line.send(_done(line.recv()))
    except (EOFError, OSError, KeyboardInterrupt):
        sys.exit(0)


def _stop_once() -> None:
    """Of all signals that ask to stop, the first SIGTERM alone counts.

    Ctrl-C reaches a terminal's whole process group, and who ends a job may send SIGTERM to all of
    its processes; the parent then sends it too. A second signal must not take a worker out of
    writing its checkpoint: the parent kills who is late.
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGINT, signal.SIGTERM))

    def wait_for_it() -> None:
        signal.sigwait((signal.SIGTERM,))
        _thread.interrupt_main(signal.SIGTERM)

    threading.Thread(target=wait_for_it, daemon=True).start()


def _end_with_parent() -> None:
    """A killed parent's workers must not go on in folders where its successor works."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)


def _done(task: Task) -> tuple[Any, str | None, str, bool]:
    """What an outcome has behind its seconds; whatever is printed goes to the task's log."""
    try:
        with _printing_to(task.log):
            return _tried(task)
    except OSError as error:  # of the log
        return None, type(error).__name__, lacking(error) or str(error), True


def _tried(task: Task) -> tuple[Any, str | None, str, bool]:
    try:
        return task.function(*task.arguments), None, "", False
    except UserError as error:
        return None, type(error).__name__, str(error), lacking(error) is not None
    except Exception as error:
        with suppress(OSError):
            traceback.print_exc()
        lack = lacking(error)
        said = lack or str(error) or type(error).__name__
        return None, type(error).__name__, said, lack is not None


@contextmanager
def _printing_to(path: Path) -> Iterator[None]:
    path.parent.mkdir(parents=True, exist_ok=True)
    kept: list[int] = []
    _flush()
    try:
        log = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        try:
            for number in (1, 2):
                kept.append(os.dup(number))
                os.dup2(log, number)
        finally:
            os.close(log)
        yield
    finally:
        _flush()
        for number, descriptor in enumerate(kept, start=1):
            os.dup2(descriptor, number)
            os.close(descriptor)


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError):  # what the log has no room for is lost, and the work is not
            stream.flush()
