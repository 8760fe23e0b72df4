"""The record's schema: what is refused, and that it is written whole or not at all."""

from __future__ import annotations

import copy
import json
import math
import shutil
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from attnzoo.data.flow_settings import Estimation, FlowSource
from attnzoo.errors import UserError
from attnzoo.models.choice import Embedded, StableDiffusion
from attnzoo.models.embedded import weights_path
from attnzoo.models.methods import Method
from attnzoo.models.noise import Noise
from attnzoo.models.slots import Slots, Stack
from attnzoo.train.checkpoint import History
from attnzoo.train.description import curve, loader
from attnzoo.train.plain import plain
from attnzoo.train.record import (
    SCHEMA,
    Curve,
    DataRecord,
    LoaderRecord,
    NoiseRecord,
    ParameterRecord,
    Record,
    SamplingRecord,
    StageRecord,
    TrainingRecord,
    check_record,
    read_record,
    write_record,
)
from attnzoo.train.settings import (
    Experiment,
    Precision,
    Sampling,
    Schedule,
    Stage,
    Training,
)

STAGE = StageRecord(2, 1e-3, 0, 10, 1.5, 8.0, Curve([1, 2], [0.5, 0.25]))
RECORD = Record(
    schema=SCHEMA,
    method="video",
    variant="stsa",
    options={"size": [4, 4, 4]},
    kind="insert",
    slots="all",
    stack="declared",
    seed=0,
    device="cpu",
    precision="fp32",
    noise=NoiseRecord("shared", "half"),
    flow="exact",
    data=DataRecord("embedded", 16, 64, {"camera": "still"}, {"test": ["a"]}, "abc"),
    parameters=ParameterRecord(100, 80, 20, 15, 5, 0),
    training=TrainingRecord(1, 1, 1.0, 0.01, "constant", 0.99, 0.1, 0.0, 1.0, 0, STAGE, STAGE),
    sampling=SamplingRecord(10, 1.0, 8, ["a"], [""], 3.0, 5.3),
    scores={
        "ssim": {"value": 0.5, "n": 1, "clips": [0.5]},
        "lpips": {"value": None, "n": 0, "clips": [], "reason": "not installed"},
    },
    profile=None,
    environment={"cpu": "x"},
    seconds=9,
    files=["loss.png"],
)


def test_written_read_and_the_same(tmp_path: Path) -> None:
    content = write_record(RECORD, tmp_path)
    assert content == read_record(tmp_path) == read_record(tmp_path / "record.json")
    assert [p.name for p in tmp_path.iterdir()] == ["record.json"]
    assert content["training"]["stage1"]["loss"] == {"step": [1, 2], "loss": [0.5, 0.25]}


def put(*path: str, value: Any) -> Callable[[dict[str, Any]], None]:
    def change(content: dict[str, Any]) -> None:
        for name in path[:-1]:
            content = content[name]
        content[path[-1]] = value

    return change


def nested(depth: int) -> Any:
    value: Any = "deep"
    for _ in range(depth):
        value = {"a": value}
    return value


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c.pop("noise"), r"record lacks noise"),
        (lambda c: c["training"]["stage2"].pop("seconds"), r"record.training.stage2 lacks seconds"),
        (put("extra", value=1), r"record has unknown extra"),
        (put("seed", value=1.5), r"record.seed must be an integer, not 1.5"),
        (put("seed", value=True), r"record.seed must be an integer, not True"),
        (put("seconds", value=math.nan), r"record.seconds must be a finite number, not nan"),
        (put("seconds", value="9"), r"record.seconds must be a finite number, not '9'"),
        (put("variant", value=None), r"record.variant must be of type str, not None"),
        (put("noise", value=[]), r"record.noise must be an object"),
        (put("files", value=["a", 1]), r"record.files\[1\] must be of type str, not 1"),
        (put("files", value="loss.png"), r"record.files must be a list"),
        (put("options", value=[]), r"record.options must be an object"),
        (put("options", "size", value=Noise.half), r"record.options.size must be a JSON value"),
        (put("environment", value={"a": [math.inf]}), r"record.environment.a\[0\] must be a fin"),
        (put("scores", "l1", value=0.5), r"record.scores.l1 has no value"),
        (put("scores", "l1", value={"value": None}), r"record.scores.l1 is null and gives no rea"),
        (put("scores", "l1", value={"value": "x"}), r"record.scores.l1.value must be a finite"),
        (
            put("scores", "l1", value={"value": 1, "influence": [None]}),
            r"record.scores.l1.influence\[0\] must be a finite number, not None",
        ),
        (put("schema", value=SCHEMA + 1), rf"record.schema is {SCHEMA + 1}, not {SCHEMA}"),
        (
            put("training", "stage1", "loss", "loss", value=[None]),
            r"record.training.stage1.loss.loss\[0\] must be a finite number, not None",
        ),
        (
            put("parameters", "added", value=10**400),
            r"record.parameters.added must be a finite number, not 1000",
        ),
        (put("seconds", value=1e301), r"record.seconds must be a finite number, not 1e\+301"),
        (put("profile", value={"a": 10**400}), r"record.profile.a must be a finite number"),
        (
            put("training", "stage1", "loss", value={"step": [], "loss": [1.0]}),
            r"record.training.stage1.loss has 1 losses at 0 steps",
        ),
        (
            put("training", "stage2", "loss", value={"step": [1, 2], "loss": [1.0]}),
            r"record.training.stage2.loss has 1 losses at 2 steps",
        ),
        (
            put("training", "stage1", "loss", "step", value=[2, 1]),
            r"stage1.loss.step must rise from 1 on, not from 2 to 1",
        ),
        (
            put("training", "stage1", "loss", "step", value=[0, 1]),
            r"stage1.loss.step must rise from 1 on, not from 0 to 0",
        ),
        (
            put("environment", "model", value=nested(600)),
            r"record.environment.model.* is nested more than 100 deep",
        ),
    ],
)
def test_what_is_refused(change: Callable[[dict[str, Any]], Any], message: str) -> None:
    content = copy.deepcopy(plain(RECORD))
    change(content)
    with pytest.raises(ValueError, match=message):
        check_record(content)


def test_a_record_of_schema_2_is_brought_to_this_one(tmp_path: Path) -> None:
    old = plain(RECORD) | {"schema": 2}
    del old["method"], old["flow"]
    for data, flow in (("embedded", "exact"), ("video", "classical"), ("another", None)):
        old["data"]["name"] = data
        (tmp_path / "record.json").write_text(json.dumps(old))
        found = read_record(tmp_path)
        assert (found["schema"], found["method"], found["flow"]) == (3, "video", flow)
        assert {**found, "schema": 2} == {**old, "method": "video", "flow": flow}


def test_an_early_record_of_schema_3_says_nothing_of_the_loader(tmp_path: Path) -> None:
    old = plain(RECORD)
    for stage in ("stage1", "stage2"):
        del old["training"][stage]["loader"]
    (tmp_path / "record.json").write_text(json.dumps(old))
    assert read_record(tmp_path) == plain(RECORD)


def test_the_loader_beside_what_training_takes() -> None:
    history = History([0.5, 0.4], seconds=5.0, waited=1.0, making=2.0, made=3)
    assert loader(history, trained=32, frames=16) == LoaderRecord(24.0, 8.0, 1.0)
    assert loader(History([0.5], seconds=5.0), trained=16, frames=16) is None


def test_a_record_of_schema_1_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "record.json").write_text(json.dumps(plain(RECORD) | {"schema": 1}))
    with pytest.raises(UserError, match="schema is 1, of runs from an earlier base model"):
        read_record(tmp_path)


def test_the_committed_example_can_be_read() -> None:
    assert read_record(Path(__file__).parent.parent / "results" / "example")["variant"] == "stsa"


def test_null_where_the_schema_allows_it() -> None:
    content = plain(RECORD)
    content["training"]["stage1"]["frames_per_second"] = None
    content["profile"] = {"any": [1, None, "x"]}
    check_record(content)


def test_a_bad_record_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="finite"):
        write_record(replace(RECORD, seconds=math.nan), tmp_path)
    assert list(tmp_path.iterdir()) == []
    write_record(RECORD, tmp_path)
    with pytest.raises(ValueError, match="finite"):
        write_record(replace(RECORD, seconds=math.inf), tmp_path)
    assert read_record(tmp_path)["seconds"] == 9


@pytest.mark.parametrize(
    ("text", "message"),
    [("{", "not a record: "), ("[]", "not a record of schema"), ("{}", "record lacks data")],
)
def test_reading_what_is_no_record(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "record.json").write_text(text)
    with pytest.raises(UserError, match=message):
        read_record(tmp_path)
    with pytest.raises(UserError, match="no record can be read: No such file"):
        read_record(tmp_path / "absent.json")


@given(losses=st.lists(st.floats(-9, 9), max_size=60), points=st.integers(1, 20))
def test_curve_keeps_the_mean_and_the_end(losses: list[float], points: int) -> None:
    found = curve(losses, points)
    assert len(found.step) == len(found.loss) == min(points, len(losses))
    if losses:
        assert found.step[-1] == len(losses) and found.step == sorted(set(found.step))
        lengths = [b - a for a, b in zip([0, *found.step], found.step, strict=False)]
        assert max(lengths) - min(lengths) <= 1
        total = sum(n * loss for n, loss in zip(lengths, found.loss, strict=True))
        assert total == pytest.approx(sum(losses), abs=1e-9)
    if len(losses) <= points:
        assert found.loss == losses


def test_settings_become_json() -> None:
    experiment = Experiment("stsa", options={"size": (4, 4, 4), "noise": Noise.half})
    content = plain(experiment)
    assert json.loads(json.dumps(content)) == content
    assert content["options"] == {"size": [4, 4, 4], "noise": "half"}
    assert content["sampling"]["noise"] is None
    assert experiment.sampling_noise is Noise.shared
    assert replace(experiment, sampling=Sampling(noise=Noise.half)).sampling_noise is Noise.half


def test_identity_is_what_decides_the_weights() -> None:
    one = Experiment("stsa", options={"size": (4, 4, 4)})
    same = [
        replace(one, options={"size": [4, 4, 4]}),
        replace(one, device="cuda", workers=3, sampling=Sampling(steps=3)),
        replace(one, training=Training(checkpoint_seconds=1)),
    ]
    other = [
        replace(one, seed=1),
        replace(one, noise=Noise.half),
        replace(one, training=Training(stage1=Stage(7, 1.0, 1))),
    ]
    identities = [e.identity("hash") for e in (one, *same)]
    decides: dict[str, Any] = {
        "variant": "temporal", "options": {"size": (2, 2, 2)}, "slots": Slots.attention,
        "stack": Stack.flat, "method": Method.disco, "seed": 1, "noise": Noise.half,
        "flow": FlowSource.iuv, "motion": Estimation(checked=True),
        "precision": Precision.bf16, "data": {"name": "video"}, "model": StableDiffusion(path="x"),
    }  # fmt: skip
    does_not = {"training", "sampling", "device", "tracker", "workers"}
    assert {*decides, *does_not} == {field.name for field in fields(Experiment)}
    other += [replace(one, **{name: value}) for name, value in decides.items()]
    trains: dict[str, Any] = {
        "stage1": Stage(7, 1.0, 1), "stage2": Stage(7, 1.0, 1), "batch": 2, "accumulate": 2,
        "clip_norm": 2.0, "weight_decay": 0.2, "schedule": Schedule.cosine, "ema": 0.2,
        "null_tokens": 0.2, "high_noise": 0.2, "positions_rate": 2.0,
        "gradient_checkpointing": True,
    }  # fmt: skip
    does_not = {"checkpoint_seconds", "nonfinite", "deterministic"}
    assert {*trains, *does_not} == {field.name for field in fields(Training)}
    other += [replace(one, training=Training(**{n: value})) for n, value in trains.items()]
    assert len({e.identity("hash") for e in other}) == len(other) - 3  # three are there twice
    assert len(set(identities)) == 1
    assert identities[0] not in [*(e.identity("hash") for e in other), one.identity("other")]


def test_other_weights_of_the_base_are_another_run_and_a_copy_is_the_same(tmp_path: Path) -> None:
    one = Experiment("stsa")
    copy = tmp_path / "base.safetensors"
    shutil.copy(weights_path(), copy)
    moved = replace(one, model=Embedded(weights=str(copy)))
    assert moved.identity("hash") == one.identity("hash")
    copy.write_bytes(copy.read_bytes()[:-1] + b"?")
    assert moved.identity("hash") != one.identity("hash")
    copy.unlink()
    with pytest.raises(UserError, match="base's weights cannot be read"):
        moved.identity("hash")
