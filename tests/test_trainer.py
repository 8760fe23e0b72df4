"""Training: what the loss is, in which order clips come, what stops it; and one run whole."""

from __future__ import annotations

import hashlib
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_run import (
    FRAMES,
    SCHEDULER,
    SIZE,
    Interrupting,
    tiny_clip,
    tiny_experiment,
    tiny_model,
    tiny_run,
    tiny_source,
)
from torch import Tensor, nn

from attnzoo import registry
from attnzoo.data.clip import Batch, collate
from attnzoo.errors import UserError
from attnzoo.models.dance import DanceModel
from attnzoo.models.noise import Noise
from attnzoo.models.slots import Stack
from attnzoo.train.batches import Batches, Purpose, Share, generator, key
from attnzoo.train.device import choose_device
from attnzoo.train.objective import Objective
from attnzoo.train.settings import (
    Experiment,
    Precision,
    Sampling,
    Schedule,
    Stage,
    Tracker,
    Training,
)
from attnzoo.train.stages import parameter_groups
from attnzoo.train.trainer import Diverged


@pytest.fixture(autouse=True)
def _no_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """They take longer than these runs and have tests of their own."""
    monkeypatch.setattr("attnzoo.train.experiment._pictures", lambda *_: None)


# --- data order and random choices


@settings(max_examples=30, deadline=None)
@given(
    clips=st.integers(1, 7), seed=st.integers(0, 2**40), stage=st.integers(1, 2),
    batch=st.integers(1, 3), start=st.integers(0, 4), workers=st.integers(0, 2),
)  # fmt: skip
def test_order_is_one_permutation_after_another_wherever_it_begins(
    clips: int, seed: int, stage: int, batch: int, start: int, workers: int
) -> None:
    data = [tiny_clip(i, flow=False) for i in range(clips)]
    batches = Batches(data, seed, stage, batch, workers)
    order = [batches.index(n) for n in range(3 * clips)]
    assert all(sorted(order[i : i + clips]) == list(range(clips)) for i in (0, clips, 2 * clips))
    singles = Batches(data, seed, stage, 1)
    stop = start + 2
    names = [n for _, b in singles.between(start * batch, stop * batch) for n in b.names]
    parts = list(batches.between(start, stop))
    assert [first for first, _ in parts] == [start * batch, (start + 1) * batch]
    assert [n for _, b in parts for n in b.names] == names


def test_epochs_stages_and_seeds_differ_in_order() -> None:
    data = [tiny_clip(0, flow=False)] * 20
    orders = {
        tuple(Batches(data, seed, stage, 1).index(epoch * 20 + n) for n in range(20))
        for seed in (0, 1)
        for stage in (1, 2)
        for epoch in (0, 1)
    }
    assert len(orders) == 8


def test_keys_differ_by_seed_purpose_and_place() -> None:
    keys = {
        key(seed, purpose, stage, step)
        for seed in range(3) for purpose in Purpose for stage in (1, 2) for step in range(20)
    }  # fmt: skip
    assert len(keys) == 3 * len(Purpose) * 2 * 20
    assert all(0 <= k < 2**63 for k in keys)


def test_workers_stop_with_the_first_failure() -> None:
    batches = Batches(Interrupting(4, OSError("lost")), 0, 1, 1, workers=2)
    with pytest.raises(OSError, match="lost"):
        list(batches.between(0, 100))


@pytest.mark.parametrize("workers", [0, 2])
def test_a_stage_of_very_many_steps_begins_at_once(workers: int) -> None:
    batches = Batches([tiny_clip(0, flow=False)], 0, 1, 2, workers)
    made = batches.starting(Share.of(2, 3, 0, 1).firsts(1, 10**12))
    assert [next(made)[0] for _ in range(4)] == [6, 8, 10, 12]
    assert batches.meter.clips < 20


# --- the objective


class Echo(nn.Module):
    """Stands for a model: predicts a fixed function of its inputs and keeps them."""

    def __init__(self, prediction: str) -> None:
        super().__init__()
        self.scheduler_config = {**SCHEDULER, "prediction_type": prediction}
        self.codec = tiny_model().codec
        self.seen: dict[str, Any] = {}

    def tokens(self, batch: Batch) -> Tensor:
        return batch.foreground.mean((2, 3))[:, None] + 1

    def null_tokens(self, tokens: Tensor) -> Tensor:
        return torch.zeros_like(tokens)

    def forward(self, noisy: Tensor, t: Tensor, tokens: Tensor, *rest: Any) -> Tensor:
        self.seen = {"noisy": noisy, "t": t, "tokens": tokens}
        return 0.3 * noisy + 0.1


def objective(model: Any, **changes: Any) -> Objective:
    values = {"noise": Noise.half, "seed": 5, "stage": 1, "null_tokens": 0.5, **changes}
    return Objective(model, **values)


@pytest.mark.parametrize("kind", ["epsilon", "v_prediction"])
def test_loss_is_the_formula(kind: str) -> None:
    model = Echo(kind)
    loss = objective(model)
    batch = collate([tiny_clip(i) for i in range(4)])
    found = float(loss(batch, 8))
    draw = loss.draw(8, (4, FRAMES, 12, SIZE // 2, SIZE // 2))
    # Squared cosine schedule of Nichol and Dhariwal, rescaled to zero terminal signal.
    bar = [math.cos((i / 50 + 0.008) / 1.008 * math.pi / 2) ** 2 for i in range(51)]
    alphas = torch.tensor([1 - min(1 - bar[i + 1] / bar[i], 0.999) for i in range(50)]).double()
    root = alphas.cumprod(0).sqrt()
    root = (root - root[-1]) * root[0] / (root[0] - root[-1])
    signal = root[draw.times][:, None, None, None, None]
    spread = (1 - signal**2).sqrt()
    clean = torch.nn.functional.pixel_unshuffle(2 * batch.video.double() - 1, 2)
    noise = draw.noise.double()
    noisy = signal * clean + spread * noise
    target = noise if kind == "epsilon" else signal * noise - spread * clean
    expected = (0.3 * noisy + 0.1 - target).square().mean()
    assert found == pytest.approx(float(expected), abs=1e-5)
    torch.testing.assert_close(model.seen["noisy"].double(), noisy, atol=1e-5, rtol=1e-5)
    assert torch.equal(model.seen["t"], draw.times) and model.seen["t"].shape == (4,)
    assert torch.equal(model.seen["tokens"].any(-1).any(-1), ~draw.null)


def test_a_share_of_times_is_drawn_where_the_noise_is_high() -> None:
    # Of 50 steps the noisiest 30 % are those from 35 on.
    shape = (400, FRAMES, 12, 1, 1)
    shares = {
        high: (objective(Echo("epsilon"), high_noise=high).draw(0, shape).times >= 35)
        .float()
        .mean()
        for high in (0.0, 0.5, 1.0)
    }
    assert shares[0.0] == pytest.approx(0.3, abs=0.08)
    assert shares[0.5] == pytest.approx(0.65, abs=0.08)
    assert shares[1.0] == 1.0


def test_choices_belong_to_a_clips_number_not_to_its_batch() -> None:
    loss = objective(Echo("epsilon"))
    shape = (FRAMES, 12, 4, 4)
    whole, parts = loss.draw(0, (4, *shape)), [loss.draw(i, (1, *shape)) for i in range(4)]
    for name in ("times", "noise", "null"):
        joined = torch.cat([getattr(part, name) for part in parts])
        assert torch.equal(getattr(whole, name), joined)
    many = loss.draw(0, (400, 1, 1, 1, 1))
    assert abs(float(many.null.float().mean()) - 0.5) < 0.1
    assert many.times.min() == 0 and many.times.max() == 49
    other = objective(Echo("epsilon"), stage=2).draw(0, (400, 1, 1, 1, 1))
    assert not torch.equal(many.times, other.times)


def test_unknown_prediction_is_refused() -> None:
    with pytest.raises(UserError, match="prediction_type=sample: train epsilon"):
        objective(Echo("sample"))


# --- the trainer


def seen_by(variant: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, ...]]:
    seen: list[tuple[Any, ...]] = []
    original = Objective.__call__

    def spy(self: Objective, batch: Batch, first: int) -> Tensor:
        draw = self.draw(first, (1, FRAMES, 12, 2, 2))
        seen.append((self.stage, batch.names, int(draw.times), float(draw.noise.sum())))
        return original(self, batch, first)

    with monkeypatch.context() as patch:
        patch.setattr(Objective, "__call__", spy)
        tiny_run(folder, tiny_experiment(variant))
    return seen


@pytest.mark.long
def test_every_variant_sees_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    variants = ("none", "temporal", "stsa_flow", "crossframe_first")
    seen = [seen_by(v, tmp_path / v, monkeypatch) for v in variants]
    assert len(seen[0]) == 6 and len(set(seen[0])) == 6
    assert all(one == seen[0] for one in seen)


def test_accumulated_parts_are_one_batch(tmp_path: Path) -> None:
    """Not bit for bit: sums of floats are ordered otherwise."""
    experiment = tiny_experiment()
    plan = Training(Stage(2, 1e-3, 0), Stage(1, 1e-4, 0), weight_decay=0.0, null_tokens=0.0)
    weights = []
    for batch, accumulate in ((2, 1), (1, 2)):
        training = replace(plan, batch=batch, accumulate=accumulate)
        one = replace(experiment, training=training)
        weights.append(tiny_run(tmp_path / str(batch), one)[1])
    for name, tensor in weights[0].items():
        torch.testing.assert_close(tensor, weights[1][name], atol=1e-4, rtol=1e-3)


@pytest.mark.long
def test_workers_change_nothing_and_global_state_stays(tmp_path: Path) -> None:
    before = torch.get_rng_state()
    _, alone = tiny_run(tmp_path / "0", tiny_experiment())
    _, helped = tiny_run(tmp_path / "2", replace(tiny_experiment(), workers=2))
    assert torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(alone[n], helped[n]) for n in alone)


def test_positions_have_their_own_rate_in_stage_1_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[float] = []

    def groups(*arguments: Any) -> Any:
        seen.append(arguments[-1])
        return parameter_groups(*arguments)

    monkeypatch.setattr("attnzoo.train.trainer.parameter_groups", groups)
    one = tiny_experiment("none")
    tiny_run(tmp_path, replace(one, training=replace(one.training, positions_rate=7.0)))
    assert seen == [7.0, 1.0]


def test_what_is_frozen_stays_and_what_trains_moves(tmp_path: Path) -> None:
    start = tiny_model().state_dict()
    _, end = tiny_run(tmp_path, tiny_experiment("none"))
    moved = {n for n in start if not torch.equal(start[n], end[n])}
    assert moved == {n for n in start if n.startswith(("unet.", "image_projection."))}


def test_averages_are_those_of_the_formula(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With decay 0 the averages are the weights; else they follow by the rest of the decay."""
    step = torch.optim.AdamW.step
    seen: list[Tensor] = []

    def watched(self: torch.optim.AdamW, *given: Any, **named: Any) -> Any:
        if not seen:
            seen.append(self.param_groups[0]["params"][0].detach().clone())
        found = step(self, *given, **named)
        seen.append(self.param_groups[0]["params"][0].detach().clone())
        return found

    monkeypatch.setattr(torch.optim.AdamW, "step", watched)
    for decay in (0.0, 0.15):  # diffusers' averages begin at (1 + n) / (10 + n) and grow to it
        seen.clear()
        experiment = tiny_experiment("none")
        training = replace(experiment.training, ema=decay, stage2=Stage(0, 1e-3, 0))
        _, end = tiny_run(tmp_path / str(decay), replace(experiment, training=training))
        average = seen[0]
        for n, weights in enumerate(seen[1:], start=1):
            own = 0.0 if n == 1 else min(decay, n / (9 + n))
            average = own * average + (1 - own) * weights
        assert any(torch.allclose(average, one, atol=1e-6) for one in end.values()
                   if one.shape == average.shape), decay  # fmt: skip


@pytest.mark.parametrize("schedule", list(Schedule))
def test_steps_are_of_the_settings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, schedule: Schedule
) -> None:
    """Rates of warm-up and schedule, decay of the weights, norm of the clipped gradient."""
    seen: list[tuple[float, float, float]] = []
    step = torch.optim.AdamW.step

    def watched(self: torch.optim.AdamW, *given: Any, **named: Any) -> Any:
        grads = [
            p.grad.norm() for g in self.param_groups for p in g["params"] if p.grad is not None
        ]
        group = self.param_groups[0]
        seen.append((group["lr"], group["weight_decay"], float(torch.stack(grads).norm())))
        return step(self, *given, **named)

    monkeypatch.setattr(torch.optim.AdamW, "step", watched)
    plan = Training(
        Stage(6, 1e-2, 2), Stage(0, 1e-3, 0), clip_norm=1e-3, weight_decay=0.07, schedule=schedule
    )
    tiny_run(tmp_path, replace(tiny_experiment(), training=plan))
    rest = [1.0] * 4
    if schedule is Schedule.cosine:
        rest = [(1 + math.cos(math.pi * n / 4)) / 2 for n in range(4)]
    assert [one[0] for one in seen] == pytest.approx([0, 0.005, *(1e-2 * r for r in rest)])
    assert {one[1] for one in seen} == {0.07}
    assert max(one[2] for one in seen) == pytest.approx(1e-3, rel=1e-3)


@pytest.mark.parametrize("stage", [1, 2])
def test_a_loss_that_is_no_number_stops_the_run(tmp_path: Path, stage: int) -> None:
    clips = [tiny_clip(i) for i in range(3)]
    # The second clip of the stage.
    bad = Batches(clips, 0, stage, 1).index(1)
    clips[bad] = replace(clips[bad], video=torch.full_like(clips[bad].video, math.nan))
    experiment = tiny_experiment()
    if stage == 2:
        training = replace(experiment.training, stage1=Stage(0, 1e-2, 0))
        experiment = replace(experiment, training=training)
    where = f"stage {stage}, step 2 of 3: the loss is nan, first in video of the clip clip{bad};"
    with pytest.raises(Diverged, match=where):
        tiny_run(tmp_path, experiment, tiny_source(clips))
    assert not (tmp_path / "record.json").exists()


def test_profile_and_environment_stand_in_the_record(tmp_path: Path) -> None:
    def profile(model: DanceModel, batch: Batch) -> dict[str, Any]:
        assert model.inflation is not None
        return {"clips": batch.video.shape[0]}

    record, _ = tiny_run(
        tmp_path, tiny_experiment("none"), profile=profile, environment={"cpu": "a"}
    )
    weights = hashlib.sha256((tmp_path / "weights.safetensors").read_bytes()).hexdigest()
    assert record["profile"] == {"clips": 1}
    assert record["environment"] == {"cpu": "a", "weights_sha256": weights}
    assert record["noise"] == {"training": "shared", "sampling": "shared"}
    stage = record["training"]["stage1"]
    assert stage["trained_parameters"] == record["parameters"]["positions"]
    assert stage["frames_per_second"] == pytest.approx(3 * FRAMES / stage["seconds"])
    assert len(stage["loss"]["loss"]) == 3
    assert record["data"]["split_hash"] == tiny_source().split_hash


def test_a_tracker_gets_every_step(tmp_path: Path) -> None:
    reader = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    tiny_run(tmp_path, replace(tiny_experiment("none"), tracker=Tracker.tensorboard))
    (events,) = {
        p.parent for p in (tmp_path / "attnzoo").rglob("events*") if p.parent.name == "attnzoo"
    }
    log = reader.EventAccumulator(str(events))
    log.Reload()
    assert [e.step for e in log.Scalars("stage2/loss")] == [4, 5, 6]


# --- bad input, before anything is made


def refused(folder: Path, experiment: Experiment, source: Any = None) -> str:
    def build() -> DanceModel:
        raise AssertionError("a model was made")

    with pytest.raises(UserError) as caught:
        tiny_run(folder, experiment, source, build=build)
    return str(caught.value)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"variant": "temporl"}, "temporl"),
        ({"options": {"window": 3}}, "window"),
        ({"variant": "stsa", "options": {"size": [0, 4, 4]}}, "size"),
        ({"seed": -1}, "seed=-1: must be at least 0"),
        ({"device": "tpu"}, "device=tpu: choose one of auto, cpu, cuda"),
        ({"precision": Precision.fp16}, "precision=fp16: needs a CUDA device"),
        ({"sampling": Sampling(steps=0)}, "sample.steps=0: must be at least 1"),
        ({"sampling": Sampling(guidance=math.nan)}, "sample.guidance=nan"),
        ({"training": Training(batch=0)}, "train.batch=0"),
        ({"training": Training(ema=1.0)}, "train.ema=1.0: must be at least 0 and below 1"),
        ({"training": Training(null_tokens=2)}, "train.null_tokens=2: must be from 0 to 1"),
        ({"training": Training(positions_rate=0)}, "train.positions_rate=0: must be above 0"),
        ({"training": Training(high_noise=-0.1)}, "train.high_noise=-0.1: must be from 0 to 1"),
        ({"training": Training(stage2=Stage(-1, 1.0, 0))}, "train.stage2.steps=-1"),
        ({"training": Training(stage1=Stage(1, 0.0, 0))}, "train.stage1.learning_rate=0.0"),
        (
            {"training": Training(stage1=Stage(1, 1e38, 0))},
            "stage1.learning_rate=1e+38: must be at most 1e+30",
        ),
    ],
)
def test_bad_settings(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    found = refused(tmp_path / "new", replace(tiny_experiment(), **changes))
    assert message in found and "\n" not in found
    assert not (tmp_path / "new").exists()


def test_missing_flow_and_frames(tmp_path: Path) -> None:
    source = tiny_source([tiny_clip(0, flow=False)])
    assert "data=tiny has none" in refused(tmp_path, tiny_experiment("stsa_flow"), source)
    with registry.preserved():
        entry = registry.get("none")
        registry.register(
            "needy", title="t", source="s", kind=entry.kind, cost="0", min_frames=3
        )(type("Needy", (entry.cls,), {"__doc__": "Takes three frames."}))  # fmt: skip
        short = replace(tiny_source(), frames=2)
        assert "at least 3 frames, not 2" in refused(tmp_path, tiny_experiment("needy"), short)


def test_alignment_of_modules_that_the_stack_has_not(tmp_path: Path) -> None:
    flat = tiny_experiment("stsa_flow", options={"aligned": "shifted"}, stack=Stack.flat)
    assert "with stack=flat no module follows the motion" in refused(tmp_path, flat)


def test_missing_device_and_tracker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert choose_device("auto") == torch.device("cpu")
    experiment = tiny_experiment()
    assert "no CUDA device" in refused(tmp_path, replace(experiment, device="cuda"))
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    wanted = replace(experiment, tracker=Tracker.wandb)
    assert "tracker=wandb: not installed; pip install 'attnzoo[wandb]'" in refused(tmp_path, wanted)


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert "cannot be written: Not a directory" in refused(tmp_path / "file/x", tiny_experiment())


def test_more_sampling_steps_than_there_are(tmp_path: Path) -> None:
    experiment = replace(tiny_experiment(), sampling=Sampling(steps=51))
    with pytest.raises(UserError, match=r"sample\.steps=51: a whole number from 1 to 50"):
        tiny_run(tmp_path, experiment)


def test_generators_do_not_touch_the_global_state() -> None:
    before = torch.get_rng_state()
    torch.rand(3, generator=generator(0, Purpose.noise, 1, 2))
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.long
def test_gradient_checkpointing_changes_no_weight(tmp_path):
    weights = []
    for name, on in (("plain", False), ("checkpointed", True)):
        experiment = tiny_experiment("stsa", options={"size": (2, 2, 2)})
        experiment.training.gradient_checkpointing = on
        weights.append(tiny_run(tmp_path / name, experiment)[1])
    plain, checkpointed = weights
    assert all(torch.equal(checkpointed[key], tensor) for key, tensor in plain.items())
