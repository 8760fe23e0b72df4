"""Looking at a run on its way changes nothing of it; scoring may begin at any test clip."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from tiny_run import tiny_clip, tiny_experiment, tiny_run, tiny_source
from torch import Tensor

from attnzoo.errors import UserError
from attnzoo.train.settings import Sampling
from attnzoo.train.watch import Look


class Watcher:
    """Looks after the second step of stage 1; may be interrupted there."""

    def __init__(self, error: BaseException | None = None) -> None:
        self.error = error
        self.seen: list[tuple[int, int, Tensor]] = []
        self.end: Tensor | None = None

    def due(self, stage: int, step: int) -> bool:
        return (stage, step) == (1, 2)

    def look(self, look: Look) -> None:
        self.seen.append((look.stage, look.step, look.made(1, 3)))
        if self.error is not None:
            raise self.error

    def finished(self, look: Look, generated: Tensor) -> None:
        self.end = generated
        self.seen.append((look.stage, look.step, look.made(2, 2)))


def test_a_run_that_is_looked_at_is_the_same(tmp_path: Path) -> None:
    watch = Watcher()
    plain, weights = tiny_run(tmp_path / "a", tiny_experiment())
    seen, others = tiny_run(tmp_path / "b", tiny_experiment(), watch=watch)
    assert seen["scores"] == plain["scores"]
    assert all(torch.equal(weights[name], others[name]) for name in weights)
    (first, end) = watch.seen
    assert first[:2] == (1, 2) and first[2].shape == (1, 3, 3, 16, 16)
    assert end[:2] == (2, 3)
    # With the run's own number of steps it is what is scored.
    assert watch.end is not None and torch.equal(end[2], watch.end)


@pytest.mark.long
def test_what_an_interrupted_look_has_not_seen_it_sees_when_resumed(tmp_path: Path) -> None:
    experiment = tiny_experiment()
    experiment.training.checkpoint_seconds = 0.0
    with pytest.raises(KeyboardInterrupt):
        tiny_run(tmp_path, experiment, watch=Watcher(KeyboardInterrupt()))
    watch = Watcher()
    record, _ = tiny_run(tmp_path, experiment, resume=True, watch=watch)
    assert record["training"]["resumed"] == 1
    assert [place[:2] for place in watch.seen] == [(1, 2), (2, 3)]
    undisturbed, _ = tiny_run(tmp_path / "other", experiment)
    assert record["scores"] == undisturbed["scores"]


@pytest.mark.long
def test_scoring_begins_at_the_first_clip_that_is_named(tmp_path: Path) -> None:
    both, second = Watcher(), Watcher()
    tiny_run(tmp_path / "a", tiny_experiment(), watch=both)
    later = tiny_experiment(sampling=Sampling(steps=2, clips=2, first=1))
    record, _ = tiny_run(tmp_path / "b", later, watch=second)
    assert record["sampling"]["clips"] == ["clip101"]
    assert both.end is not None and second.end is not None
    assert torch.equal(both.end[1:], second.end)


def test_a_first_clip_that_is_not_there_is_refused(tmp_path: Path) -> None:
    for first, said in ((2, "sample.first=2"), (-1, "sample.first=-1")):
        experiment = tiny_experiment(sampling=Sampling(steps=2, clips=1, first=first))
        with pytest.raises(UserError, match=said):
            tiny_run(tmp_path, experiment, tiny_source([tiny_clip(0)]))


def test_a_run_without_pictures_names_none(tmp_path: Path) -> None:
    record, _ = tiny_run(tmp_path, tiny_experiment(), pictures=False)
    assert record["files"] == ["weights.safetensors"]
    assert {p.name for p in tmp_path.iterdir() if p.is_file()} == {
        "record.json", "weights.safetensors"
    }  # fmt: skip
