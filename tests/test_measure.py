"""The measuring core: order, rounds, statistics, limits. Clocks are made up where it matters."""

from __future__ import annotations

import gc
import time

import pytest

from attnzoo.bench import measure as module
from attnzoo.bench.hardware import hardware, versions
from attnzoo.bench.measure import Measurement, Spread, measure


class Clock:
    """A clock that candidates move themselves."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 0.0
        self.calls: list[str] = []
        monkeypatch.setattr(module.time, "perf_counter", lambda: self.now)

    def candidate(self, name: str, seconds: float):  # type: ignore[no-untyped-def]
        def run() -> None:
            self.calls.append(name)
            self.now += seconds

        return run


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


def test_every_round_runs_every_candidate_once_after_the_warm_up(clock: Clock) -> None:
    runs = {name: clock.candidate(name, s) for name, s in (("a", 1.0), ("b", 2.0), ("c", 3.0))}
    found = measure(runs, rounds=8, warmup=2)
    rounds = [clock.calls[i : i + 3] for i in range(0, len(clock.calls), 3)]
    assert len(rounds) == 10 and all(sorted(r) == ["a", "b", "c"] for r in rounds)
    assert len({tuple(r) for r in rounds[2:]}) > 1, "the order never changes"
    assert found.seconds["b"] == (2.0,) * 8 and list(found.seconds) == ["a", "b", "c"]


def test_the_order_follows_from_the_seed(clock: Clock) -> None:
    orders = []
    for seed in (0, 0, 1):
        clock.calls.clear()
        runs = {name: clock.candidate(name, 1.0) for name in "abcd"}
        measure(runs, rounds=5, seed=seed)
        orders.append(tuple(clock.calls))
    assert orders[0] == orders[1] != orders[2]


@pytest.mark.parametrize(("limit", "rounds"), [(0.0, 1), (2.5, 3), (100.0, 6), (None, 6)])
def test_no_round_begins_after_the_limit(clock: Clock, limit: float | None, rounds: int) -> None:
    found = measure({"a": clock.candidate("a", 1.0)}, rounds=6, limit=limit)
    assert found.rounds == rounds


def test_spread_is_median_and_quartiles() -> None:
    assert Spread.of([4.0, 1.0, 3.0, 2.0, 5.0]) == Spread(3.0, 2.0, 4.0, 5)
    assert Spread.of([2.0]) == Spread(2.0, 2.0, 2.0, 1)


def test_ratios_are_taken_within_a_round() -> None:
    """A machine that slows down in the middle changes the times and not the ratios."""
    found = Measurement({"a": (1.0, 10.0, 3.0), "b": (2.0, 20.0, 6.0)})
    assert found.ratio("b", "a") == Spread(2.0, 2.0, 2.0, 3)
    assert found.spread("a") == Spread(3.0, 2.0, 6.5, 3)


@pytest.mark.parametrize(
    ("candidates", "rounds", "warmup"), [(0, 1, 0), (1, 0, 0), (1, -3, 0), (1, 1, -1)]
)
def test_what_cannot_be_measured_is_refused(candidates: int, rounds: int, warmup: int) -> None:
    runs = {str(i): (lambda: None) for i in range(candidates)}
    with pytest.raises(
        ValueError, match=f"{candidates} candidates, rounds={rounds}, warmup={warmup}"
    ):
        measure(runs, rounds=rounds, warmup=warmup)


def test_the_collector_rests_and_comes_back_even_after_an_error() -> None:
    seen = []

    def run() -> None:
        seen.append(gc.isenabled())
        if len(seen) == 2:
            raise RuntimeError("broken")

    with pytest.raises(RuntimeError, match="broken"):
        measure({"a": run}, rounds=3)
    assert seen == [False, False] and gc.isenabled()


def test_real_time_is_seconds() -> None:
    found = measure({"nap": lambda: time.sleep(0.01)}, rounds=3)
    assert all(0.009 < s < 0.2 for s in found.seconds["nap"])


def test_hardware_and_versions_are_plain_values() -> None:
    machine, software = hardware(), versions()
    assert machine["cpu"] and machine["cores"] >= 1 and machine["threads"] >= 1
    assert machine["gpu"] is None and machine["memory"] > 0
    assert software["torch"].startswith("2.") and software["diffusers"]
