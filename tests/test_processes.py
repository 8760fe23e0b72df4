"""A run shared among processes: the same as alone, stopped together, gone on with by any number."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from command import ROOT, Forked, environment
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file
from sharing import kept, shared, source
from tiny_run import tiny_run

from attnzoo import application
from attnzoo.errors import UserError
from attnzoo.train.batches import Share
from attnzoo.train.checkpoint import Checkpoints
from attnzoo.train.device import check_machine, make_accelerator
from attnzoo.train.processes import ALONE
from attnzoo.train.record import read_record
from attnzoo.train.stopping import Stopping

# Sums of floats are ordered otherwise, and Adam divides small differences by small gradients.
LOSS, WEIGHT = 2e-3, 2e-3


@given(
    batch=st.integers(1, 4), accumulate=st.integers(1, 4), count=st.integers(1, 4),
    step=st.integers(0, 5),
)  # fmt: skip
def test_shares_are_each_clip_of_a_step_once(
    batch: int, accumulate: int, count: int, step: int
) -> None:
    if batch % count and accumulate % count:
        with pytest.raises(UserError, match=f"multiple of the {count} processes"):
            Share.of(batch, accumulate, 0, count)
        return
    shares = [Share.of(batch, accumulate, i, count) for i in range(count)]
    clips = [f + i for s in shares for f in s.firsts(step, step + 1) for i in range(s.batch)]
    total = batch * accumulate
    assert sorted(clips) == list(range(step * total, (step + 1) * total))
    # All processes have as many passes, so that each waits for the others as often.
    assert len({(s.batch, s.accumulate) for s in shares}) == 1


def test_alone_there_is_nothing_to_agree_on() -> None:
    assert ALONE.first and ALONE.speaks()
    assert ALONE.agreed(0.25, True, False) == (0.25, (True, False))
    assert (ALONE.gathered([1, 2]), ALONE.told("here"), ALONE.any_of(None)) == (
        [1, 2],
        "here",
        None,
    )


def test_a_sweep_is_not_shared() -> None:
    with pytest.raises(UserError, match="hydra/launcher="):
        application.followed(["-m", "seed=0,1"], lambda overrides, sweep: overrides)


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Any]]:
    """The folder in which two processes have run `sharing.py`, and how they ended."""
    folder = tmp_path_factory.mktemp("two")
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = str(free.getsockname()[1])
    place = {"MASTER_ADDR": "localhost", "MASTER_PORT": port, "WORLD_SIZE": "2"}
    processes = [
        Forked(
            "sharing", [str(folder)], folder, environment(**place, RANK=str(i), LOCAL_RANK=str(i))
        )
        for i in range(2)
    ]
    return folder, [(*p.communicate(timeout=300), p.returncode) for p in processes]


@pytest.mark.parametrize(
    ("name", "batch", "accumulate"),
    [pytest.param("batch", 2, 1, marks=pytest.mark.long), ("passes", 1, 2)],
)
def test_two_processes_are_as_one(
    two: tuple[Path, Any], tmp_path: Path, name: str, batch: int, accumulate: int
) -> None:
    found: dict[str, Any] = {}
    record, weights = tiny_run(tmp_path, shared(batch, accumulate), source(), scores=kept(found))
    both = read_record(two[0] / name)
    assert both["training"].pop("processes") == 2 and record["training"].pop("processes") == 1
    for stage in ("stage1", "stage2"):
        curves = [r["training"][stage]["loss"]["loss"] for r in (both, record)]
        assert curves[0] == pytest.approx(curves[1], rel=LOSS)
    for key, tensor in load_file(two[0] / name / "weights.safetensors").items():
        torch.testing.assert_close(tensor, weights[key], atol=WEIGHT, rtol=0)
    # Each clip once, in order: those of another clip would be far off.
    generated = torch.load(two[0] / f"{name}.pt")
    assert generated.shape == found["generated"].shape
    torch.testing.assert_close(generated, found["generated"], atol=0.02, rtol=0)
    assert both["sampling"]["clips"] == record["sampling"]["clips"]
    assert not [p for p in (two[0] / name).iterdir() if p.suffix not in (".json", ".safetensors")]


def test_one_that_is_stopped_stops_all_and_any_number_goes_on(
    two: tuple[Path, Any], tmp_path: Path
) -> None:
    folder = two[0]
    assert (folder / "stopped-0").read_text() == "KeyboardInterrupt()"
    assert (folder / "stopped-1").read_text() == "SystemExit(143)"
    (kept_,) = Checkpoints(folder / "stopped", every=1).newest_first()
    assert kept_.name == "stage1-000001"
    record, weights = tiny_run(folder / "stopped", shared(2, 1), source(), resume=True)
    whole, others = tiny_run(tmp_path, shared(2, 1), source())
    assert record["training"]["resumed"] == 1
    for stage in ("stage1", "stage2"):
        curves = [r["training"][stage]["loss"]["loss"] for r in (record, whole)]
        assert curves[0] == pytest.approx(curves[1], rel=LOSS)
    for key, tensor in weights.items():
        torch.testing.assert_close(tensor, others[key], atol=WEIGHT, rtol=0)


def test_an_error_of_one_ends_all_and_is_said_once(two: tuple[Path, Any]) -> None:
    (_, said, status), (_, own, failed) = two[1]
    assert (failed, status) == (2, 1)
    assert own.splitlines()[-1] == "clip7 is lost"
    assert "lost" not in said and "Traceback" not in said + own
    assert not (two[0] / "lost/record.json").exists()


# --- signals


@pytest.fixture
def signals() -> Iterator[None]:
    """Python's own handlers, whatever commands have run in this process before."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    for number in before:
        signal.signal(number, signal.default_int_handler)
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.usefixtures("signals")
def test_the_first_signal_is_a_wish_and_the_second_counts() -> None:
    stopping = Stopping()
    before = [signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM)]
    with pytest.raises(KeyboardInterrupt), stopping.listening(says=False):
        os.kill(os.getpid(), signal.SIGTERM)
        assert stopping.wanted == signal.SIGTERM
        os.kill(os.getpid(), signal.SIGINT)
        raise AssertionError("it went on")
    assert isinstance(stopping.error(), SystemExit)
    assert [signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM)] == before


@pytest.mark.usefixtures("signals")
def test_what_a_launcher_passes_on_is_no_second_wish() -> None:
    stopping = Stopping(launched=True)
    with pytest.raises(KeyboardInterrupt), stopping.listening(says=False):
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGTERM)
        assert stopping.wanted == signal.SIGINT
        os.kill(os.getpid(), signal.SIGINT)
        raise AssertionError("it went on")


@pytest.mark.usefixtures("signals")
def test_a_wish_counts_though_nobody_reads_the_answer() -> None:
    """As in `... 2>&1 | tee log`, where Ctrl-C ends `tee`, too."""
    reader, writer = os.pipe()
    os.close(reader)
    kept = os.dup(2)
    os.dup2(writer, 2)
    os.close(writer)
    stopping = Stopping()
    try:
        with stopping.listening():
            os.kill(os.getpid(), signal.SIGINT)
            assert stopping.wanted == signal.SIGINT
    finally:
        os.dup2(kept, 2)
        os.close(kept)


@pytest.mark.usefixtures("signals")
def test_what_is_ignored_stays_so() -> None:
    """A shell lets what it starts by `&` ignore the Ctrl-C that is for others."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    stopping = Stopping()
    with stopping.listening(says=False):
        os.kill(os.getpid(), signal.SIGINT)
        assert stopping.wanted is None
        os.kill(os.getpid(), signal.SIGTERM)
        assert stopping.wanted == signal.SIGTERM
        os.kill(os.getpid(), signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN


def test_waiting_for_others_who_never_come_can_be_stopped() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    code = "from attnzoo.train import processes; print('ready', flush=True); processes.join()"
    alone = {
        "RANK": "0", "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)
    }  # fmt: skip
    with subprocess.Popen(
        [sys.executable, "-c", code], env=environment(**alone), stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None and process.stdout.readline() == b"ready\n"
        while True:  # until it waits for the other
            with socket.socket() as meeting:
                if meeting.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.05)
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == -signal.SIGTERM


# --- configurations of accelerate's in the documentation


@pytest.mark.parametrize("path", sorted((ROOT / "docs/accelerate").glob("*.yaml")), ids=str)
def test_configurations_are_read_by_accelerate(path: Path) -> None:
    from accelerate.commands.config.config_args import load_config_from_file

    found = load_config_from_file(str(path))
    assert found.distributed_type.value == "MULTI_GPU" and found.num_processes > 1
    assert found.mixed_precision == "no"


@pytest.mark.parametrize("variable", ["ACCELERATE_USE_FSDP", "ACCELERATE_USE_DEEPSPEED"])
def test_a_model_in_pieces_is_refused(variable: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(variable, "true")
    with pytest.raises(UserError, match=f"{variable}: attnzoo does not train by"):
        check_machine(shared(2, 1))


def test_no_variable_decides_how_often_weights_are_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`accelerate launch` sets it where its configuration says so, and it goes before numbers."""
    monkeypatch.setenv("ACCELERATE_GRADIENT_ACCUMULATION_STEPS", "4")
    found = make_accelerator(shared(2, 1), tmp_path, 1)
    assert found.gradient_accumulation_steps == 1
