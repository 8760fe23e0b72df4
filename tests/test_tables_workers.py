"""Worker processes: what they do, what they print, and what happens when one dies."""

from __future__ import annotations

import io
import os
import signal
import time
from pathlib import Path

import pytest

from attnzoo.errors import UserError
from attnzoo.tables.progress import Progress
from attnzoo.tables.workers import Outcome, Task, Workers


def doubled(number: int) -> int:
    print(f"doubling {number}")
    return 2 * number


def wrong(text: str) -> None:
    raise UserError(text)


def broken() -> None:
    raise KeyError("gone")


def dies_once(marker: Path) -> str:
    if not marker.exists():
        marker.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return "done"


def dies(folder: Path) -> None:
    (folder / f"{os.getpid()}").touch()
    os.kill(os.getpid(), signal.SIGKILL)


def environment(name: str) -> str | None:
    return os.environ.get(name)


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory) -> tuple[Path, dict[str, Outcome]]:
    folder = tmp_path_factory.mktemp("workers")
    (folder / "dead").mkdir()
    tasks = [
        Task("double", folder / "double.log", doubled, (21,)),
        Task("wrong", folder / "wrong.log", wrong, ("size=3: must be even",)),
        Task("dies once", folder / "once.log", dies_once, (folder / "marker",)),
        Task("broken", folder / "broken.log", broken, ()),
        Task("dies", folder / "dies.log", dies, (folder / "dead",)),
        Task("threads", folder / "threads.log", environment, ("OMP_NUM_THREADS",)),
    ]
    told: list[int] = []
    with Workers(2, 3) as workers:
        found = {o.task.name: o for o in workers.do(tasks, lambda busy: told.append(len(busy)))}
        processes = [worker.process for worker in workers._all]
    assert max(told) == 2 and not any(process.is_alive() for process in processes)
    return folder, found


def test_every_task_has_an_outcome(outcomes):
    _, found = outcomes
    assert len(found) == 6
    assert found["double"].result == 42 and found["double"].kind is None


def test_what_a_task_prints_is_in_its_log(outcomes):
    folder, _ = outcomes
    assert (folder / "double.log").read_text() == "doubling 21\n"
    assert "Traceback" in (folder / "broken.log").read_text()


def test_an_error_is_an_outcome(outcomes):
    _, found = outcomes
    assert (found["wrong"].kind, found["wrong"].said) == ("UserError", "size=3: must be even")
    assert (found["broken"].kind, found["broken"].said) == ("KeyError", "'gone'")


def test_a_dead_worker_is_replaced_and_its_task_begun_again(outcomes):
    assert outcomes[1]["dies once"].result == "done"


def test_a_task_that_kills_twice_has_failed(outcomes):
    folder, found = outcomes
    assert found["dies"].kind == "WorkerDied" and "-9" in found["dies"].said
    assert len(list((folder / "dead").iterdir())) == 2


def test_threads_are_the_workers_own(outcomes):
    assert outcomes[1]["threads"].result == "3"
    assert os.environ.get("OMP_NUM_THREADS") != "3"


def test_progress_expects_what_the_same_cell_took():
    stream = io.StringIO()
    said = Progress(stream)
    tasks = [Task(f"{c}, seed {s}", Path("log"), doubled, ()) for s in (0, 1) for c in ("a", "b")]
    said.begin("runs", tasks, workers=2)
    assert "time left unknown" in said.line([])
    said.done(Outcome(tasks[0], 600.0))
    said.done(Outcome(tasks[1], 120.0))
    # 600 and 120 seconds are left, of which 300 are over, for two workers.
    assert said.line([(tasks[2], 300.0)]) == (
        "runs 2/4, about 4 min left, at work: a, seed 1 (300 s)"
    )


def test_progress_in_a_file_is_a_line_a_minute_and_failures_stay(monkeypatch):
    stream = io.StringIO()
    said = Progress(stream)
    task = Task("a, seed 0", Path("log"), doubled, ())
    said.begin("runs", [task], workers=1)
    now = time.monotonic()
    for seconds in (0, 10, 59, 61, 90):
        monkeypatch.setattr(time, "monotonic", lambda seconds=seconds: now + seconds)
        said.tick([(task, float(seconds))])
    said.done(Outcome(task, 90.0, kind="Diverged", said="the loss\nis nan"))
    lines = stream.getvalue().splitlines()
    assert len(lines) == 3 and lines[2] == "a, seed 0: failed: Diverged: the loss is nan"
