"""What the bench concludes from numbers: exponents, predictions, noise, what is worse."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from torch import Tensor

from attnzoo import registry
from attnzoo.bench import goals, guard
from attnzoo.bench.__main__ import main
from attnzoo.bench.agreement import Disagreement, agreement
from attnzoo.bench.base import _pair, pairs_table
from attnzoo.bench.cell import Cell, What
from attnzoo.bench.compare import Verdict, compare, comparison_table, ratio_interval
from attnzoo.bench.environment import PACKAGE
from attnzoo.bench.goals import GOALS, MOTION, STOCK, goals_table
from attnzoo.bench.grid import axes_of, cells
from attnzoo.bench.growth import fit, foreseeable, predict
from attnzoo.bench.measure import Measurement, Spread, interval, measure
from attnzoo.bench.noise import noise
from attnzoo.bench.plots import draw
from attnzoo.bench.preparation import Preparation, Ready, Refused, larger
from attnzoo.bench.roofline import Roofline
from attnzoo.bench.row import Facts, Row, Status, read_rows, write_rows
from attnzoo.bench.scaling import growth_table, growths
from attnzoo.bench.serving import There, Worker, WorkerDied
from attnzoo.bench.subject import Subject, made_module
from attnzoo.bench.sweep import Plan, Result, _amortised, _own_code
from attnzoo.bench.table import table
from attnzoo.bench.traffic import least_traffic, traffic
from attnzoo.bench.unet_peers import unet_peers
from attnzoo.bench.unets import UNETS, Form, levels, stock
from attnzoo.bench.workshop import MOST_FORMS, _compiled
from attnzoo.errors import UserError

CPU = torch.device("cpu")
CELL = Cell(What.module, "temporal", 8, 16, 16, channels=64)


def times(median: float, spread: float = 0.03, n: int = 20, seed: int = 0) -> tuple[float, ...]:
    draw = random.Random(seed)
    return tuple(median * (1 + spread * draw.uniform(-1, 1)) for _ in range(n))


def row(seconds: tuple[float, ...], cell: Cell = CELL, memory: int = 10**7, **peaks: float) -> Row:
    facts = Facts("reference", 10**9, 10**9, 10**8, 10**7, memory)
    environment = {"peak_flops_fp32": 1e11, "peak_bytes": 1e10, **peaks}
    spread = Spread.of(seconds)
    return Row(
        cell, "key", Status.ok, facts=facts, latency=spread.median, latency_low=spread.low,
        latency_high=spread.high, interval=interval(seconds), seconds=seconds,
        environment=environment,
    )  # fmt: skip


# intervals and rounds


def test_the_interval_of_a_median_covers_it_as_often_as_it_says() -> None:
    draw = random.Random(0)
    for n in (6, 9, 20):
        hits = 0
        for _ in range(1000):
            low, high = interval([draw.expovariate(1.0) for _ in range(n)])
            hits += low <= 0.6931 <= high
        assert 0.94 < hits / 1000 < 1.0


@given(st.lists(st.floats(0.1, 10.0), min_size=1, max_size=40))
def test_the_median_lies_in_its_interval(values: list[float]) -> None:
    low, high = interval(values)
    assert min(values) <= low <= Spread.of(values).median <= high <= max(values)


class Told:
    """A candidate that says how long it took."""

    def __init__(self, values: Any) -> None:
        self.values = iter(values)

    def seconds(self) -> float:
        return next(self.values)


def test_what_is_known_well_rests_and_the_others_go_on() -> None:
    draw = random.Random(0)
    noisy = Told(iter(lambda: draw.uniform(1, 9), None))
    found = measure({"sure": Told([1.0] * 5), "noisy": noisy}, rounds=12, warmup=0, width=0.02)
    assert len(found.seconds["sure"]) == 5 and len(found.seconds["noisy"]) == 12
    assert found.rounds == 12 and len(found.ratios("noisy", "sure")) == 5


def test_earlier_rounds_count_and_each_round_is_told() -> None:
    told: list[Any] = []
    found = measure(
        {"a": Told([3.0, 4.0])}, rounds=4, warmup=0, earlier={"a": [1.0, 2.0]}, told=told.append
    )
    assert found.seconds["a"] == (1.0, 2.0, 3.0, 4.0) and told == [{"a": 3.0}, {"a": 4.0}]


# growth


@given(st.floats(-1, 3), st.floats(1e-6, 1e3))
@example(exponent=2.0**-52, scale=1.0)
def test_a_power_law_is_found(exponent: float, scale: float) -> None:
    sizes = (2.0, 4.0, 8.0, 32.0)
    found = fit(sizes, [scale * s**exponent for s in sizes])
    assert found.exponent == pytest.approx(exponent, abs=1e-6) and found.r2 > 0.99 - 1e-6
    assert found(16.0) == pytest.approx(scale * 16**exponent, rel=1e-5)


def test_predictions_follow_each_axis() -> None:
    def cost(f: float, grid: float) -> float:
        return 3.0 * f**2 * grid

    points = [({"frames": f, "grid": g}, cost(f, g)) for f, g in ((2, 16), (4, 16), (2, 64))]
    assert predict(points, {"frames": 32, "grid": 1024}) == pytest.approx(cost(32, 1024))
    assert foreseeable([p for p, _ in points], {"frames": 32, "grid": 1024})
    # Nothing is known along an axis: the worst is assumed, and the bench measures along it.
    assert not foreseeable([points[0][0]], {"frames": 2, "grid": 64})
    assert predict(points[:1], {"frames": 2, "grid": 64}) == pytest.approx(16 * cost(2, 16))


def scaled(exponent: float) -> list[Row]:
    return [row(times(1e-3 * (f / 8) ** exponent, 0), CELL.at(frames=f)) for f in (8, 16, 32)]


@pytest.mark.parametrize(("exponent", "disagrees"), [(1.0, False), (1.5, False), (2.0, False),
                                                     (2.5, True), (0.6, True)])  # fmt: skip
def test_growth_outside_of_projections_and_formula_is_marked(
    exponent: float, disagrees: bool
) -> None:
    """Temporal attention is quadratic in frames, its projections are linear."""
    (found,) = growths(scaled(exponent))
    assert found.declared == pytest.approx(2.0) and found.disagrees == disagrees
    text = growth_table([found])
    assert f"f^{exponent:.2f}" in text and "f^2.00" in text and ("disagrees" in text) == disagrees


# comparison


@pytest.mark.parametrize(
    ("slower", "memory", "verdict", "worse"),
    [
        (1.0, 1.0, Verdict.same, False),
        (1.15, 1.0, Verdict.slower, True),
        (1.0, 1.3, Verdict.same, True),
        (0.8, 1.0, Verdict.faster, False),
    ],
)
def test_planted_changes_are_found(
    slower: float, memory: float, verdict: Verdict, worse: bool
) -> None:
    others = [CELL.at(frames=f) for f in (2, 4)]
    old = [row(times(0.01)), *(row(times(0.01, seed=i), c) for i, c in enumerate(others))]
    new = [row(times(0.01 * slower, seed=5), memory=round(memory * 10**7))]
    new += [row(times(0.01, seed=7 + i), c) for i, c in enumerate(others)]
    found = compare(old, new)
    assert found.changes[0].verdict is verdict and found.changes[0].worse == worse
    assert not any(change.worse for change in found.changes[1:])
    said = [line for line in comparison_table(found).splitlines() if line.startswith("worse:")]
    assert len(said) == worse and all("temporal, module, 8x16x16" in line for line in said)


def test_a_slower_machine_is_not_a_slower_module() -> None:
    found = compare([row(times(0.01))], [row(times(0.0125), peak_flops_fp32=0.8e11)])
    assert found.machine == pytest.approx(1.25) and not found.worse


def test_a_difference_within_noise_is_none() -> None:
    wild = tuple(0.01 * (1.3 if i % 2 else 1.0) for i in range(20))
    assert noise([wild]) == pytest.approx(0.3 / 1.3)
    assert not compare([row(wild)], [row(times(0.0115))]).worse


def test_a_speed_that_is_gone_is_worse() -> None:
    lost = Row(CELL, "key", Status.wrong, "its output is another")
    found = compare([row(times(0.01))], [lost])
    assert found.worse and "its output is another" in comparison_table(found)


def test_the_ratio_of_medians_has_an_interval() -> None:
    low, high = ratio_interval(times(0.012, seed=1), times(0.01, seed=2))
    assert 1.15 < low < 1.2 < high < 1.25
    assert ratio_interval(times(0.012, seed=1), times(0.01, seed=2)) == (low, high)


# goals


def test_goals_are_judged_by_rounds() -> None:
    def unet(name: str, seconds: float, what: What = What.unet, memory: int = 100) -> Row:
        peer = name in (MOTION, STOCK)
        return row(
            times(seconds, 0.01), Cell(what, name, 16, 32, 32, unet="small", peer=peer), memory
        )

    rows = [
        unet(MOTION, 1.0), unet(STOCK, 0.5), unet("stsa", 0.9), unet("temporal", 0.9),
        unet("none", 0.505), unet("motion_module", 1.2), unet(MOTION, 3.0, What.training, 100),
        unet("stsa", 2.0, What.training, 90),
    ]  # fmt: skip
    said = goals_table(rows).splitlines()[1:]
    assert len(said) == len(GOALS)
    short = [line.split("  ")[0] for line in said if "FALLS SHORT" in line]
    assert short == [GOALS[1].name, GOALS[3].name]


# rows and tables


def test_rows_are_what_they_were(tmp_path: Path) -> None:
    lost = Row(CELL.at(frames=64), "k2", Status.too_long, "9 s", True, latency=9.0)
    write_rows(tmp_path / "a.jsonl", [row(times(0.01)), lost])
    again = read_rows(tmp_path / "a.jsonl", "out")
    assert [r.plain for r in again] == [r.plain for r in (row(times(0.01)), lost)]
    text = table(again)
    assert "~9000" in text and "too_long: 9 s" in text
    (tmp_path / "b.jsonl").write_text("{}\n")
    with pytest.raises(UserError, match=r"against=.*b.jsonl: is no file of rows"):
        read_rows(tmp_path / "b.jsonl", "against")


def test_the_roof_is_the_lower_of_two() -> None:
    roof = Roofline({"fp32": 100.0}, 10.0)
    assert roof.share(1000, 10, 20.0, "fp32") == pytest.approx(0.5)  # bound by products
    assert roof.share(10, 10, 2.0, "fp32") == pytest.approx(0.5)  # bound by memory
    assert roof.share(0, 10, 1.0, "fp32") is None


def test_bytes_moved_of_known_operators() -> None:
    a, b = torch.randn(100, 100), torch.randn(100, 100)
    assert traffic(lambda: (a @ b).t()) == 3 * 40000
    assert traffic(lambda: a.add_(b)) == 3 * 40000  # read both, write one
    assert traffic(lambda: a.view(50, 200)[3:]) == 0
    assert traffic(lambda: a + b[:1].expand(100, 100)) == 2 * 40000 + 400
    assert least_traffic([a, a], {"b": b}) == 2 * 40000
    # A linear layer of three axes is a product and a view of it, which moves nothing.
    layer = torch.nn.Linear(100, 100, bias=False)
    assert traffic(lambda: layer(a.view(2, 50, 100))) == 3 * 40000
    assert traffic(lambda: torch.mm(a, b, out=torch.empty(100, 100))) == 3 * 40000
    assert traffic(lambda: torch.empty(100, 100).copy_(a)) == 2 * 40000
    assert traffic(lambda: torch.empty(100, 100).fill_(1.0)) == 40000
    rows = torch.tensor([3, 5])  # 16 bytes
    assert traffic(lambda: a.index_select(0, rows)) == 16 + 2 * 800
    assert traffic(lambda: a.clone().index_copy_(0, rows, b[:2])) == 2 * 40000 + 16 + 2 * 800
    assert traffic(lambda: a[rows]) == 16 + 2 * 800


def test_what_stands_for_tensors_counts_by_itself() -> None:
    weights = [torch.randn(100, 100) for _ in range(2)]
    states = [torch.empty_like(one, device="meta") for one in weights for _ in range(5)]
    assert least_traffic(weights, weights, states) == (2 + 10) * 40000


def test_a_backend_is_not_asked_for_float64(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Any] = []

    def noted(cell: Cell) -> Any:
        made.append(cell.options)
        return made_module(cell)

    monkeypatch.setattr("attnzoo.bench.agreement.made_module", noted)
    assert agreement(CELL.at(heads=4, options={"backend": "sdpa"})).error < 1e-4
    assert made == [{"backend": "sdpa"}, {}]


def test_no_form_of_a_module_is_run_uncompiled_in_silence(monkeypatch: pytest.MonkeyPatch) -> None:
    limits = torch._dynamo.config
    monkeypatch.setattr(torch, "compile", lambda module, **_: module)
    with limits.patch(recompile_limit=8, fail_on_recompile_limit_hit=False):
        _compiled(torch.nn.Linear(2, 2))
        assert limits.recompile_limit == MOST_FORMS and limits.fail_on_recompile_limit_hit


# what is known already


def test_a_row_is_of_the_text_of_its_plugin(tmp_path: Path) -> None:
    text = """
import torch
from attnzoo import Kind, register
from attnzoo.attention import Mechanism

@register("of_mine", title="mine", source="a test", kind=Kind.insert, cost="0")
class Mine(Mechanism):
    def forward(self, x, *, flow=None):
        return x * 0

    def sees(self, query, shape):
        return torch.zeros(shape, dtype=torch.bool)
"""
    codes = []
    for edit in ("", "# changed\n"):
        with registry.preserved():
            (tmp_path / "mine.py").write_text(edit + text)
            registry.load_plugin(tmp_path / "mine.py")
            codes += _own_code(Cell(What.module, "of_mine", 4, 4, 4, channels=8))
    assert len(set(codes)) == 2 and _own_code(CELL) == []
    peer = next(iter(unet_peers()))
    assert _own_code(Cell(What.unet, peer, 4, 4, 4, peer=True, unet="small")) == []


def test_what_is_spread_over_steps_is_spread_over_those_that_are_asked_for() -> None:
    once = CELL.at(what=What.maps)
    assert _amortised(once, 2.0, Plan(steps=50)) == 0.04
    assert _amortised(once, 2.0, Plan(steps=25)) == 0.08
    assert _amortised(CELL, 2.0, Plan()) is None and _amortised(once, None, Plan()) is None


def test_a_quick_suite_is_one_that_was_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []

    def stop(given: Any, *_: Any) -> None:
        asked.append(given)
        raise InterruptedError

    monkeypatch.setattr(goals, "settings_of", stop)
    for quick in (True, False):
        with pytest.raises(InterruptedError):
            goals.run({"quick": [quick]})
    assert asked[0]["frames"] == [8] and "frames" not in asked[1]
    with pytest.raises(UserError, match="quick=maybe"):
        goals.run({"quick": ["maybe"]})


@pytest.mark.parametrize(("seconds", "worse"), [(0.02, True), (0.01, False), (0.005, False)])
def test_a_run_that_is_worse_ends_with_status_1(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seconds: float, worse: bool
) -> None:
    (cell,) = grid(attn="temporal", what="module", backward=False, peers=None, frames=4)
    write_rows(tmp_path / "old.jsonl", [row(times(0.01), cell)])
    new = row(times(seconds, seed=1), cell)
    measured = Result([new], Roofline({"fp32": 1e11}, 1e10), Measurement({"a": new.seconds}))
    monkeypatch.setattr("attnzoo.bench.run.sweep", lambda *_: measured)
    arguments = [
        "attn=temporal", "what=module", "backward=false", "peers=null", "frames=4",
        f"against={tmp_path / 'old.jsonl'}", f"out={tmp_path / 'new.jsonl'}",
    ]  # fmt: skip
    with pytest.raises(SystemExit) as end:
        main(arguments)
    assert end.value.code == int(worse)


def test_a_commit_that_lost_a_speed_is_worse_and_one_that_gained_it_is_not() -> None:
    ready = Ready(Subject(lambda: None), Facts("", peak_memory=10**8), 0.01)
    refused = Refused(Status.failed, "no")
    none = Measurement({})
    assert _pair(CELL, ready, refused, none).worse and not _pair(CELL, refused, ready, none).worse
    for factor, slower in ((2.0, True), (0.5, False)):
        seconds = {
            f"base {CELL.digest}": times(0.01), f"now {CELL.digest}": times(factor * 0.01, seed=2)
        }  # fmt: skip
        pair = _pair(CELL, ready, ready, Measurement(seconds))
        assert pair.slower is slower is pair.worse
        assert pair.ratio is not None and pair.ratio.median == pytest.approx(factor, rel=0.05)
        assert ("SLOWER" in pairs_table([pair])) is slower
    heavier = Ready(Subject(lambda: None), Facts("", peak_memory=2 * 10**8), 0.01)
    same = {f"{which} {CELL.digest}": times(0.01) for which in ("base", "now")}
    assert _pair(CELL, ready, heavier, Measurement(same)).memory_grew
    assert not _pair(CELL, heavier, ready, Measurement(same)).worse


def test_pictures_are_of_the_rows(tmp_path: Path) -> None:
    sizes = [row(times(0.001 * f), CELL.at(frames=f)) for f in (4, 8, 16)]
    rows = [Row(**{**one.__dict__, "intensity": 5.0, "roofline_share": 0.5}) for one in sizes]
    files = draw(rows, Roofline({"fp32": 1e11}, 1e10), tmp_path)
    names = sorted(path.name for path in tmp_path.iterdir())
    assert {path.name for path in files} == {name for name in names if name.endswith(".png")}
    assert len(files) == 2 and "roofline.png" in names and "roofline.svg" in names
    other = draw(rows[:2], Roofline({"fp32": 1e11}, 1e10), tmp_path / "other")
    assert all(path.read_bytes() != (tmp_path / path.name).read_bytes() for path in other)


# processes that die


@pytest.mark.long
def test_a_process_that_died_costs_its_own_cell_alone() -> None:
    small = CELL.at(frames=2, height=4, width=4, channels=16, heads=2)
    with Worker(PACKAGE.parent, device=CPU, longest=60.0, memory=None) as worker:
        one = worker.prepare(small)
        assert isinstance(one, Ready) and isinstance(one.subject.run, There)
        worker._process.kill()
        worker._process.wait()
        assert one.subject.run.seconds() > 0  # made ready again

        def killed(_: object) -> dict[str, Any]:
            worker._process.kill()
            raise WorkerDied(worker._process.wait())

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(worker, "_ask", killed)
            refused = worker.prepare(small.at(frames=4))
        assert isinstance(refused, Refused) and refused.status is Status.out_of_memory
        assert isinstance(worker.prepare(small.at(frames=4)), Ready)
        assert one.subject.run.seconds() > 0


def test_a_tree_that_cannot_be_measured_says_so(tmp_path: Path) -> None:
    (tmp_path / "attnzoo").mkdir()
    (tmp_path / "attnzoo" / "__init__.py").write_text("raise ImportError('too old')\n")
    with Worker(tmp_path, device=CPU, longest=60.0, memory=None) as worker:
        for _ in range(2):
            refused = worker.prepare(CELL)
            assert isinstance(refused, Refused) and refused.status is Status.failed
            assert "exit status 1" in refused.reason


# memory that is free


def test_the_least_that_a_control_group_leaves_counts(tmp_path: Path) -> None:
    def group(path: str, **files: object) -> None:
        (tmp_path / path).mkdir(parents=True, exist_ok=True)
        for name, text in files.items():
            (tmp_path / path / name.replace("__", ".")).write_text(f"{text}\n")

    group("own")
    (tmp_path / "own" / "cgroup").write_text("0::/slice/job\n3:cpu:/x\n5:memory:/old\n")
    group("groups/slice", memory__max=1000, memory__current=400)
    group(
        "groups/slice/job", memory__max="max", memory__current=100,
        memory__stat="anon 1\ninactive_file 5",
    )  # fmt: skip
    group("groups/slice/job/inside", memory__max=1, memory__current=1)  # not around it
    found = sorted(guard._left_to_groups(tmp_path / "own" / "cgroup", tmp_path / "groups"))
    assert found == [600]
    group("groups/slice/job", memory__max=300)
    group(
        "groups/memory/old", memory__limit_in_bytes=90, memory__usage_in_bytes=50,
        memory__stat="inactive_file 2\ntotal_inactive_file 7",
    )  # fmt: skip
    found = sorted(guard._left_to_groups(tmp_path / "own" / "cgroup", tmp_path / "groups"))
    assert found == [42, 205, 600]
    assert list(guard._left_to_groups(tmp_path / "nowhere", tmp_path / "groups")) == []


# grids


def grid(**given: Any) -> list[Cell]:
    return cells(
        axes_of({k: v if isinstance(v, list) else [v] for k, v in given.items()}, "cpu", False)
    )


def test_a_grid_has_every_combination_once_and_options_only_where_they_are() -> None:
    found = grid(
        attn=["stsa", "temporal"], what="module", peers=None, backward=False, frames=[2, 4],
        resolution=[8, "8x4"], size=[(2, 2, 2), (4, 4, 4)],
    )  # fmt: skip
    stsa = [c for c in found if c.name == "stsa"]
    # Two modules in a slot, two sizes, two numbers of frames, two grids.
    assert len(stsa) == 16 and len(found) == 16 + 4 and len({c.digest for c in found}) == 20
    assert {(c.height, c.width) for c in found} == {(8, 8), (8, 4)}
    assert {tuple(c.options["size"]) for c in stsa} == {(2, 2, 2), (4, 4, 4)}


def test_without_settings_every_variant_stands_beside_the_peers() -> None:
    found = cells(axes_of({}, "cpu", quick=True))
    assert {c.name for c in found if not c.peer} == set(registry.list_variants())
    assert "UNetMotionModel" in {c.name for c in found if c.peer}
    levels_of = grid(attn="stsa", what="level", peers=None, backward=False)
    assert {(c.channels, c.height) for c in levels_of} == {(64, 32), (128, 16), (256, 8)}


# subjects


def test_a_peer_gives_images_of_the_same_form() -> None:
    widths = UNETS["small"]
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(4, 4, 8, 8, generator=generator)
    text = torch.randn(4, 77, widths.cross_attention_dim, generator=generator)
    for peer in unet_peers().values():
        unet = peer.build(widths, Form())
        with torch.no_grad():
            found = peer.call(unet, images, torch.tensor(5), text, 2)
        assert found.shape == images.shape, peer.name
        assert bool(peer.trained(unet)) == (peer.name != STOCK)


def test_stock_weights_are_shared_and_modules_are_not() -> None:
    widths = UNETS["small"]
    one, other = stock(widths, Form()), stock(widths, Form())
    assert one is not other and one.conv_in is not other.conv_in
    assert one.conv_in.weight is other.conv_in.weight


def test_levels_are_what_attach_makes() -> None:
    found = levels(UNETS["small"], registry.get("stsa"))
    assert [(x.channels, x.coarser) for x in found][:2] == [(64, 1), (128, 2)]


PLUGIN = """
import torch
from torch import nn
from attnzoo import Kind, register
from attnzoo.attention import Mechanism


@register("planted", title="t", source="s", kind=Kind.insert, last_linear="to_out", cost="0",
          sees_exactly=False)
class Planted(Mechanism):
    def __init__(self, channels, heads):
        super().__init__(channels, heads)
        self.to_out = nn.Linear(channels, channels)

    def forward(self, x, *, flow=None):
        self.check(x)
        wrong = {wrong}
        return self.to_out(x) + (1 if wrong and x.dtype is torch.float32 else 0)

    def sees(self, query, shape):
        return torch.ones(shape, dtype=torch.bool)
"""


@pytest.mark.parametrize("wrong", [False, True])
def test_only_what_computes_rightly_gets_a_speed(wrong: bool, tmp_path: Path) -> None:
    """A plug-in without a reference is held to its own run in float64, and the row says so."""
    (tmp_path / "planted.py").write_text(PLUGIN.replace("{wrong}", str(wrong)))
    cell = Cell(What.module, "planted", 4, 4, 4, channels=16, heads=2)
    with registry.preserved():
        registry.load_plugin(tmp_path / "planted.py")
        found = Preparation(CPU, 60.0, None).prepare(cell)
    if wrong:
        assert isinstance(found, Refused) and found.status is Status.wrong
        assert "differs from its own float64 run" in found.reason
    else:
        assert isinstance(found, Ready) and found.facts.agreement.startswith("own float64 run")


@pytest.mark.parametrize("dtype", ["fp32", "bf16"])
@pytest.mark.parametrize("name", ["stsa", "crossframe_first", "none"])
def test_entries_agree_with_their_references(name: str, dtype: str) -> None:
    cell = Cell(What.module, name, 4, 8, 8, channels=16, heads=2, dtype=dtype, backward=True)
    found = agreement(cell)
    assert found.reference == "reference" and found.error < (1e-5 if dtype == "fp32" else 0.05)


def test_a_broken_entry_is_a_disagreement(monkeypatch: pytest.MonkeyPatch) -> None:
    from attnzoo.attention.temporal_conv import TemporalConvolution as Broken

    forward = Broken.forward

    def half(self: Any, x: Tensor, **flow: Any) -> Tensor:
        return 0.5 * forward(self, x, **flow)

    monkeypatch.setattr(Broken, "forward", half)
    with pytest.raises(Disagreement, match="float64 it differs from its reference by 5"):
        agreement(Cell(What.module, "temporal_conv", 4, 8, 8, channels=24, heads=3))


def test_masked_work_is_counted_and_not_useful(tmp_path: Path) -> None:
    """README's mechanism attends to all frames and masks most: it declares the whole."""
    source = (Path(__file__).parents[1] / "README.md").read_text().split("```python")[1]
    text = source.split("```")[0].replace('cost="4*b*f**2*h*w*c"', 'cost="4*b*f*(reach+1)*h*w*c"')
    (tmp_path / "ahead.py").write_text(text)
    with registry.preserved():
        registry.load_plugin(tmp_path / "ahead.py")
        cell = Cell(What.module, "ahead", 12, 4, 4, channels=16, heads=2)
        found = Preparation(CPU, 60.0, None).prepare(cell)
    assert isinstance(found, Ready)
    facts, tokens = found.facts, 12 * 4 * 4
    assert facts.flops == 8 * tokens * 16**2 + 4 * tokens * 12 * 16
    assert facts.flops_useful == 8 * tokens * 16**2 + 4 * tokens * 3 * 16


def test_ever_larger_cells_lead_to_a_large_one():
    cell = Cell(What.module, "temporal", 40, 16, 8, channels=64, heads=8)
    sizes = [(c.frames, c.height, c.width) for c in larger(cell)]
    assert sizes == [(8, 8, 8), (16, 8, 8), (32, 8, 8)]
