"""Faults in small: what a cut-off, a flipped bit, a refused write or a rival may not do.

The long part, with real kills and full disks, is `python tests/faults/run.py`; that it works, and
sees what it is there to see, is tested here too.
"""

from __future__ import annotations

import errno
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import checking
import numpy as np
import pytest
import torch
from jobs import OUT, TRAIN
from PIL import Image
from rounds import Reference, Round
from safetensors.torch import save_file

from attnzoo import commands, results, run
from attnzoo.bench import cost
from attnzoo.bench import run as bench_run
from attnzoo.bench.journal import Journal
from attnzoo.bench.row import Facts
from attnzoo.data.catalogue import Catalogue
from attnzoo.errors import UserError, lacking, lacking_anywhere, passing
from attnzoo.files import PARTIAL, Held, check_seal, held, replacing, seal
from attnzoo.scoring.cache import Features
from attnzoo.tables import run as tables_run
from attnzoo.tensors import write_tensors
from attnzoo.train.record import read_record

HERE = Path(__file__).parent
ROOT = HERE.parents[1]


def small_record() -> bytes:
    """The example's record, with one score and no environment: a tenth as long."""
    record = json.loads((ROOT / "results/example/record.json").read_text())
    record["scores"] = {"l1": record["scores"]["l1"]}
    record |= {"environment": {}, "profile": None}
    record["training"]["stage1"]["loss"] = record["training"]["stage2"]["loss"] = {
        "step": [1],
        "loss": [0.5],
    }
    return (json.dumps(record) + "\n").encode()


def test_a_record_cut_off_at_any_byte_is_refused_by_name(tmp_path: Path) -> None:
    path, whole = tmp_path / "record.json", small_record()
    path.write_bytes(whole)
    read_record(path)
    for size in reversed(range(len(whole) - 1)):  # the last byte ends the line alone
        os.truncate(path, size)
        with pytest.raises(UserError, match=r"record\.json"):
            read_record(path)
        if size % 50 == 0:
            with pytest.raises(UserError, match=r"record\.json"):
                results.load(tmp_path)


def rounds_of(path: Path) -> list[float]:
    journal = Journal(path, "here")
    journal._file.close()
    return journal.seconds.get("a", [])


def test_a_journal_cut_off_at_any_byte_keeps_its_whole_lines(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl.part"
    journal = Journal(path, "here")
    journal.add_facts("a", Facts("none"), 0.5)
    for seconds in (1.0, 2.0, 3.0):
        journal.add_round({"a": seconds})
    journal._file.close()
    whole = path.read_bytes()
    for size in range(len(whole) + 1):
        path.write_bytes(whole[:size])
        lines = max(whole[:size].count(b"\n") - 2, 0)  # the address and the facts
        # A line that lacks nothing but its end is whole.
        lines += whole[size : size + 1] == b"\n" and lines < 3 and whole[:size].count(b"\n") >= 2
        assert rounds_of(path) == [1.0, 2.0, 3.0][:lines]


def test_a_damaged_line_of_a_journal_costs_no_other_and_is_told(tmp_path: Path, caplog) -> None:
    path = tmp_path / "rows.jsonl.part"
    journal = Journal(path, "here")
    journal.add_facts("a", Facts("none"), 0.5)
    for seconds in (1.0, 2.0, 3.0):
        journal.add_round({"a": seconds})
    journal.close()
    whole = path.read_text()
    path.write_text(whole.replace("2.0", "7.0"))
    assert rounds_of(path) == [1.0, 3.0] and "line 4 is damaged" in caplog.text
    caplog.clear()
    path.write_text(whole[:-5])
    assert rounds_of(path) == [1.0, 2.0] and not caplog.text


def test_a_journal_is_not_lost_where_it_cannot_be_written_anew(tmp_path, monkeypatch) -> None:
    path = tmp_path / "rows.jsonl.part"
    journal = Journal(path, "here")
    journal.add_round({"a": 1.0})
    journal._file.close()
    whole = path.read_bytes()
    with monkeypatch.context() as patch, pytest.raises(OSError, match="No space"):
        patch.setattr(Path, "write_text", full)
        Journal(path, "here")
    assert path.read_bytes() == whole and rounds_of(path) == [1.0]


def test_rows_that_cannot_be_written_leave_the_journal(tmp_path, monkeypatch) -> None:
    from attnzoo.bench import sweep

    journal, out = tmp_path / "rows.jsonl.part", tmp_path / "rows.jsonl"
    journal.touch()
    with monkeypatch.context() as patch, pytest.raises(OSError, match="No space"):
        patch.setattr(sweep, "write_rows", full)
        sweep.keep(out, [], journal)
    assert journal.exists()
    sweep.keep(out, [], journal)
    assert out.exists() and not journal.exists()


def test_what_is_renamed_is_on_the_disk_and_so_is_its_name(tmp_path, monkeypatch) -> None:
    done: list[str] = []
    sync, rename = os.fsync, Path.replace
    named = {}

    def synced(file: int) -> None:
        done.append(f"sync {named.get(os.readlink(f'/proc/self/fd/{file}'), 'partial')}")
        sync(file)

    def renamed(self: Path, target: Path) -> Path:
        done.append("rename")
        return rename(self, target)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(Path, "replace", renamed)
    named[str(tmp_path)] = "parent"
    with replacing(tmp_path / "a") as beside:
        beside.write_text("a")
    assert done == ["sync partial", "rename", "sync parent"]
    done.clear()
    with replacing(tmp_path / "folder") as beside:
        beside.mkdir()
        (beside / "b").write_text("b")
    assert done == ["sync partial", "sync partial", "rename", "sync parent"]


def test_a_folder_is_never_half_of_the_old_one(tmp_path, monkeypatch) -> None:
    folder, seen = tmp_path / "folder", []
    for name in "ab":
        (folder / name).mkdir(parents=True)
    delete = shutil.rmtree

    def deleted(path: Any, *given: Any, **named: Any) -> None:
        seen.append(sorted(p.name for p in folder.iterdir()))
        delete(path, *given, **named)

    monkeypatch.setattr(shutil, "rmtree", deleted)
    with replacing(folder) as beside:
        beside.mkdir()
        (beside / "c").touch()
    assert seen == [["c"]] and [p.name for p in tmp_path.iterdir()] == ["folder"]
    rename = Path.replace

    def refused(self: Path, target: Path) -> Path:
        if target == folder and not list(self.iterdir()):
            raise OSError(errno.EIO, "bad disk")
        return rename(self, target)

    monkeypatch.setattr("attnzoo.files._exchanged", lambda one, other: False)
    monkeypatch.setattr(Path, "replace", refused)
    with pytest.raises(OSError, match="bad disk"), replacing(folder) as beside:
        beside.mkdir()
    assert [p.name for p in folder.iterdir()] == ["c"]


def test_a_folder_takes_no_place_where_something_has_come(tmp_path) -> None:
    folder = tmp_path / "folder"
    with pytest.raises(OSError, match="not empty"), replacing(folder, over=False) as beside:
        beside.mkdir()
        folder.mkdir()
        (folder / "theirs").touch()
    assert [p.name for p in tmp_path.rglob("*")] == ["folder", "theirs"]


def test_a_reader_that_goes_away_in_the_middle_is_told_by_the_status(tmp_path) -> None:
    code = """
import sys
from attnzoo import commands

def prints(arguments):
    if {going}:
        with commands.going_on(commands.SAME_COMMAND):
            while True:
                print("x" * 1000, file=sys.{stream})
    while True:
        print("x" * 1000, file=sys.{stream})

commands.execute(prints, [])
"""
    for going, stream, status in ((0, "stdout", 0), (1, "stdout", 141), (1, "stderr", 141)):
        text = code.replace("{going}", str(going)).replace("{stream}", stream)
        with subprocess.Popen(
            [sys.executable, "-c", text], cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        ) as process:  # fmt: skip
            heard, other = process.stdout, process.stderr
            if stream == "stderr":
                heard, other = other, heard
            assert heard is not None and other is not None
            heard.readline()
            heard.close()
            said = other.read()
        assert process.returncode == status and "Traceback" not in said, said


def full(*_: Any, **__: Any) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "x")


def test_a_flipped_bit_of_a_cache_entry_is_seen_and_told(tmp_path: Path, caplog: Any) -> None:
    cache, features = Features(tmp_path), torch.arange(6.0).reshape(2, 3)
    cache.put(features, "network", "video")
    (path,) = tmp_path.iterdir()
    whole = path.read_bytes()
    for place in range(8 * len(whole)):
        changed = bytearray(whole)
        changed[place // 8] ^= 1 << place % 8
        path.write_bytes(changed)
        caplog.clear()
        assert cache.get("network", "video") is None, f"bit {place}"
        assert path.name in caplog.text and "damaged" in caplog.text
    cache.put(features, "network", "video")
    assert path.read_bytes() == whole
    found = cache.get("network", "video")
    assert found is not None and torch.equal(found, features)
    for size in range(len(whole)):
        path.write_bytes(whole[:size])
        assert cache.get("network", "video") is None


def test_a_full_disk_costs_the_cache_and_not_the_score(tmp_path, monkeypatch, caplog) -> None:
    cache = Features(tmp_path)
    monkeypatch.setattr("attnzoo.tensors.save_file", full)
    for video in ("a", "b"):
        cache.put(torch.ones(2, 3), "network", video)
        assert cache.get("network", video) is None
    assert len(caplog.records) == 1 and "No space left" in caplog.text
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("what", ["write", "replace"])
def test_a_write_that_fails_leaves_the_old_file_and_nothing_beside(
    tmp_path: Path, monkeypatch: Any, what: str
) -> None:
    path = tmp_path / "record.json"
    path.write_text("old")
    monkeypatch.setattr(Path, "replace" if what == "replace" else "write_text", full)
    with pytest.raises(OSError, match="No space"), replacing(path) as beside:
        beside.write_text("new")
    assert path.read_text() == "old" and [p.name for p in tmp_path.iterdir()] == ["record.json"]


def in_a_child(do: Callable[[], None]) -> int:
    """The status of a process of its own, killed when it has done it."""
    pid = os.fork()
    if pid == 0:
        try:
            do()
        finally:
            os.kill(os.getpid(), signal.SIGKILL)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def test_what_a_killed_process_left_goes_when_the_file_is_written_again(tmp_path: Path) -> None:
    path = tmp_path / "record.json"

    def killed() -> None:
        with replacing(path) as beside:
            beside.write_text("half")
            os.kill(os.getpid(), signal.SIGKILL)

    assert in_a_child(killed) == -signal.SIGKILL
    (left,) = tmp_path.iterdir()
    assert left.name.startswith(PARTIAL)
    with replacing(path) as beside, replacing(path) as rival:
        assert not left.exists()
        beside.write_text("mine")
        rival.write_text("theirs")  # one at work beside us is not touched
    assert path.read_text() == "mine" and [p.name for p in tmp_path.iterdir()] == ["record.json"]


def test_what_was_killed_under_another_name_goes_as_well_and_long_names_do_not_hurt(
    tmp_path: Path,
) -> None:
    def killed() -> None:
        with replacing(tmp_path / "2026-01-31_12-00-00") as beside:
            beside.mkdir()
            (beside / "half").touch()
            os.kill(os.getpid(), signal.SIGKILL)

    assert in_a_child(killed) == -signal.SIGKILL and len(list(tmp_path.iterdir())) == 1
    for name in ("長" * 80 + ".csv", "a" * 255, "b." + "c" * 253):
        with replacing(tmp_path / name) as beside:
            beside.write_text("long")
        write_tensors(tmp_path / name, {"a": torch.zeros(1)})
    assert all(len(path.name) >= 80 for path in tmp_path.iterdir())


def test_a_lock_is_one_processes_and_dies_with_it(tmp_path: Path) -> None:
    path = tmp_path / ".lock"
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        with held(path):
            os.write(writer, b"x")
            time.sleep(60)
    os.read(reader, 1)
    for shared in (False, True):
        with pytest.raises(Held), held(path, shared=shared):
            raise AssertionError("two have it")
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    with held(path), pytest.raises(Held), held(path):
        raise AssertionError("two have it")
    assert not path.exists()
    with held(path, shared=True), held(path, shared=True), pytest.raises(Held), held(path):
        raise AssertionError("one has it alone")
    for file in (reader, writer):
        os.close(file)


@pytest.mark.parametrize(
    ("lock", "work"),
    [
        (".rows.jsonl.lock", lambda folder: bench_run.alone(folder / "rows.jsonl")),
        (".lock", lambda folder: tables_run._alone(folder, None)),
        (".lock", lambda folder: tables_run._alone(folder, (0, 2))),
    ],
)
def test_a_rival_is_refused(tmp_path: Path, lock: str, work: Any) -> None:
    with held(tmp_path / lock), pytest.raises(UserError, match="at work") as told, work(tmp_path):
        raise AssertionError("two are at work")
    assert lacking_anywhere(told.value) is None  # status 2: what is lacking is no thread
    with work(tmp_path):
        pass


def test_tables_sweep_what_others_have_left(tmp_path: Path) -> None:
    left = tmp_path / "records" / "none" / f"{PARTIAL}elsewhere-1-seed0.json"
    left.parent.mkdir(parents=True)
    left.touch()
    with tables_run._alone(tmp_path, (0, 2)):
        assert left.exists()  # another part may be writing it
    with tables_run._alone(tmp_path, None):
        assert not left.exists()


def test_a_mistake_made_while_an_error_is_dealt_with_is_no_lack() -> None:
    def after(kind: type[Exception]) -> Exception:
        try:
            try:
                raise PermissionError(errno.EACCES, "Permission denied", "/etc/hint")
            except OSError:
                raise kind("wrong")  # noqa: B904
        except Exception as error:
            return error

    for kind in (KeyError, AttributeError, TypeError, ZeroDivisionError, UnboundLocalError):
        assert lacking(after(kind)) is None
    assert lacking(after(RuntimeError)) == "Permission denied: /etc/hint"


def test_a_machine_without_a_temporary_folder_is_no_bad_input() -> None:
    refused = UserError("attention/mine.py: does not import")
    refused.__cause__ = FileNotFoundError(errno.ENOENT, "No usable temporary directory found in []")
    assert "No usable temporary directory" in (lacking_anywhere(refused) or "")
    refused.__cause__ = FileNotFoundError(errno.ENOENT, "No such file or directory", "mine")
    assert lacking_anywhere(refused) is None


@pytest.mark.parametrize(
    ("words", "number"),
    [
        ("unable to open file <w.safetensors> in read-only mode: Too many open files (24)", 24),
        ("I/O error: Too many open files (os error 24)", 24),
        ("layer (24) is of another shape", None),
    ],
)
def test_the_systems_number_may_stand_in_words_alone(words: str, number: int | None) -> None:
    """As of weights that torch could not open, which said nothing of the weights."""
    error = RuntimeError(words)
    assert passing(error) == (number is not None)
    refused = UserError("given/weights.safetensors: cannot be read")
    refused.__cause__ = error
    assert (lacking_anywhere(refused) is None) == (number is None)


def test_a_file_that_is_put_in_anothers_place_with_its_time_is_read_again(tmp_path: Path) -> None:
    file, catalogue = tmp_path / "weights", Catalogue(tmp_path / "catalogue")
    file.write_text("a")
    found, state = catalogue.files([file], write=True), file.stat()
    assert catalogue.files([file], write=True) == found
    file.write_text("b")
    os.utime(file, ns=(state.st_atime_ns, state.st_mtime_ns))
    assert catalogue.files([file], write=True) != found


def test_a_damaged_record_is_no_finished_run(tmp_path: Path, capfd: Any) -> None:
    shutil.copy(ROOT / "results/example/config.yaml", tmp_path)
    (tmp_path / "record.json").write_bytes(small_record()[:-20])
    with pytest.raises(SystemExit) as end:
        commands.execute(run.command, [f"resume={tmp_path}"])
    (line,) = capfd.readouterr().err.splitlines()
    assert end.value.code == 2 and str(tmp_path / "record.json") in line and "delete it" in line


def test_weights_cut_off_are_no_finished_run(tmp_path: Path, capfd: Any) -> None:
    shutil.copy(ROOT / "results/example/config.yaml", tmp_path)
    (tmp_path / "record.json").write_bytes(small_record())
    weights = tmp_path / "weights.safetensors"
    save_file({"a": torch.ones(99)}, weights)
    os.truncate(weights, weights.stat().st_size - 1)
    with pytest.raises(SystemExit) as end:
        commands.execute(run.command, [f"resume={tmp_path}"])
    (line,) = capfd.readouterr().err.splitlines()
    assert end.value.code == 2 and str(weights) in line and "delete it and record.json" in line


def test_a_seal_names_what_has_changed(tmp_path: Path) -> None:
    check_seal(tmp_path)  # of before there were seals
    (tmp_path / "part").mkdir()
    for name in ("a.bin", "part/b.bin"):
        (tmp_path / name).write_bytes(bytes(range(100)))
    seal(tmp_path)
    check_seal(tmp_path)
    for name in ("a.bin", "part/b.bin", "sums.json"):
        path = tmp_path / name
        whole = path.read_bytes()
        for place in range(0, 8 * len(whole), 7):
            changed = bytearray(whole)
            changed[place // 8] ^= 1 << place % 8
            path.write_bytes(changed)
            with pytest.raises(ValueError, match="." if name == "sums.json" else name):
                check_seal(tmp_path)
        path.write_bytes(whole)
    (tmp_path / "a.bin").unlink()
    with pytest.raises(ValueError, match=r"a\.bin"):
        check_seal(tmp_path)


def wrapped(error: Exception) -> Exception:
    outer = RuntimeError("the cell failed")
    outer.__cause__ = error
    return outer


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (OSError(errno.ENOSPC, "No space left on device", "a"), "No space left on device: a"),
        (OSError(errno.EMFILE, "Too many open files"), "Too many open files"),
        (wrapped(PermissionError(errno.EACCES, "Permission denied", "b")), "Permission denied: b"),
        (RuntimeError("[enforce fail] . unexpected pos: inline_container.cc"), "no space is left"),
        (RuntimeError("Allocator: can't allocate memory: 9 bytes"), "can't allocate memory"),
        (MemoryError(), "not enough memory"),
        (RuntimeError("could not create a primitive"), "could not create a primitive"),
        (ValueError("I/O error: No space left on device (os error 28)"), "No space left"),
    ],
)  # fmt: skip
def test_what_the_machine_lacks_is_one_line(error, said, capfd) -> None:
    def failing(arguments: object) -> None:
        with commands.going_on(commands.SAME_COMMAND):
            raise error

    with pytest.raises(SystemExit) as end:
        commands.execute(failing, [])
    (line,) = capfd.readouterr().err.splitlines()
    assert end.value.code == 74 and said in line and line.endswith(commands.SAME_COMMAND)


@pytest.mark.parametrize("error", [ValueError("no"), KeyError("No"), OSError(errno.ENOENT, "no")])
def test_a_fault_of_the_program_keeps_its_traceback(error: Exception) -> None:
    def failing(arguments: object) -> None:
        raise error

    with pytest.raises(type(error)):
        commands.execute(failing, [])


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_stopped_command_says_how_to_go_on_and_a_second_signal_ends_it(
    tmp_path: Path, number: signal.Signals, status: int
) -> None:
    code = f"""
import os, sys, time
from attnzoo import commands

def slow(arguments):
    with commands.going_on(commands.SAME_COMMAND):
        try:
            os.kill(os.getpid(), {int(number)})
        finally:
            if {{twice}}:
                os.kill(os.getpid(), {int(number)})

commands.execute(slow, [])
"""
    once, twice = (
        subprocess.run(
            [sys.executable, "-c", code.replace("{twice}", str(twice)).replace("{{", "{")],
            cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True,
            text=True, timeout=120,
        )
        for twice in (False, True)
    )  # fmt: skip
    assert once.returncode == status and commands.SAME_COMMAND in once.stderr
    assert twice.returncode == -number and not twice.stderr


def write_video(path: Path) -> None:
    with av.open(str(path), "w", options={"movflags": "faststart"}) as file:
        stream = file.add_stream("libx264", rate=8)
        stream.width = stream.height = 64
        for _ in range(4):
            picture = np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)
            file.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        file.mux(stream.encode())


WRITERS: dict[str, Callable[[Path], Any]] = {
    "record.json": lambda path: path.write_bytes(small_record()),
    "a.json": lambda path: path.write_text(json.dumps({"a": [1, 2, 3]}) + "\n"),
    "a.jsonl": lambda path: path.write_text('{"a": 1}\n{"a": 2}\n'),
    "a.csv": lambda path: path.write_text("alpha,beta\n10,20\n30,40\n"),
    "a.png": lambda path: Image.new("RGB", (64, 64), (9, 99, 200)).save(path),
    "a.mp4": write_video,
    "a.npz": lambda path: np.savez(path, a=np.arange(9)),
    "a.safetensors": lambda path: save_file({"a": torch.ones(9)}, path),
    "a.html": lambda path: path.write_text("<html><p>text</p></html>\n"),
    "a.svg": lambda path: path.write_text("<svg><path/></svg>\n"),
    "a.md": lambda path: path.write_text("# A title alone\n"),
    "a.yaml": lambda path: path.write_text("a: 1\nb: [1, 2]\n"),
    "a.bin": lambda path: torch.save({"a": torch.ones(3)}, path),
}


@pytest.mark.parametrize("name", WRITERS)
def test_the_harness_sees_half_a_file(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    WRITERS[name](path)
    assert checking.half_written(tmp_path) == []
    for share in (0.3, 0.6, 0.9):
        WRITERS[name](path)
        os.truncate(path, int(share * path.stat().st_size))
        (said,) = checking.half_written(tmp_path)
        assert said.startswith(f"{name}: ")


def test_the_harness_sees_other_numbers_and_what_is_left(tmp_path: Path) -> None:
    for side, value in (("got", 1.0), ("wanted", 2.0)):
        (tmp_path / side).mkdir()
        content = {"loss": value, "seconds": value, "inner": [{"latency": value}]}
        (tmp_path / side / "a.json").write_text(json.dumps(content))
    got, wanted = tmp_path / "got", tmp_path / "wanted"
    (said,) = checking.differences(got, wanted, ())
    assert said.startswith("a.json: differs") and ".loss is 1.0, not 2.0" in said
    assert "seconds" not in said
    assert checking.differences(got, wanted, ("*.json",)) == []
    (got / f"{PARTIAL}1-a.json").touch()
    assert checking.leftovers(got) == [f"{PARTIAL}1-a.json: left over"]
    (wanted / "b.unknown").touch()
    assert "missing" in checking.differences(got, wanted, ("*.json",))[0]
    assert "tell checking.py" in checking.half_written(wanted)[0]


def test_the_harness_sees_a_run_that_has_begun_anew(tmp_path: Path) -> None:
    def ended(name: str, resumed: int) -> None:
        content = json.loads(small_record())
        content["training"]["resumed"] = resumed
        (tmp_path / name / OUT).mkdir(parents=True, exist_ok=True)
        (tmp_path / name / OUT / "record.json").write_text(json.dumps(content) + "\n")

    ended("reference", 0)
    for resumed, damaged, told in ((0, False, 1), (1, False, 0), (0, True, 0)):
        folder = tmp_path / f"{resumed} {damaged}"
        checkpoint = folder / OUT / "checkpoints" / "stage1-000002"
        checkpoint.mkdir(parents=True)
        round = Round(TRAIN, folder, Reference(tmp_path / "reference", 1.0), random.Random(0))
        round.look()
        if damaged:
            round.forget(checkpoint)
        ended(folder.name, resumed)
        shutil.rmtree(checkpoint.parent)
        round.check_end()
        assert len(round.wrong) == told and not round.lost, round.wrong
    # Checkpoints that go under a fault are lost, whatever the run ends with.
    checkpoint.mkdir(parents=True)
    (folder / OUT / "record.json").unlink()
    round = Round(TRAIN, folder, Reference(tmp_path / "reference", 1.0), random.Random(0))
    round.look()
    shutil.rmtree(checkpoint.parent)
    round.look()
    assert round.lost == ["after the fault: every checkpoint is gone"]
    ended(folder.name, 0)
    # One that was killed when its record was there goes on from no checkpoint.
    checkpoint.mkdir(parents=True)
    assert not TRAIN.has_checkpoint(folder / OUT)


def test_a_row_without_a_fault_gets_more_rounds_and_is_told_of(monkeypatch: Any) -> None:
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        monkeypatch.setenv(name, "1")  # as the harness has it for itself
    import run as harness

    (kill,) = (fault for fault in harness.FAULTS if fault.name == "kill")
    done: harness.Done = {}
    early = []
    for number, sooner in harness._left(kill, TRAIN, done, None):
        early.append(sooner)
        faults = int(number == kill.rounds + 2)
        played = harness.Played("", 0, "kill", "train", number, faults, [], [], 0.0, 0.0)
        done["kill", "train", number] = played
        told = "".join(harness._too_few(done))
        assert ("kill, train: no fault was done" in told) == (not faults)
    assert len(done) == kill.rounds + 3 and "1 kills, fewer than 50" in told
    assert early == [1] * kill.rounds + [2, 4, 1], "after a round too late, sooner ones"
    assert not list(harness._left(kill, TRAIN, done, None))
    assert list(harness._left(kill, TRAIN, {}, 2)) == [(0, 1), (1, 1)]


@pytest.mark.long
def test_kills_at_changes_flipped_bits_and_a_crowd_by_the_harness(tmp_path: Path) -> None:
    """One round each of the long part, in processes of their own."""
    chosen = ("kill", "kill-at-change", "file-size", "bit-in-cache", "crowd")
    done = subprocess.run(
        [
            sys.executable, str(HERE / "run.py"), "--job", "score", "--rounds", "1",
            "--out", str(tmp_path / "rows.jsonl"), "--scratch", str(tmp_path / "scratch"),
            *(text for name in chosen for text in ("--only", name)),
        ],
        capture_output=True, text=True, timeout=600,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    rows = [json.loads(line) for line in (tmp_path / "rows.jsonl").read_text().splitlines()]
    assert [row["fault"] for row in rows] == list(chosen)
    assert sum(row["faults"] for row in rows) >= 8
    assert not any(row["lost"] or row["wrong"] for row in rows)
    assert "| all |  | 5 |" in (tmp_path / "rows.md").read_text()


def test_memory_is_not_measured_by_a_clock_that_is_set(monkeypatch: Any) -> None:
    """The profiler drops what lies outside its span by the time of day."""
    now, ahead, jumps = time.time, [0.0], [3600.0, -5.0]
    monkeypatch.setattr(time, "time", lambda: now() + ahead[0])
    prepared: list[float] = []

    def run() -> torch.Tensor:
        ahead[0] += jumps.pop() if jumps else 0.0
        return torch.ones(1000)

    def measured() -> int:
        return cost.peak_memory(run, torch.device("cpu"), lambda: prepared.append(ahead[0]))

    assert measured() == 4000 and len(prepared) == 3
    jumps += [60.0] * 5
    with pytest.raises(RuntimeError, match="clock was set"):
        measured()
