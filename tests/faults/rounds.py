"""A round: one fault done to one job, what it left, and the job gone on with to its end."""

from __future__ import annotations

import json
import random
import shutil
import signal
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import checking
from children import Child, start
from jobs import CACHE, GIVEN, JOBS, OUT, Arguments, Job

from attnzoo.commands import LACKS

SHORT_S = 10.0
"""A run so short is timed when it is done again."""


@dataclass(frozen=True)
class Reference:
    """The uninterrupted run: its folder, and how long it took."""

    folder: Path
    seconds: float


@dataclass
class Round:
    """What kinds of faults work with.

    folder: the job's own, with its inputs; number: of its fault and job, from 0; lost, wrong: what
    must not be, in words; faults: how many were done; random: the round's own.
    """

    job: Job
    folder: Path
    reference: Reference
    random: random.Random
    number: int = 0
    faults: int = 0
    lost: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    said: str = ""
    errors: str = ""
    _recorded: dict[str, str] = field(default_factory=dict)
    _went_on: bool = False

    @property
    def out(self) -> Path:
        """What the job writes."""
        return self.folder / OUT

    @property
    def logs(self) -> Path:
        """What it prints; no fault reaches there."""
        return self.folder.with_name(f"{self.folder.name}-logs")

    def start(
        self,
        arguments: Arguments | None = None,
        before: Callable[[], None] | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> Child:
        """The job as a user would start it, or go on with it, here and now."""
        told = self.job.go_on(self.folder) if arguments is None else arguments
        more = {**self.job.environment, **(environment or {})}
        return start(told, self.folder, logs=self.logs, before=before, environment=more)

    def moment(self) -> float:
        """Seconds from the start, somewhere in the job."""
        return self.random.uniform(0.0, 0.95) * self.reference.seconds

    def pause(self, child: Child, seconds: float) -> None:
        """Waits so long, or until the command has ended."""
        until = time.monotonic() + seconds
        while child.alive() and time.monotonic() < until:
            time.sleep(0.001)

    def history(self) -> None:
        """In every second round, the first too, the job was killed before: there is what to lose.

        A kill is no fault of the round's own.
        """
        if self.number % 2 == 0 and self.job.resumes:
            child = self.start()
            self.pause(child, self.moment())
            child.send(signal.SIGKILL)
            self.ended(child, -signal.SIGKILL, 0)
            self.look()

    def expect(self, fine: bool, what: str) -> None:
        """`what` is wrong unless `fine`."""
        if not fine:
            self.wrong.append(what)

    def ended(self, child: Child, *statuses: int) -> int:
        """Waits for a command, which must end with one of these, and leave no process behind."""
        status = child.wait()
        self.expect(not child.hung, "the command hangs")
        self.expect(not child.orphans(), "its worker processes outlive it")
        said = child.said.strip()
        self.said, self.errors = said, child.errors.read_text(errors="replace")
        # What libraries do on the way out may fail, too, and Python tells of it.
        before = said.partition("Exception ignored in")[0]
        for fault in ("Traceback", "--- Logging error"):
            self.expect(fault not in before, f"{fault}: {before[-300:]}")
        if statuses:
            self.expect(status in statuses, f"exit status {status}, not {statuses}: {said[-300:]}")
        return status

    def lacked(self, status: int, *says: str) -> None:
        """A command ended so for what the machine lacks; cells of tables may, and it ends with 1.

        says: one of these it has to say.
        """
        self.faults += 1
        said = self.said.partition("Exception ignored in")[0]
        fine = status == LACKS or (status == 1 and self.job.workers)
        self.expect(fine, f"exit status {status}, not {LACKS}: {said[-300:]}")
        self.expect(any(text in said for text in says), f"it says: {said[-300:]}")

    def look(self) -> None:
        """After a fault: every final file is whole, and what was recorded still is."""
        for place in (self.out, self.folder / CACHE):
            self.wrong += [f"after the fault: {text}" for text in checking.half_written(place)]
        self._compare_records("after the fault")
        if not self.wrong:
            self._recorded |= self.job.recorded(self.out)
        there = self.job.has_checkpoint(self.out)
        if self._went_on and not there and not self.job.recorded(self.out):
            self.lost.append("after the fault: every checkpoint is gone")
        self._went_on = there

    def _compare_records(self, when: str) -> None:
        now = self.job.recorded(self.out)
        for name, value in self._recorded.items():
            if now.get(name) != value:
                how = "changed" if name in now else "gone"
                self.lost.append(f"{when}: what was recorded is {how}: {name}")

    def forget(self, damaged: Path | None = None) -> None:
        """What was recorded in this file, or anywhere, need not be there: that is the fault.

        It has to come back all the same. What is not told by a file's name stands in one file.
        """
        self._went_on = False
        if damaged is None:
            self._recorded.clear()
        for name in list(self._recorded):
            if self.out / name == damaged or not (self.out / name).exists():
                del self._recorded[name]

    def damaged(self) -> bool:
        """Whether some final file is not whole."""
        places = (self.out, self.folder / CACHE)
        return any(checking.half_written(place) for place in places)

    def finish(self) -> None:
        """Goes on with the job to its end, which must be that of the uninterrupted run."""
        self.ended(self.start(), 0)
        self.check_end()

    def check_end(self) -> None:
        """Of a job that is done: all there, whole, swept, and with the right numbers."""
        for place in (self.out, self.folder / CACHE):
            self.wrong += checking.half_written(place)
            self.wrong += checking.leftovers(place)
        self._compare_records("at the end")
        self.wrong += checking.differences(self.out, self.reference.folder / OUT, self.job.clocks)
        if self._went_on and not self.wrong:
            record = json.loads((self.out / "record.json").read_text())
            again = record["training"]["resumed"] > 0
            self.expect(again, "it has begun anew, and there was a checkpoint")


def furnish(job: Job, folder: Path, scratch: Path) -> None:
    """Makes a round's folder, with all that the job reads in it."""
    folder.mkdir(parents=True)
    if job.given is not None:
        shutil.copytree(scratch / f"reference-{job.given}" / OUT, folder / GIVEN)
    job.inputs(folder)


@dataclass
class References:
    """The uninterrupted runs of this process, each made when it is first asked for."""

    scratch: Path
    _made: dict[str, Reference] = field(default_factory=dict)

    def of(self, job: Job) -> Reference:
        """Runs the job without any fault, and before it the one whose results it needs.

        Raises:
            RuntimeError: it fails; nothing can be tried with it then.
        """
        if job.name not in self._made:
            if job.given is not None:
                self.of(JOBS[job.given])
            made = self._run(job)
            # The first run of all reads from the disk what later ones find in memory, and a moment
            # in a short one is soon a moment after it.
            self._made[job.name] = self._run(job) if made.seconds < SHORT_S else made
        return self._made[job.name]

    def _run(self, job: Job) -> Reference:
        folder = self.scratch / f"reference-{job.name}"
        logs = folder.with_name(f"{folder.name}-logs")
        for old in (folder, logs):
            shutil.rmtree(old, ignore_errors=True)
        furnish(job, folder, self.scratch)
        began = time.monotonic()
        child = start(job.arguments, folder, logs=logs, environment=job.environment)
        status = child.wait()
        seconds = time.monotonic() - began
        out = folder / OUT
        problems = [*checking.half_written(out), *checking.leftovers(out)]
        if status or child.orphans() or problems:
            raise RuntimeError(f"{job.name} without faults: {status}, {problems} {child.said}")
        return Reference(folder, seconds)
