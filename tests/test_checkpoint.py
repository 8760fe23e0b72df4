"""Stopped and resumed runs end with the weights of one that never stopped, bit for bit."""

from __future__ import annotations

import errno
import json
import os
import resource
import signal
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_run import Interrupting, tiny_experiment, tiny_model, tiny_run, tiny_source

import attnzoo
from attnzoo import registry
from attnzoo.errors import UserError, lacking
from attnzoo.files import PARTIAL, replacing
from attnzoo.models.choice import StableDiffusion, Weights
from attnzoo.models.dance import DanceModel
from attnzoo.train import trainer
from attnzoo.train.checkpoint import Checkpoints
from attnzoo.train.settings import Experiment, Sampling, Schedule
from attnzoo.train.trainer import StageTrainer


def checkpoints(folder: Path) -> list[str]:
    return [p.name for p in Checkpoints(folder, every=1).newest_first()]


def assert_equal(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> None:
    assert one.keys() == other.keys()
    assert [n for n in one if not torch.equal(one[n], other[n])] == []


def accumulating(variant: str = "temporal") -> Experiment:
    experiment = tiny_experiment(variant)
    training = replace(experiment.training, accumulate=2, schedule=Schedule.cosine)
    return replace(experiment, training=training)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], dict[str, Any]]:
    return tiny_run(tmp_path_factory.mktemp("whole"), accumulating())


# Three steps of two clips a stage: in the first stage's second step, at its very first clip, in
# the second stage's first step (nothing of it saved yet) and last.
@pytest.mark.parametrize(
    ("at", "error"),
    [(1, KeyboardInterrupt()), (4, SystemExit(143)), (7, KeyboardInterrupt()), (12, SystemExit(1))],
)
def test_interrupted_and_resumed(
    tmp_path: Path, whole: tuple[Any, Any], at: int, error: BaseException
) -> None:
    with pytest.raises(type(error)):
        tiny_run(tmp_path, accumulating(), tiny_source(Interrupting(at, error)))
    stage, step = divmod((at - 1) // 2, 3)
    assert checkpoints(tmp_path)[0] == f"stage{stage + 1}-{step:06d}"
    assert not (tmp_path / "record.json").exists()
    record, weights = tiny_run(tmp_path, accumulating(), resume=True)
    assert_equal(weights, whole[1])
    assert record["training"]["resumed"] == 1
    for name in ("stage1", "stage2"):
        assert record["training"][name]["loss"] == whole[0]["training"][name]["loss"]
    assert record["scores"] == whole[0]["scores"]


def test_a_wish_to_stop_is_kept_though_nobody_reads_the_bar(
    tmp_path: Path, whole: tuple[Any, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C ends whoever reads what is printed, too, as in `... 2>&1 | tee log`."""
    step, bar = StageTrainer._step, trainer.progress_bar

    def asked(self: StageTrainer, parts: Any) -> float:
        loss = step(self, parts)
        if self.run.progress.steps == 2:
            os.kill(os.getpid(), signal.SIGINT)
        return loss

    def unread(*arguments: Any) -> Any:
        made = bar(*arguments)

        def update(steps: int = 1) -> None:
            if made.n == 1:
                raise BrokenPipeError

            made.n += steps

        made.update = update
        return made

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(StageTrainer, "_step", asked)
        patch.setattr(trainer, "progress_bar", unread)
        tiny_run(tmp_path, accumulating())
    assert checkpoints(tmp_path)[0] == "stage1-000002"
    record, weights = tiny_run(tmp_path, accumulating(), resume=True)
    assert_equal(weights, whole[1])
    assert record["training"]["stage1"]["loss"] == whole[0]["training"]["stage1"]["loss"]


def test_a_signal_between_two_renames_loses_no_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, rename = tmp_path / "folder", Path.replace
    with replacing(folder) as beside:
        beside.mkdir()
        (beside / "old").touch()

    def renamed(self: Path, target: Path) -> Path:
        found = rename(self, target)
        if self == folder:
            raise KeyboardInterrupt
        return found

    monkeypatch.setattr("attnzoo.files._exchanged", lambda one, other: False)
    monkeypatch.setattr(Path, "replace", renamed)
    with pytest.raises(KeyboardInterrupt), replacing(folder) as beside:
        beside.mkdir()
    assert [path.name for path in tmp_path.rglob("*")] == ["folder", "old"]


@pytest.mark.parametrize(
    "variant",
    ["stsa_flow", *(pytest.param(v, marks=pytest.mark.long) for v in ("crossframe_first", "none"))],
)
def test_killed_between_checkpoints_goes_back_to_the_last(tmp_path: Path, variant: str) -> None:
    """Nothing is saved at a kill: the steps after the last checkpoint are done again."""
    experiment = tiny_experiment(variant)
    _, expected = tiny_run(tmp_path / "whole", experiment)
    saving = replace(experiment, training=replace(experiment.training, checkpoint_seconds=0))
    folder = tmp_path / "killed"
    with pytest.raises(MemoryError):
        # What needs flow has a first look at a clip, to see whether there is any.
        looks = int(registry.get(variant).needs_flow)
        tiny_run(folder, saving, tiny_source(Interrupting(6 + looks, MemoryError())))
    assert checkpoints(folder) == ["stage2-000002", "stage2-000001"]
    (folder / "checkpoints" / f"{PARTIAL}1-stage2-000003").mkdir()
    _, weights = tiny_run(folder, experiment, resume=True)
    assert_equal(weights, expected)


def test_resumed_twice(tmp_path: Path, whole: tuple[Any, Any]) -> None:
    for at in (3, 5):
        with pytest.raises(KeyboardInterrupt):
            tiny_run(
                tmp_path,
                accumulating(),
                tiny_source(Interrupting(at, KeyboardInterrupt())),
                resume=True,
            )
    record, weights = tiny_run(tmp_path, accumulating(), resume=True)
    assert_equal(weights, whole[1])
    assert record["training"]["resumed"] == 2


def test_an_unreadable_newest_gives_way_to_the_one_before(tmp_path: Path) -> None:
    experiment = tiny_experiment()
    _, expected = tiny_run(tmp_path / "whole", experiment)
    saving = replace(experiment, training=replace(experiment.training, checkpoint_seconds=0))
    folder = tmp_path / "broken"
    with pytest.raises(MemoryError):
        tiny_run(folder, saving, tiny_source(Interrupting(3, MemoryError())))
    newest = Checkpoints(folder, every=1).newest_first()[0]
    (newest / "averages.safetensors").write_bytes(b"cut off")
    _, weights = tiny_run(folder, experiment, resume=True)
    assert_equal(weights, expected)


def test_after_both_stages_only_sampling_is_done_again(tmp_path: Path) -> None:
    def fail(*_: Any) -> dict[str, Any]:
        raise KeyboardInterrupt

    experiment = tiny_experiment()
    with pytest.raises(KeyboardInterrupt):
        tiny_run(tmp_path, experiment, scores=fail)
    untouchable = tiny_source(Interrupting(1, AssertionError("trained again")))
    other = replace(experiment, sampling=Sampling(steps=3, clips=1))
    record, _ = tiny_run(tmp_path, other, untouchable, resume=True)
    assert record["sampling"]["steps"] == 3
    assert record["training"]["stage2"]["loss"]["step"] == [1, 2, 3]


def test_finished_runs_stand(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    experiment = tiny_experiment("none")
    record, _ = tiny_run(tmp_path, experiment)
    with caplog.at_level("INFO"):
        again, weights = tiny_run(tmp_path, experiment, resume=True)
    assert again == record == json.loads((tmp_path / "record.json").read_text())
    assert weights == {} and "finished" in caplog.text
    with pytest.raises(UserError, match="holds a finished run"):
        tiny_run(tmp_path, experiment)


def test_without_a_checkpoint_it_starts_over(tmp_path: Path) -> None:
    _, expected = tiny_run(tmp_path / "a", tiny_experiment())
    _, weights = tiny_run(tmp_path / "b", tiny_experiment(), resume=True)
    assert_equal(weights, expected)


def test_a_fresh_run_does_not_take_the_place_of_an_unfinished_one(tmp_path: Path) -> None:
    experiment = tiny_experiment()
    with pytest.raises(KeyboardInterrupt):
        tiny_run(tmp_path, experiment, tiny_source(Interrupting(6, KeyboardInterrupt())))
    there = checkpoints(tmp_path)
    with pytest.raises(UserError, match=r"holds an unfinished run \(stage2-000002\): go on with"):
        tiny_run(tmp_path, replace(experiment, seed=1))
    assert checkpoints(tmp_path) == there


def test_what_the_machine_lacks_says_nothing_of_a_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    experiment = tiny_experiment()
    with pytest.raises(KeyboardInterrupt):
        tiny_run(tmp_path, experiment, tiny_source(Interrupting(6, KeyboardInterrupt())))
    there = checkpoints(tmp_path)

    def unreadable(*_: Any) -> None:
        raise OSError(errno.EMFILE, "Too many open files")

    with monkeypatch.context() as context:
        context.setattr("attnzoo.train.checkpoint.check_seal", unreadable)
        with pytest.raises(OSError, match="Too many open files"):
            tiny_run(tmp_path, experiment, resume=True)
    assert checkpoints(tmp_path) == there
    record, _ = tiny_run(tmp_path, experiment, resume=True)
    assert record["training"]["resumed"] == 1


def test_too_few_file_descriptors_say_nothing_of_a_checkpoint(tmp_path: Path) -> None:
    """With one left a file can be read, and safetensors, which needs more, says what it lacks."""
    experiment = tiny_experiment()
    with pytest.raises(KeyboardInterrupt):
        tiny_run(tmp_path, experiment, tiny_source(Interrupting(6, KeyboardInterrupt())))
    there = checkpoints(tmp_path)
    identity = experiment.identity(tiny_source().split_hash)
    found = Checkpoints(tmp_path, every=0)
    assert found.newest(identity) is not None
    limits, taken = resource.getrlimit(resource.RLIMIT_NOFILE), []
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(limits[0], 1024), limits[1]))
    try:
        with pytest.raises(OSError, match="Too many open files"):
            while True:
                taken.append(os.open(os.devnull, os.O_RDONLY))
        os.close(taken.pop())
        with pytest.raises(Exception, match="Too many open files") as error:
            found.newest(identity)
    finally:
        for handle in taken:
            os.close(handle)
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    assert lacking(error.value) is not None and checkpoints(tmp_path) == there


def test_other_weights_of_published_parts_are_refused(tmp_path: Path) -> None:
    experiment = replace(tiny_experiment(), model=StableDiffusion(weights=Weights.random))
    with pytest.raises(KeyboardInterrupt):
        tiny_run(tmp_path, experiment, tiny_source(Interrupting(6, KeyboardInterrupt())))

    def another() -> DanceModel:
        model = tiny_model()
        with torch.no_grad():
            next(model.image_encoder.parameters()).mul_(1.01)
        return model

    with pytest.raises(UserError, match="stage2-000002 was made upon other weights of the base"):
        tiny_run(tmp_path, experiment, resume=True, build=another)
    record, _ = tiny_run(tmp_path, experiment, resume=True)
    assert record["training"]["resumed"] == 1


def test_a_checkpoint_that_the_disk_cannot_read_gives_way_to_the_one_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    experiment = tiny_experiment()
    with pytest.raises(KeyboardInterrupt):
        tiny_run(tmp_path, experiment, tiny_source(Interrupting(6, KeyboardInterrupt())))
    assert checkpoints(tmp_path) == ["stage2-000002", "stage1-000003"]

    def unreadable(folder: Path) -> None:
        if folder.name == "stage2-000002":
            raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr("attnzoo.train.checkpoint.check_seal", unreadable)
    record, _ = tiny_run(tmp_path, experiment, resume=True)
    assert record["training"]["resumed"] == 1 and "stage2-000002 is damaged" in caplog.text


def test_a_damaged_checkpoint_takes_no_place_of_a_whole_one(tmp_path: Path) -> None:
    """Else a run that is killed soon after has lost both: one is damaged, the other was deleted."""
    experiment = tiny_experiment()
    with pytest.raises(KeyboardInterrupt):
        tiny_run(tmp_path, experiment, tiny_source(Interrupting(6, KeyboardInterrupt())))
    assert checkpoints(tmp_path) == ["stage2-000002", "stage1-000003"]
    (tmp_path / "checkpoints/stage2-000002/averages.safetensors").write_bytes(b"cut off")
    half = tmp_path / "checkpoints" / f"{PARTIAL}1-stage2-000007"
    half.mkdir()
    saving = replace(experiment, training=replace(experiment.training, checkpoint_seconds=0))
    with pytest.raises(MemoryError):
        tiny_run(tmp_path, saving, tiny_source(Interrupting(2, MemoryError())), resume=True)
    assert checkpoints(tmp_path) == ["stage2-000001", "stage1-000003"] and not half.exists()


@pytest.mark.parametrize("change", [{"seed": 1}, {"variant": "stsa"}])
def test_other_settings_are_refused(tmp_path: Path, change: dict[str, Any]) -> None:
    experiment = tiny_experiment()
    with pytest.raises(KeyboardInterrupt):
        tiny_run(tmp_path, experiment, tiny_source(Interrupting(2, KeyboardInterrupt())))
    with pytest.raises(UserError, match="made with other settings"):
        tiny_run(tmp_path, replace(experiment, **change), resume=True)
    # What does not decide the weights may differ.
    tiny_run(tmp_path, replace(experiment, workers=1), resume=True)


def test_another_model_is_refused(tmp_path: Path) -> None:
    experiment = tiny_experiment()
    with pytest.raises(KeyboardInterrupt):
        tiny_run(tmp_path, experiment, tiny_source(Interrupting(5, KeyboardInterrupt())))

    def other() -> Any:
        model = tiny_model()
        model.image_projection.append(torch.nn.Linear(8, 8))
        return model

    with pytest.raises(UserError, match="does not fit this model"):
        tiny_run(tmp_path, experiment, build=other, resume=True)


def test_due_by_the_clock(tmp_path: Path) -> None:
    now = [0.0]
    kept = Checkpoints(tmp_path, every=15, clock=lambda: now[0])
    assert not kept.due
    now[0] = 15.0
    assert kept.due


@pytest.mark.parametrize("folder", [False, True])
def test_replacing_is_all_or_nothing(tmp_path: Path, folder: bool) -> None:
    place = tmp_path / "thing"

    def write(path: Path, text: str) -> None:
        if folder:
            path.mkdir()
            path = path / "file"
        path.write_text(text)

    with replacing(place) as beside:
        write(beside, "one")
        assert not place.exists()
    with pytest.raises(KeyboardInterrupt), replacing(place) as beside:
        write(beside, "two")
        raise KeyboardInterrupt
    read = place / "file" if folder else place
    assert read.read_text() == "one"
    with replacing(place) as beside:
        write(beside, "three")
    assert read.read_text() == "three"
    assert [p.name for p in tmp_path.iterdir()] == ["thing"]


@pytest.mark.skipif(sys.platform != "linux", reason="other systems need two renames")
def test_a_folder_takes_anothers_place_in_one_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed between two renames it would leave none under its name."""
    place = tmp_path / "stage1-000001"
    place.mkdir()
    (place / "old").touch()

    def killed(self: Path, target: Path) -> Path:
        raise AssertionError(f"{self.name} was renamed to {target.name}")

    with monkeypatch.context() as patched:
        patched.setattr(Path, "replace", killed)
        with replacing(place) as beside:
            beside.mkdir()
            (beside / "new").touch()
    assert [path.name for path in place.iterdir()] == ["new"]
    monkeypatch.setattr("attnzoo.files._exchanged", lambda one, other: False)
    with replacing(place) as beside:  # where the system cannot
        beside.mkdir()
        (beside / "newer").touch()
    assert [path.name for path in place.iterdir()] == ["newer"]
    assert [path.name for path in tmp_path.iterdir()] == [place.name]


def test_a_run_that_goes_on_under_another_version_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    experiment = tiny_experiment()
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            source = tiny_source(Interrupting(3, KeyboardInterrupt()))
            tiny_run(tmp_path, experiment, source, resume=True)
    assert "was made by" not in caplog.text
    now = attnzoo.__version__
    monkeypatch.setattr(attnzoo, "__version__", "9.9.9")
    tiny_run(tmp_path, experiment, resume=True)
    assert f"was made by attnzoo {now} (now 9.9.9): what follows need not be" in caplog.text
