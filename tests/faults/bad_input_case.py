"""A case of input, and the way it is run: in this process, as the command line would.

What a command has to do with its input comes before what takes long, and what takes long is left
out here: training, measuring and simulating are replaced by a note of what would have started.
"""

from __future__ import annotations

import contextlib
import importlib
import logging
import os
import re
import resource
import shlex
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from hydra.core.global_hydra import GlobalHydra

from attnzoo import commands, registry
from attnzoo._imports import loaded_files
from attnzoo.errors import UserError
from attnzoo.metrics import registry as metrics_registry

SECONDS = 5.0
"""Of processor time that a case may take once everything is imported."""
WAITS = 15.0
"""Of other time: what waits for something that never comes takes no processor's."""
MEMORY = 2 << 30
"""Bytes that a case may take beyond those that are taken when it begins."""
HANGS = 30.0
"""Seconds of processor time, or of waiting four times as long, after which a case is stopped."""
BAR = re.compile(r"\d+%\|.*\|")
MAY_FAIL = ("check", "bench", "tables")
"""Whose status 1 is an answer, with right input: a variant is not what it says, a row is worse."""
CLIP = 0.5e6
"""Characters of output that are looked at."""


@dataclass(frozen=True)
class Case:
    """One input.

    line: the command and its arguments, as typed in a shell; files: makes what it needs in the
    folder in which it runs; says: words of which the one line has to hold all, exit status 2;
    right: what has to hold of the result, exit status 0 (None: the input is to be refused).
    """

    name: str
    line: str
    says: tuple[str, ...] = ()
    files: Callable[[Path], object] | None = None
    right: Callable[[Ran], bool] | None = None


@dataclass
class Ran:
    """What came of a command.

    seconds: of the processor; waited: beyond them; started: what would have begun to work, with
    what it was given.
    """

    status: int
    out: str
    err: str
    seconds: float
    waited: float
    folder: Path
    started: list[Any] = field(default_factory=list)
    command: str = ""

    @property
    def lines(self) -> list[str]:
        """What stands on stderr but for progress bars."""
        every = self.err.replace("\r", "\n").splitlines()
        return [line for line in every if line.strip() and not BAR.search(line)]

    @property
    def fault(self) -> str | None:
        """What no command may do with any input, or None."""
        if "Traceback (most recent call last)" in self.err:
            return "traceback: " + self.err.strip().splitlines()[-1][:200]
        if self.status not in (0, 2) and not (self.status == 1 and self.command in MAY_FAIL):
            return f"exit status {self.status}"
        if self.status == 2 and len(self.lines) != 1:
            return f"{len(self.lines)} lines on stderr: {self.err[:300]!r}"
        if self.seconds > SECONDS:
            return f"{self.seconds:.1f} s"
        if self.waited > WAITS:
            return f"{self.waited:.1f} s of waiting"
        return None


class Hang(BaseException):
    """The case took too long and was stopped."""


def judged(case: Case, ran: Ran) -> str | None:
    """What is wrong with what came of a case, or None."""
    if ran.fault is not None:
        return ran.fault
    if any(path.name.startswith("evil") for path in ran.folder.iterdir()):
        return "code of a file was run"
    if case.right is not None:
        if ran.status != 0:
            return f"refused, and is right: {ran.err.strip()}"
        return None if case.right(ran) else "the result is not as it should be"
    if ran.status != 2:
        return f"exit status {ran.status} instead of 2"
    missing = [words for words in case.says if words not in ran.err]
    return f"does not say {missing}: {ran.err.strip()}" if missing else None


def run(case: Case, folder: Path) -> Ran:
    """Makes the files of a case in `folder` and runs its command there."""
    folder.mkdir(parents=True, exist_ok=True)
    if case.files is not None:
        with _inside(folder):
            case.files(folder)
    return execute(shlex.split(case.line), folder)


def execute(words: Sequence[str], folder: Path) -> Ran:
    """Runs a command in `folder`, in this process; nothing of it stays."""
    name, *arguments = words
    started: list[Any] = []
    with _inside(folder), _kept(), _instead(started), _captured() as texts:
        began, clock = time.process_time(), time.monotonic()
        try:
            with _watched():
                command = COMMANDS.get(name) or _command(name)
                commands.execute(command, arguments)
        except _Started:
            status = 0
        except SystemExit as exit_:
            status = exit_.code if isinstance(exit_.code, int) else 0 if exit_.code is None else 1
        except (Exception, Hang):
            # What Python would print and exit with.
            traceback.print_exc()
            status = 1
        seconds = time.process_time() - began
        waited = time.monotonic() - clock - seconds
    out, err = texts
    return Ran(status, out, err, seconds, waited, folder, started, name)


def _command(name: str) -> commands.Command:
    from attnzoo.__main__ import COMMANDS as KNOWN

    if name not in KNOWN:
        from attnzoo import __main__ as dispatcher

        return lambda arguments: dispatcher.command([name, *arguments])
    module = importlib.import_module(f"attnzoo.{name}")
    if not hasattr(module, "command"):
        module = importlib.import_module(f"attnzoo.{name}.__main__")
    command: commands.Command = module.command
    return command


def _load(arguments: Sequence[str]) -> None:
    from attnzoo import results

    frame = results.load(arguments[0])
    print(frame.drop_duplicates(["path"])[["path", "variant", "seed"]].to_string(index=False))
    print(f"{len(frame)} rows")


def _record(arguments: Sequence[str]) -> None:
    from attnzoo.train.record import read_record

    print(read_record(Path(arguments[0]))["variant"])


def _findings(arguments: Sequence[str]) -> None:
    """The report as far as its tables and facts go; pictures of right files take long."""
    from attnzoo.report.page import facts
    from attnzoo.report.tables import findings

    folder = Path(arguments[0])
    found = findings(folder)
    print(len(found.folder.records), "cells", len(found.tables), "tables")
    facts.search_lines(folder), facts.machines(found.folder), facts.failure_lines(found.folder)
    facts.cell_lines(found.protocol, found.folder), facts.settings(found.protocol)
    print(facts.summary(found.protocol, found.folder))


def _journal(arguments: Sequence[str]) -> None:
    from attnzoo.bench.journal import Journal

    found = Journal(Path(arguments[0]), "here")
    print(len(found.facts), "facts", len(found.seconds), "cells")
    found.close()


def _motion(arguments: Sequence[str]) -> None:
    """`motion SHAPE VALUE`: a variant that follows flows of that shape, of that number alone."""
    import attnzoo
    from attnzoo.motion import Motion

    shape, value = arguments
    torch.manual_seed(0)
    module = attnzoo.create("stsa_flow", channels=8, heads=2, size=(2, 2, 2))
    tokens = torch.randn(1, 4, 4, 4, 8)
    flows = torch.full([int(side) for side in shape.split(",")], float(value))
    try:
        found = module(tokens, flow=Motion.pairs(flows))
    except ValueError as error:  # what code that calls the module gets
        raise UserError(str(error)) from error
    still = module(tokens, flow=Motion.pairs(torch.zeros(1, 4, 4, 2, 8, 8)))
    same = "as without motion" if torch.equal(found, still) else "moved"
    print("finite" if found.isfinite().all() else "not finite", same)


def _modules(arguments: Sequence[str]) -> None:
    import attnzoo
    from attnzoo.testing.small_unet import stock

    print(attnzoo.load_modules(stock(), arguments[0]).variant)


def _base(arguments: Sequence[str]) -> None:
    from attnzoo.models.choice import Embedded

    Embedded(weights=arguments[0]).build()


def _weights(arguments: Sequence[str]) -> None:
    from attnzoo.metrics.networks.weights import read_weights

    print(len(read_weights(Path(arguments[0]))), "tensors")


def _state(arguments: Sequence[str]) -> None:
    from attnzoo.models.pretrained import read_state

    print(type(read_state(Path(arguments[0]))).__name__)


COMMANDS: dict[str, commands.Command] = {
    "results.load": _load,
    "read_record": _record,
    "findings": _findings,
    "base": _base,
    "journal": _journal,
    "load_modules": _modules,
    "motion": _motion,
    "read_weights": _weights,
    "read_state": _state,
}
"""Doors of the package that have no command, taken as if they had one."""


class _Started(BaseException):
    """Everything was checked; what would begin now is left out. Nobody takes it for an end."""


@contextlib.contextmanager
def _instead(started: list[Any]) -> Iterator[None]:
    """Puts notes in the place of what works long."""
    from attnzoo import config
    from attnzoo import run as running

    def trains(cfg: Any) -> None:
        source = None if cfg.resume is not None else config.source_of(cfg)
        started.append((cfg, source))

    trains.__module__ = running.__name__

    def stops(*arguments: Any, **named: Any) -> Any:
        started.append(arguments)
        raise _Started

    def tables(settings: Any, mine: Any) -> list[Any]:
        started.append((settings, mine))
        return []

    places: list[tuple[str, str, Any]] = [
        ("attnzoo.run", "_run", trains),
        ("attnzoo.bench.run", "sweep", stops),
        ("attnzoo.bench.goals", "sweep", stops),
        ("attnzoo.bench.mechanisms", "run", stops),
        ("attnzoo.tables.run", "_run_tables", tables),
        ("attnzoo.tables.run", "_search", tables),
        ("attnzoo.coverage", "_simulated", stops),
        ("attnzoo.scoring.sensitivity", "measure", stops),
        ("attnzoo.planning.plan", "plan", stops),
        ("attnzoo.planning.measured", "measured", stops),
        ("attnzoo.testing.alignment", "aligned_clips", stops),
        ("attnzoo.testing.flow_sources", "compared", stops),
        ("attnzoo.mixing.making", "make", stops),
        ("attnzoo.preparation.prepare", "_all", stops),
    ]
    before = []
    for place, name, new in places:
        module = importlib.import_module(place)
        if hasattr(module, name):
            before.append((module, name, getattr(module, name)))
            setattr(module, name, new)
    try:
        yield
    finally:
        for module, name, old in before:
            setattr(module, name, old)


@contextlib.contextmanager
def _inside(folder: Path) -> Iterator[None]:
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


@contextlib.contextmanager
def _kept() -> Iterator[None]:
    """What a process has only one of is afterwards as it was."""
    metrics_registry.metrics(metrics_registry.Profile.strict)  # so that nothing is left to discover
    metrics, files = dict(metrics_registry._entries), dict(loaded_files)
    modules = set(sys.modules)
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    environment, threads = dict(os.environ), torch.get_num_threads()
    terminating = signal.getsignal(signal.SIGTERM)
    os.environ.pop("HYDRA_FULL_ERROR", None)
    try:
        with registry.preserved(), warnings.catch_warnings():
            warnings.simplefilter("error")
            yield
    finally:
        signal.signal(signal.SIGTERM, terminating)
        GlobalHydra.instance().clear()
        metrics_registry._entries.clear()
        metrics_registry._entries.update(metrics)
        loaded_files.clear()
        loaded_files.update(files)
        for name in set(sys.modules) - modules:
            if name.startswith("attnzoo_plugin_"):
                del sys.modules[name]
        for handler in [h for h in root.handlers if h not in handlers]:
            root.removeHandler(handler)
            handler.close()
        root.handlers[:] = handlers
        root.setLevel(level)
        os.environ.clear()
        os.environ.update(environment)
        torch.set_num_threads(threads)


@contextlib.contextmanager
def _captured() -> Iterator[list[str]]:
    """What Python and native code write to stdout and stderr, as two texts when it is over."""
    texts: list[str] = []
    sys.stdout.flush(), sys.stderr.flush()
    saved = [os.dup(1), os.dup(2)]
    before = sys.stdout, sys.stderr
    files = [tempfile.TemporaryFile("w+", errors="replace") for _ in range(2)]  # noqa: SIM115
    try:
        for number, file in enumerate(files, 1):
            os.dup2(file.fileno(), number)
        sys.stdout, sys.stderr = files
        yield texts
    finally:
        for file in files:
            file.flush()
        sys.stdout, sys.stderr = before
        for number, copy in enumerate(saved, 1):
            os.dup2(copy, number)
            os.close(copy)
        for file in files:
            file.seek(0)
            texts.append(file.read(int(CLIP)))
            file.close()


@contextlib.contextmanager
def _watched() -> Iterator[None]:
    def stop(signum: int, frame: object) -> None:
        raise Hang(f"stopped by {signal.Signals(signum).name}")

    pages = int(Path("/proc/self/statm").read_text().split()[5])
    limits = resource.getrlimit(resource.RLIMIT_DATA)
    timers = ((signal.SIGPROF, signal.ITIMER_PROF, 1), (signal.SIGALRM, signal.ITIMER_REAL, 4))
    before = [signal.signal(number, stop) for number, _, _ in timers]
    for _, timer, factor in timers:
        signal.setitimer(timer, factor * HANGS)
    most = pages * resource.getpagesize() + MEMORY
    resource.setrlimit(resource.RLIMIT_DATA, (most, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, limits)
        for (number, timer, _), old in zip(timers, before, strict=True):
            signal.setitimer(timer, 0)
            signal.signal(number, old)
