"""Numbers that are none, that stand out, and that must come out the same."""

from __future__ import annotations

import json
import logging
import math
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from tiny_run import (
    FRAMES,
    SIZE,
    tiny_clip,
    tiny_experiment,
    tiny_model,
    tiny_run,
)
from torch import Tensor, nn

from attnzoo.models.dance import DanceModel
from attnzoo.models.finite import NotFinite, first_not_finite
from attnzoo.train import batches
from attnzoo.train.batches import Batches, Purpose
from attnzoo.train.description import curve
from attnzoo.train.device import determinism, make_accelerator
from attnzoo.train.experiment import _sample
from attnzoo.train.objective import Objective
from attnzoo.train.processes import joined
from attnzoo.train.record import check_record, read_record
from attnzoo.train.settings import Experiment, Nonfinite, Sampling, Stage
from attnzoo.train.spikes import is_spike
from attnzoo.train.trainer import SKIPPED_AT_MOST, Diverged, StageTrainer


@pytest.fixture(autouse=True)
def _no_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("attnzoo.train.experiment._pictures", lambda *_: None)


def training(experiment: Experiment, **changes: Any) -> Experiment:
    return replace(experiment, training=replace(experiment.training, **changes))


def short(**changes: Any) -> Experiment:
    """Two steps of the first stage, none of the second, one clip in one step."""
    plan = {"stage1": Stage(2, 1e-2, 0), "stage2": Stage(0, 1e-3, 0), **changes}
    return training(tiny_experiment("none", sampling=Sampling(steps=1, clips=1)), **plan)


# --- no numbers


class Breaking(nn.Module):
    """Stands around a layer; its output is no number from its `at`-th call on, `times` long."""

    def __init__(self, layer: nn.Module, at: int, times: int = 10**9, grad: bool = False) -> None:
        super().__init__()
        self.layer, self.at, self.times, self.grad, self.calls = layer, at, times, grad, 0

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        out: Tensor = self.layer(x)
        if not self.at <= self.calls < self.at + self.times:
            return out
        if self.grad:  # finite itself, and without an end to its slope
            return out + 0 * (out - out.detach()).sqrt()
        return out * math.inf


def breaking(at: int, times: int = 10**9, grad: bool = False) -> Any:
    """Builds the tiny model with such a layer in the middle of its U-Net."""

    def build() -> DanceModel:
        model = tiny_model()
        block = model.unet.mid_block.resnets[0]
        block.conv1 = Breaking(block.conv1, at, times, grad)
        return model

    return build


LAYER = r"unet\.mid_block\.resnets\.0\.conv1 \(Breaking\)"


def test_the_message_names_step_layer_and_checkpoint(tmp_path: Path) -> None:
    experiment = short(checkpoint_seconds=0)
    with pytest.raises(Diverged) as caught:
        # ControlNets have no such layer: one call a step.
        tiny_run(tmp_path, experiment, build=breaking(2))
    message = str(caught.value)
    assert message.startswith(
        "stage 1, step 2 of 2: the loss is nan, first in unet.mid_block.resnets.0.conv1 (Breaking)"
    )
    last = f"the last good checkpoint: {tmp_path}/checkpoints/stage1-000001"
    assert f"{last}, which has the weights that gave this;" in message
    assert "train.nonfinite=skip" in message and "\n" not in message


def test_a_checkpoint_is_good_when_a_step_from_it_went_well(tmp_path: Path) -> None:
    experiment = short(stage1=Stage(4, 1e-2, 0), checkpoint_seconds=0)
    with pytest.raises(Diverged) as caught:
        tiny_run(tmp_path / "a", experiment, build=breaking(4))
    good, last = (f"{tmp_path}/a/checkpoints/stage1-00000{step}" for step in (2, 3))
    found = f"checkpoint: {good} ({last} has the weights that gave this);"
    assert found in str(caught.value) and Path(good).is_dir()
    # However many are written while steps are skipped.
    experiment = short(stage1=Stage(16, 1e-2, 0), checkpoint_seconds=0, nonfinite=Nonfinite.skip)
    with pytest.raises(Diverged) as caught:
        tiny_run(tmp_path / "b", experiment, build=breaking(3))
    good = f"{tmp_path}/b/checkpoints/stage1-000001"
    assert f"checkpoint: {good} (" in str(caught.value) and Path(good).is_dir()


def test_without_a_checkpoint_it_says_so(tmp_path: Path) -> None:
    with pytest.raises(Diverged, match="checkpoint: none was written yet"):
        tiny_run(tmp_path, short(), build=breaking(1))


def test_a_gradient_that_is_no_number_is_named_too(tmp_path: Path) -> None:
    experiment = short(stage1=Stage(0, 1e-2, 0), stage2=Stage(2, 1e-3, 0))
    layer = r"unet\.mid_block\.resnets\.0\.conv1\.layer\.(weight|bias)"
    with pytest.raises(Diverged, match=rf"gradient's norm is nan, first in {layer} \(and \d+ more"):
        tiny_run(tmp_path, experiment, build=breaking(2, grad=True))


@pytest.mark.parametrize("grad", [False, True])
def test_skipped_steps_are_counted_and_change_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, grad: bool
) -> None:
    # A stage of one step that is skipped leaves the weights as they were.
    plan = {"stage1": Stage(0, 1e-2, 0), "stage2": Stage(1, 1e-2, 0)}
    experiment = short(nonfinite=Nonfinite.skip, **plan)
    # Further calls are the search for the layer, and for the gradient's before that.
    times = 3 if grad else 2
    record, weights = tiny_run(tmp_path, experiment, build=breaking(1, times, grad))
    stage = record["training"]["stage2"]
    assert stage["skipped"] == [1] and stage["steps"] == 1
    assert "stage 2, step 1 of 1: the " in caplog.text and "skipped, 1 so far" in caplog.text
    assert stage["loss"]["loss"] == ([] if not grad else [pytest.approx(0.7, abs=0.6)])
    before = tiny_model().state_dict()
    assert all(torch.equal(before[n], weights[n]) for n in before if "conv1" not in n)


def test_a_skipped_step_in_between_is_resumed_over(tmp_path: Path) -> None:
    experiment = short(nonfinite=Nonfinite.skip, stage1=Stage(3, 1e-2, 1))
    record, weights = tiny_run(tmp_path / "a", experiment, build=breaking(2, 2))
    assert record["training"]["stage1"]["skipped"] == [2]
    assert record["training"]["stage1"]["loss"]["step"] == [1, 3]

    def fail(*_: Any) -> dict[str, Any]:
        raise MemoryError

    with pytest.raises(MemoryError):
        tiny_run(tmp_path / "b", experiment, build=breaking(2, 2), scores=fail)
    again, others = tiny_run(tmp_path / "b", experiment, resume=True, build=breaking(10**9))
    assert all(torch.equal(weights[n], others[n]) for n in weights)
    assert again["training"]["stage1"] == record["training"]["stage1"] | {
        k: again["training"]["stage1"][k] for k in ("seconds", "frames_per_second", "loader")
    }


def test_too_many_in_a_row_stop_the_run(tmp_path: Path) -> None:
    experiment = short(nonfinite=Nonfinite.skip, stage1=Stage(30, 1e-2, 0))
    with pytest.raises(Diverged, match=f"step {SKIPPED_AT_MOST + 2} of 30.*after 10 steps that"):
        tiny_run(tmp_path, experiment, build=breaking(2))


@pytest.fixture
def scaling(monkeypatch: pytest.MonkeyPatch) -> None:
    """Loss scaling as fp16 has it, which no CPU computes in."""

    def made(*arguments: Any) -> Any:
        accelerator = make_accelerator(*arguments)
        accelerator.scaler = torch.amp.GradScaler("cpu")
        return accelerator

    monkeypatch.setattr("attnzoo.train.experiment.make_accelerator", made)


@pytest.mark.usefixtures("scaling")
def test_a_step_that_loss_scaling_leaves_out_is_counted(tmp_path: Path) -> None:
    """With float32, and a gradient that is no number."""
    experiment = short(stage1=Stage(3, 1e-2, 0))
    record, _ = tiny_run(tmp_path, experiment, build=breaking(1, 1, grad=True))
    stage = record["training"]["stage1"]
    assert stage["skipped"] == [1] and stage["loss"]["step"] == [1, 2, 3]


@pytest.mark.usefixtures("scaling")
def test_loss_scaling_that_never_finds_its_scale_stops_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A gradient that is no number is none at any scale."""
    monkeypatch.setattr("attnzoo.train.trainer.OVERFLOWS_AT_MOST", 3)
    experiment = short(stage1=Stage(9, 1e-2, 0))
    said = r"step 5 of 9: the gradient's norm, after 3 steps that loss scaling left out, is nan"
    with pytest.raises(Diverged, match=said):
        tiny_run(tmp_path, experiment, build=breaking(2, grad=True))


@pytest.mark.usefixtures("scaling")
def test_the_rate_goes_on_over_a_skipped_step_whatever_loss_scaling_did_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rates: list[float] = []

    def noted(trainer: StageTrainer, *_: Any) -> None:
        rates.append(trainer.schedule.get_last_lr()[0])

    monkeypatch.setattr(StageTrainer, "_log", noted)

    def build() -> DanceModel:
        """No gradient in step 2, no loss in step 3."""
        model = breaking(2, 1, grad=True)()
        block = model.unet.mid_block.resnets[0]
        block.conv1 = Breaking(block.conv1, 3, 1)
        return model

    experiment = short(stage1=Stage(5, 1e-2, 5), nonfinite=Nonfinite.skip)
    record, _ = tiny_run(tmp_path, experiment, build=build)
    assert record["training"]["stage1"]["skipped"] == [2, 3]
    # Warming up by a fifth a step, but at the one that loss scaling left out.
    assert rates == pytest.approx([0.002, 0.002, 0.004, 0.006, 0.008])


def test_a_sample_that_is_no_number_stops_the_run(tmp_path: Path) -> None:
    experiment = replace(short(), sampling=Sampling(steps=2, clips=2))
    # Two steps of training, two of the first clip, the first of the second.
    where = rf"sampling clip101: denoising step 1 of 2: .* first in {LAYER}"
    with pytest.raises(NotFinite, match=where) as caught:
        tiny_run(tmp_path, experiment, build=breaking(5))
    assert "checkpoints/stage1-000002" in str(caught.value)


def test_the_layer_is_the_first_and_the_innermost() -> None:
    class Log(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x.log()

    model = nn.Sequential(nn.Sequential(nn.Identity(), Log()), Log())
    assert first_not_finite(model, lambda: model(-torch.ones(1))) == "0.1 (Log)"
    assert first_not_finite(model, lambda: model(torch.ones(1) * 3)) is None
    given = first_not_finite(model, lambda: model(torch.full((1,), math.nan)))
    assert given == "0.0 (Identity), which was given some already"
    assert not model[1]._forward_hooks and not model[0][1]._forward_hooks


# --- losses that stand out


def test_a_spike_is_above_three_times_all_before() -> None:
    steady = [0.1, 0.3] * 10
    assert is_spike(0.91, steady, []) and not is_spike(0.89, steady, [])
    assert not is_spike(9.0, steady[:9], [])  # too few to know
    assert not is_spike(math.inf, steady, [])  # skipped, and counted as that
    # Neither an earlier spike nor a skipped step is what others are measured by.
    assert is_spike(0.91, [*steady, 5.0, math.nan], [21])
    assert not is_spike(0.91, [0.5, *[0.1] * 49], []) and is_spike(0.91, [0.5, *[0.1] * 50], [])


def test_spikes_are_logged_and_stand_in_the_record(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = Objective.__call__

    def louder(self: Objective, batch: Any, first: int) -> Tensor:
        return original(self, batch, first) * (100 if first == 11 else 1)

    monkeypatch.setattr(Objective, "__call__", louder)
    experiment = short(stage1=Stage(13, 1e-4, 0))
    with caplog.at_level(logging.WARNING):
        record, _ = tiny_run(tmp_path, experiment)
    assert record["training"]["stage1"]["spikes"] == [12]
    assert "stage 1, step 12: loss" in caplog.text and caplog.text.count("more than 3") == 1


def test_records_without_counts_are_read(tmp_path: Path) -> None:
    record, _ = tiny_run(tmp_path, short())
    for stage in ("stage1", "stage2"):
        del record["training"][stage]["skipped"], record["training"][stage]["spikes"]
    del record["training"]["processes"]
    (tmp_path / "record.json").write_text(json.dumps(record))
    assert read_record(tmp_path) == record
    with pytest.raises(ValueError, match="unknown stopped"):
        check_record({**record, "training": {**record["training"], "stopped": 1}})


def test_curves_leave_out_what_is_no_number() -> None:
    found = curve([1.0, math.nan, 3.0, math.nan, math.nan, 7.0], 3)
    assert (found.step, found.loss) == ([2, 4, 6], [1.0, 3.0, 7.0])
    assert curve([math.nan], 5).loss == []


# --- the same again

STAGES = ("stage1", "stage2")


def test_two_runs_give_the_same_bytes_whatever_the_loader(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[bool] = []
    step = StageTrainer._step

    def noted(trainer: StageTrainer, parts: Any) -> float:
        asked.append(torch.are_deterministic_algorithms_enabled())
        return step(trainer, parts)

    monkeypatch.setattr(StageTrainer, "_step", noted)
    plan = {"stage1": Stage(2, 1e-2, 0), "stage2": Stage(1, 1e-3, 0), "deterministic": True}
    sampling = Sampling(steps=1, clips=1)
    experiment = training(tiny_experiment("temporal", sampling=sampling), **plan)
    files, records = [], []
    for name, workers in (("a", 1), ("b", 1), ("c", 2)):
        folder = tmp_path / name
        record, _ = tiny_run(folder, replace(experiment, workers=workers))
        files.append((folder / "weights.safetensors").read_bytes())
        records.append((record["scores"], [record["training"][s]["loss"] for s in STAGES]))
    assert len(set(files)) == 1
    assert all(one == records[0] for one in records)
    # On a CPU the bytes are the same without it, too.
    assert asked == [True] * 9 and not torch.are_deterministic_algorithms_enabled()


def test_determinism_leaves_torch_as_it_was() -> None:
    torch.use_deterministic_algorithms(True, warn_only=True)
    try:
        for wanted in (False, True):
            with determinism(wanted):
                warns = torch.is_deterministic_algorithms_warn_only_enabled()
                assert warns == (not wanted)
            assert torch.is_deterministic_algorithms_warn_only_enabled()
    finally:
        torch.use_deterministic_algorithms(False)


@pytest.mark.parametrize("more", list(Purpose))
def test_one_draw_more_changes_no_other(
    more: Purpose, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A generator of one purpose is used up further; order, times, noise and tokens stay."""
    model = tiny_model()
    objective = Objective(
        model, noise=tiny_experiment().training_noise, seed=3, stage=1, null_tokens=0.5
    )
    clips = [tiny_clip(i, flow=False) for i in range(5)]
    sampling = Sampling(steps=1, clips=2)
    experiment = replace(tiny_experiment(sampling=sampling), seed=3)
    state: Any = SimpleNamespace(
        experiment=experiment,
        model=model,
        accelerator=make_accelerator(experiment, tmp_path, 1),
        processes=joined(),
    )
    shape = (2, FRAMES, 12, SIZE // 2, SIZE // 2)

    def all_of_it() -> dict[str, Any]:
        batches._epoch.cache_clear()
        draw = objective.draw(4, shape)
        order = [Batches(clips, 3, 1, 1).index(n) for n in range(10)]
        sampled = _sample(state, clips[:2])[0]
        assert sampled is not None
        return {
            "order": order, "time": draw.times.tolist(), "noise": draw.noise.flatten().tolist(),
            "null": draw.null.tolist(), "sample": sampled.flatten().tolist(),
        }  # fmt: skip

    before = all_of_it()
    original = batches.generator

    def further(seed: int, purpose: Purpose, *place: int) -> torch.Generator:
        made = original(seed, purpose, *place)
        if purpose is more:
            torch.rand(1, generator=made)
        return made

    monkeypatch.setattr(batches, "generator", further)
    for user in ("objective", "experiment"):
        monkeypatch.setattr(f"attnzoo.train.{user}.generator", further)
    after = all_of_it()
    batches._epoch.cache_clear()
    changed = {name for name in before if before[name] != after[name]}
    # Dropout is seeded by itself, by a key that no other purpose has.
    assert changed == ({more.name} - {"dropout"})
