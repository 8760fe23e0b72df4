"""Simulated coverage: its rows, its truths, and the command."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from command import command

from attnzoo.metrics.statistics import coverage


def test_every_world_says_its_own_mean() -> None:
    rng = np.random.default_rng(0)
    for world in coverage.SCORE_WORLDS:
        draws = world.draw(rng, (200, 500))
        assert draws.mean() == pytest.approx(world.mean, abs=0.03)


@pytest.mark.parametrize("world", coverage.FEATURE_WORLDS, ids=lambda world: world.name)
def test_features_and_their_videos_fit(world: coverage.FeatureWorld) -> None:
    real, fake = world.draw(np.random.default_rng(0), 5)
    own, others = world.videos(5)
    assert len(real) == len(own) == len(fake) == len(others) == 5 * world.rows
    assert len(own.unique()) == 5
    assert set(own.tolist()).isdisjoint(others.tolist()) != world.paired


def test_rows_are_as_many_as_announced_and_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(coverage, "MEAN_VIDEOS", (2, 5, 12))
    monkeypatch.setattr(coverage, "FRECHET_VIDEOS", (4, 6))
    rows = list(coverage.simulate(10))
    assert len(rows) == coverage.rows_to_come()
    assert rows == list(coverage.simulate(10)) != list(coverage.simulate(10, seed=1))
    assert {row.nominal for row in rows if row.what != "test"} == {0.95}
    assert all(0 <= row.actual <= 1 and row.error > 0 for row in rows)


@pytest.mark.long
@pytest.mark.slow
def test_the_intervals_in_use_hold_what_they_say(monkeypatch: pytest.MonkeyPatch) -> None:
    """At 20 videos of well-behaved worlds: 95 % within what 300 simulations can tell."""
    monkeypatch.setattr(coverage, "MEAN_VIDEOS", (20,))
    monkeypatch.setattr(coverage, "FRECHET_VIDEOS", (20,))
    monkeypatch.setattr(coverage, "SCORE_WORLDS", coverage.SCORE_WORLDS[:2])
    monkeypatch.setattr(coverage, "FEATURE_WORLDS", coverage.FEATURE_WORLDS[:3])
    for row in coverage.simulate(300):
        if row.what == "test":
            assert row.actual < 0.09, row
        else:
            assert row.actual > 0.9, row


@pytest.mark.slow
def test_the_command_writes_table_and_picture(tmp_path: Path) -> None:
    done = command("coverage", "--out", "here", "--simulations", "10", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert {path.name for path in (tmp_path / "here").iterdir()} == {
        "coverage.csv", "coverage.md", "coverage.png",
    }  # fmt: skip
    table = pd.read_csv(tmp_path / "here" / "coverage.csv")
    assert set(table["what"]) == {"mean", "distance", "test"}
    assert "python -m attnzoo coverage --simulations 10 --seed 0" in done.stdout


def test_bad_input_is_one_line(tmp_path: Path) -> None:
    done = command("coverage", "--out", "x", "--simulations", "3", cwd=tmp_path)
    assert done.returncode == 2 and "--simulations 3: at least 10" in done.stderr
