"""`suite=mechanisms`: its rows, what is refused, and where its numbers come from."""

from __future__ import annotations

import contextlib
import io
import json
import time
from collections import Counter
from contextlib import redirect_stdout
from dataclasses import replace
from enum import Enum

import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from attnzoo import registry
from attnzoo.attention._subspace import partition
from attnzoo.attention.stsa import SubspaceAttention
from attnzoo.attention.temporal import TemporalAttention
from attnzoo.bench import agreement as agreement_module
from attnzoo.bench.__main__ import command
from attnzoo.bench.measure import Measurement, Spread
from attnzoo.bench.mechanisms import candidates as candidates_module
from attnzoo.bench.mechanisms import suite, tables
from attnzoo.bench.mechanisms.candidates import EventTimed, Modules, backends, with_events
from attnzoo.bench.mechanisms.figure import Line, Must, timed_figure
from attnzoo.bench.mechanisms.floors import MEMORY_FLOORS, window_lengths
from attnzoo.bench.mechanisms.setting import Setting
from attnzoo.bench.mechanisms.tables import LIMIT, Block, blocks, forward
from attnzoo.bench.module_peers import ModulePeer, module_peers
from attnzoo.bench.settings import SuiteOptions
from attnzoo.errors import UserError

CPU = torch.device("cpu")
TINY = Setting(4, 4, 8, 2, (2, 2, 2), "fp32", CPU, 3, True)
SHIFTED = "stsa [2,2,2] shifted"
UNSHIFTED = "stsa [2,2,2] unshifted"
FLOW = "stsa_flow / stsa, maps cached"


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """Report, folder and what was printed of one whole run at a tiny shape.

    Without flex_attention, whose compilation takes longer than all of these tests.
    """
    folder = tmp_path_factory.mktemp("whole") / "table"
    with pytest.MonkeyPatch.context() as patch, io.StringIO() as said, redirect_stdout(said):
        patch.setattr(tables, "WINDOW_PEERS", ("naive", "masked_sdpa", "torchvision"))
        patch.setattr(tables, "UNSHIFTED_PEERS", ("naive", "torchvision", "natten"))
        patch.setattr(tables, "backends", lambda name: ["math", "xformers"])
        patch.setattr(suite, "settings", lambda options: [replace(TINY, rounds=2)])
        (report,) = suite.run(SuiteOptions(out=folder))
        return report, folder, said.getvalue()


@pytest.fixture
def unchecked():
    """Agreements that were found before are forgotten, and those found here afterwards."""
    agreement_module._module.cache_clear()
    yield
    agreement_module._module.cache_clear()


def reduced(block: Block, *names: str) -> Block:
    """The block with these candidates alone."""
    block.makers = {name: make for name, make in block.makers.items() if name in names}
    block.lines = [line for line in block.lines if line.candidate in names]
    return block


def test_the_rows_and_what_they_must_reach():
    found = {
        (block.title.split(" /")[0].split(" from")[0], line.text): str(line.must)
        for block in (make() for make in blocks(Modules(TINY)))
        for line in block.lines
        if line.must
    }
    assert found == {
        ("forward", SHIFTED): "1.25",
        ("forward", UNSHIFTED): "1.15 or floor + 5%",
        ("forward", FLOW): "1.1",
        ("forward", "temporal"): "1.25",
        ("forward and backward", SHIFTED): "1.35",
        ("forward", "crossframe_first"): "1",
        ("forward", "crossframe_middle"): "1",
        ("index maps", "stsa_flow, both modules of every level"): "20",
    }


def test_peers_and_floors_stand_beside_each():
    block = forward(Modules(TINY))
    texts = {line.text for line in block.lines if line.peer}
    for word in ("shifted", "unshifted"):
        assert {f"{word}, {p}" for p in ("naive", "masked_sdpa", "torchvision", "flex")} <= texts
        assert f"floor, {word}" in texts
    assert {"unshifted, natten", "temporal, diffusers_temporal", "floor, temporal"} <= texts
    assert all(line.baseline in (None, *block.makers) for line in block.lines)


def test_ratios_are_of_the_same_rounds():
    measured = Measurement({"a": (2.0, 20.0, 6.0), "limit": (1.0, 10.0, 3.0)})
    figure = timed_figure(Line("a", "a", "limit", Must(2.0)), measured, {})
    assert figure.value == Spread(2.0, 2.0, 2.0, 3) and figure.seconds.median == 6.0
    assert figure.reached is True and figure.must == "2"
    assert timed_figure(Line("a", "a", "limit", Must(1.9)), measured, {}).reached is False


def test_a_floor_of_the_same_rounds_may_be_reached_instead():
    measured = Measurement({"a": (2.0, 4.0), "floor": (1.9, 3.9), "limit": (1.0, 2.0)})
    line = Line("a", "a", "limit", Must(1.15, floor="floor"))
    figure = timed_figure(line, measured, {})
    assert figure.reached is True and figure.note == "1.04 of its floor"
    slower = Measurement({**measured.seconds, "floor": (1.5, 3.0)})
    assert timed_figure(line, slower, {}).reached is False


def test_time_without_a_baseline_is_milliseconds():
    measured = Measurement({"maps": (0.01, 0.02, 0.03)})
    figure = timed_figure(Line("maps", "maps", None, Must(20.0)), measured, {})
    assert figure.value == Spread(20.0, 15.0, 25.0, 3) and figure.unit == "ms" and figure.reached


def test_what_was_refused_or_whose_baseline_was_says_why():
    measured = Measurement({"a": (1.0,)})
    line = Line("a", "a", "limit", Must(1.0))
    assert timed_figure(line, None, {"a": "no package"}).note == "no package"
    figure = timed_figure(line, measured, {"limit": "wrong"})
    assert figure.note == "limit: wrong" and figure.value is None and figure.reached is False


def test_a_slowed_candidate_gets_a_larger_ratio():
    block = reduced(forward(Modules(TINY)), LIMIT, SHIFTED, "floor, shifted")
    before = {figure.text: figure.value.median for figure in block.measured()}
    make = block.makers[SHIFTED]

    def slowed():
        run = make()
        return lambda: (time.sleep(0.05), run())

    block.makers[SHIFTED] = slowed
    after = {figure.text: figure for figure in block.measured()}
    assert after[SHIFTED].value.median > 5 * before[SHIFTED]
    assert after[SHIFTED].seconds.median > 0.05 > after["floor, shifted"].seconds.median
    assert after[SHIFTED].reached is False


def test_a_wrong_output_is_refused_before_timing(monkeypatch, unchecked):
    right = SubspaceAttention.forward

    def wrong(self, x: Tensor, *, flow=None) -> Tensor:
        return right(self, x, flow=flow) * (1 + 1e-6)

    timed = []
    measure = tables.measure
    monkeypatch.setattr(
        tables, "measure", lambda runs, **more: timed.append(set(runs)) or measure(runs, **more)
    )
    monkeypatch.setattr(SubspaceAttention, "forward", wrong)
    block = reduced(forward(Modules(TINY)), LIMIT, SHIFTED, FLOW)
    figures = {figure.text: figure for figure in block.measured()}
    assert timed == [{LIMIT, FLOW}]
    assert "differs from its reference" in figures[SHIFTED].note
    assert figures[SHIFTED].value is None and figures[SHIFTED].reached is False
    assert figures[FLOW].note.startswith(f"{SHIFTED}: ")


def test_a_wrong_gradient_is_refused_too(monkeypatch, unchecked):
    right = TemporalAttention.forward

    def wrong(self, x: Tensor, *, flow=None) -> Tensor:
        delta = right(self, x, flow=flow)
        return delta + 0.1 * (x - x.detach())

    monkeypatch.setattr(TemporalAttention, "forward", wrong)
    modules = Modules(TINY)
    modules.mechanism_run("temporal")
    with pytest.raises(agreement_module.Disagreement):
        modules.mechanism_run("temporal", backward=True)


class _Off(nn.Module):
    def __init__(self, mechanism):
        super().__init__()
        self.inner = mechanism

    def forward(self, x, *, flow=None):
        return 1.01 * self.inner(x)


def test_a_wrong_peer_is_refused_too(monkeypatch):
    peers = {"off": ModulePeer("off", "wrong by one in a hundred", ("temporal",), _Off)}
    monkeypatch.setattr(candidates_module, "module_peers", lambda: peers)
    block = reduced(forward(Modules(TINY)), LIMIT)
    block.peers(("off",), "temporal", LIMIT, "temporal")
    (figure,) = block.measured()
    assert "differs from TemporalAttention by 1.0e-02" in figure.note


class _Backend(Enum):
    auto = "auto"
    missing = "missing"


class _WithBackend(TemporalAttention):
    def __init__(self, channels: int, heads: int, *, backend: _Backend = _Backend.auto) -> None:
        super().__init__(channels, heads)
        if backend is _Backend.missing:
            raise UserError("backend=missing: is not installed")


def test_each_backend_is_a_row_and_says_why_not():
    with registry.preserved():
        registry.register(
            "many", title="t", source="s", kind=registry.Kind.insert, cost="4*b*f**2*h*w*c"
        )(_WithBackend)
        assert backends("many") == ["missing"] and not backends("none")
        block = reduced(forward(Modules(TINY)), LIMIT)
        block.mechanism("many", LIMIT, None, "many")
        block.backends("many", LIMIT, "many")
        figures = {figure.text: figure for figure in block.measured()}
    assert figures["many"].value is not None
    assert figures["many, backend=missing"].note == "backend=missing: is not installed"


class _OtherBackend(TemporalAttention):
    def __init__(self, channels: int, heads: int, *, backend: _Backend = _Backend.auto) -> None:
        super().__init__(channels, heads)
        self.factor = 1.0 if backend is _Backend.auto else 1.01

    def forward(self, x: Tensor, *, flow=None) -> Tensor:
        return self.factor * super().forward(x)


def test_a_backend_that_computes_something_else_is_refused():
    with registry.preserved():
        registry.register(
            "two", title="t", source="s", kind=registry.Kind.insert, cost="4*b*f**2*h*w*c"
        )(_OtherBackend)
        block = reduced(forward(Modules(TINY)), LIMIT)
        block.backends("two", LIMIT, "two")
        (figure,) = block.measured()
    assert "differs from _OtherBackend by 1.0e-02" in figure.note


def test_the_fault_of_one_is_not_the_end_of_the_others():
    def broken():
        raise RuntimeError("no\nsuch kernel")

    block = reduced(forward(Modules(TINY)), LIMIT, "temporal")
    block.makers["temporal"] = broken
    (figure,) = block.measured()
    assert figure.note == "RuntimeError: no such kernel" and figure.reached is False


@settings(max_examples=30, deadline=None, derandomize=True)
@given(
    shape=st.tuples(*[st.integers(1, 9)] * 3),
    size=st.tuples(*[st.integers(1, 5)] * 3),
    shift=st.booleans(),
)
def test_floors_attend_to_as_many_tokens_as_the_windows(shape, size, shift):
    _, groups = partition(1, shape, size, shift, False, CPU)
    assert window_lengths(shape, size, shift) == Counter({g.tokens: g.windows for g in groups})


def test_memory_floors_are_those_that_their_text_derives():
    assert MEMORY_FLOORS == {"autograd": 1.8, "own backward": 1.4}


def test_exponents_of_the_formulas(whole):
    found = {(g.entry, g.by): g for g in whole[0].growths}
    attention = {key: round(g.attention, 2) for key, g in found.items()}
    assert attention == {
        ("stsa", "f"): 1.0,
        ("stsa", "h*w"): 1.0,
        ("stsa", "tokens of a window"): 1.0,
        ("temporal", "f"): 2.0,
        ("temporal", "h*w"): 1.0,
        ("crossframe_first", "f"): 1.0,
        ("crossframe_first", "h*w"): 2.0,
        ("crossframe_all", "f"): 2.0,
        ("crossframe_all", "h*w"): 2.0,
    }
    assert all(0.99 < g.work <= 2.0 for key, g in found.items() if key[1] != "tokens of a window")


class _Event:
    """A CUDA event whose clock moves by 3 ms with each record."""

    now = 0.0

    def __init__(self, enable_timing: bool) -> None:
        assert enable_timing

    def record(self) -> None:
        _Event.now += 3.0
        self.at = _Event.now

    def synchronize(self) -> None:
        pass

    def elapsed_time(self, end: _Event) -> float:
        return end.at - self.at


def test_on_cuda_events_are_the_clock(monkeypatch):
    monkeypatch.setattr(torch.cuda, "Event", _Event)
    monkeypatch.setattr(torch.cuda, "device", lambda device: contextlib.nullcontext())
    ran = []
    timed = with_events({"a": lambda: ran.append(1)}, torch.device("cuda"))["a"]
    assert isinstance(timed, EventTimed) and timed.seconds() == pytest.approx(3e-3) and ran == [1]
    runs = {"a": lambda: None}
    assert with_events(runs, CPU) is runs


def test_a_folder_that_cannot_be_is_refused_before_anything_is_measured(tmp_path, monkeypatch):
    monkeypatch.setattr(suite, "_reported", lambda _: pytest.fail("it measures"))
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=r"out=.*file: cannot be written"):
        suite.run(SuiteOptions(out=tmp_path / "file"))


def test_a_device_that_is_not_there():
    if torch.cuda.is_available():
        pytest.skip("there is a CUDA device")
    with pytest.raises(UserError, match="device=cuda: no CUDA device is available here"):
        command(["suite=mechanisms", "device=cuda"])
    with pytest.raises(UserError, match="device=tpu: choose one of cpu, cuda"):
        command(["suite=mechanisms", "device=tpu"])


def test_the_whole_is_printed(whole):
    said = whole[2]
    for words in (SHIFTED, "must reach", "the package natten is not installed", "own backward"):
        assert words in said
    # Nothing of so small a shape is near its limit, and the peers are asked for nothing.
    assert f"{SHIFTED} (forward / limit)" in whole[0].missed
    assert not any("naive" in missed for missed in whole[0].missed)


def test_the_whole_is_saved_with_machine_and_versions(whole):
    folder = whole[1]
    (saved,) = json.loads((folder / "mechanisms.json").read_text())
    assert saved["hardware"]["cpu"] and saved["versions"]["torch"] == torch.__version__
    assert len(saved["growth"]) == 9 and saved["seconds"] > 0
    rows = pd.read_csv(folder / "mechanisms.csv")
    assert {"figure", "median", "low", "high", "n", "must", "reached"} <= set(rows.columns)
    timed = rows[(rows.figure == SHIFTED) & rows.seconds_median.notna()]
    assert list(timed.n) == [2, 2]
    page = (folder / "mechanisms.md").read_text()
    assert f"| {SHIFTED} |" in page and "PyTorch" in page


def test_every_peer_stands_in_a_table():
    named = " ".join(
        line.text for block in (make() for make in blocks(Modules(TINY))) for line in block.lines
    )
    elsewhere = {"written_scores", "diffusers_2d"}  # peak memory, and the baseline of a block
    assert all(name in named for name in set(module_peers()) - elsewhere)
