"""Worker processes: what they do, what they print, and what happens when one dies."""

from __future__ import annotations

import errno
import io
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from attnzoo.errors import UserError
from attnzoo.tables import workers as tables_workers
from attnzoo.tables.progress import Progress
from attnzoo.tables.workers import Outcome, Task, Workers, _done
from attnzoo.train.stopping import Stopping


def test_a_log_that_cannot_be_written_is_told_as_such_and_all_prints_again(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    result, kind, said, passing = _done(Task("a", tmp_path / "file" / "log", doubled, (1,)))
    assert (result, kind, passing) == (None, "FileExistsError", True) and "exists" in said
    task = Task("b", Path("/dev/full"), doubled, (21,))
    assert _done(task) == (42, None, "", False)
    print("here again")
    assert capfd.readouterr().out.endswith("here again\n")


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


def stops_slowly(folder: Path) -> None:
    stopping = Stopping()
    with stopping.listening():
        (folder / "ready").touch()
        while stopping.wanted is None:
            time.sleep(0.01)
        (folder / "asked").touch()
        time.sleep(1.0)
        (folder / "saved").touch()
    raise stopping.error()


def lacks() -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


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
        Task("lacks", folder / "lacks.log", lacks, ()),
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
    assert len(found) == 7
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


def test_what_the_machine_lacked_may_pass(outcomes):
    assert {name for name, one in outcomes[1].items() if one.passing} == {"dies", "lacks"}


@pytest.mark.parametrize(
    "others",
    [pytest.param((signal.SIGINT,), marks=pytest.mark.long), (signal.SIGINT, signal.SIGTERM)],
)
def test_signals_to_all_processes_do_not_stop_a_worker_that_saves(tmp_path, others):
    """As a terminal's Ctrl-C, or a scheduler's SIGTERM, reaches a whole process group."""
    task = Task("slow", tmp_path / "log", stops_slowly, (tmp_path,))
    workers = Workers(1, 1)

    def interrupted(busy: object) -> None:
        if (tmp_path / "ready").exists():
            (worker,) = workers._all
            for number in others:
                os.kill(worker.process.pid, number)
            if signal.SIGTERM in others:
                wait_for(tmp_path / "asked")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), workers:
        list(workers.do([task], interrupted))
    assert (tmp_path / "saved").exists()


def test_an_idle_worker_that_has_died_is_nobodys_loss(tmp_path, monkeypatch):
    """Also where that happens between looking and handing out."""
    with Workers(1, 1) as workers:
        list(workers.do([Task("a", tmp_path / "a.log", doubled, (1,))], lambda busy: None))
        (worker,) = workers._all
        worker.process.kill()
        worker.process.join()
        monkeypatch.setattr(worker.process, "is_alive", lambda: True)
        (found,) = workers.do([Task("b", tmp_path / "b.log", doubled, (2,))], lambda busy: None)
    assert found.result == 4


def test_an_idle_worker_ends_when_it_is_asked_to(tmp_path):
    """Python asks so at its exit, and waits."""
    with Workers(1, 1) as workers:
        list(workers.do([Task("a", tmp_path / "a.log", doubled, (1,))], lambda busy: None))
        (worker,) = workers._all
        worker.process.terminate()
        worker.process.join(30)
        assert worker.process.exitcode == 128 + signal.SIGTERM


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_while_a_worker_is_started_leaves_none_behind(tmp_path, monkeypatch, number):
    class Stopped(Exception):
        pass

    def stop(*_: object) -> None:
        raise Stopped

    started = []

    def interrupted(*arguments: object) -> object:
        started.append(made := start(*arguments))
        os.kill(os.getpid(), number)
        return made

    start = tables_workers._started
    monkeypatch.setattr(tables_workers, "_started", interrupted)
    before = signal.signal(number, stop)
    try:
        with pytest.raises(Stopped), Workers(1, 1) as workers:
            list(workers.do([Task("a", tmp_path / "a.log", doubled, (1,))], lambda busy: None))
        assert signal.getsignal(number) is stop
    finally:
        signal.signal(number, before)
    (worker,) = started
    assert worker.process.exitcode is not None


def test_a_second_signal_does_not_wait_for_a_start():
    code = (
        "import os, signal\n"
        "from attnzoo.tables.undisturbed import undisturbed\n"
        "with undisturbed():\n"
        "    os.kill(os.getpid(), signal.SIGINT)\n"
        "    os.kill(os.getpid(), signal.SIGTERM)\n"
        "    print('still here')\n"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (ended.returncode, ended.stdout) == (-signal.SIGTERM, "")


def wait_for(path: Path) -> None:
    until = time.monotonic() + 60
    while not path.exists():
        assert time.monotonic() < until, f"no {path.name}"
        time.sleep(0.01)


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
