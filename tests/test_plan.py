"""Plans: what the meta device says is what a real step holds, and what follows from it."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from threading import Thread

import pytest
import torch
import torch.nn.functional as F
from command import ROOT, command

from attnzoo import plan as plan_command
from attnzoo.bench.cost import flops
from attnzoo.errors import UserError
from attnzoo.models.choice import Embedded, StableDiffusion, Weights
from attnzoo.models.dreampose import DreamPoseModel
from attnzoo.models.methods import Method
from attnzoo.planning.gpus import GPUS, gpu
from attnzoo.planning.live import AsOnGPU, Live, backward
from attnzoo.planning.measured import Measured, measured
from attnzoo.planning.notes import note
from attnzoo.planning.plan import GIB, Plan, advice, fits, largest_batch, seconds, with_batch
from attnzoo.planning.report import report
from attnzoo.planning.trace import Sampled, Sizes, Step, meta_model, trace, trace_sampling
from attnzoo.train.settings import Experiment, Precision, Sampling, Training

MASK = torch.zeros(1, 1, 32, 32)
MASK[..., 8:24, 10:22] = 1
SMALL = Sizes(1, 4, 32, MASK)
TINY = StableDiffusion(weights=Weights.random, scale=0.05)


def experiment(variant: str = "temporal", checkpointing: bool = False, **changes) -> Experiment:
    training = Training(gradient_checkpointing=checkpointing)
    return Experiment(variant, **{"training": training, "device": "cpu", **changes})


@pytest.mark.parametrize(
    ("variant", "what", "model", "checkpointing"),
    [
        ("temporal", "stage1", Embedded(), False),
        ("temporal", "stage1", Embedded(), True),
        pytest.param("stsa_flow", "stage1", Embedded(), False, marks=pytest.mark.long),
        ("stsa_flow", "stage1", Embedded(), True),
        ("crossframe_first", "stage2", Embedded(), False),
        pytest.param("crossframe_first", "stage2", Embedded(), True, marks=pytest.mark.long),
        pytest.param("stsa", "stage2", TINY, False, marks=pytest.mark.long),
        pytest.param("stsa", "stage2", TINY, True, marks=pytest.mark.long),
    ],
)
def test_a_steps_memory_is_foretold(variant, what, model, checkpointing):
    found = measured(experiment(variant, checkpointing, model=model), SMALL, what)
    assert found.expected / found.found == pytest.approx(1, abs=0.15), str(found)
    assert "worked out" in str(found) and found.seconds > 0


@pytest.mark.parametrize("guidance", [pytest.param(1.0, marks=pytest.mark.long), 2.0])
def test_a_denoising_steps_memory_is_foretold(guidance):
    found = measured(experiment("stsa", sampling=Sampling(guidance=guidance)), SMALL, "sample")
    # Without gradients stsa works piece by piece on a CPU, and on a GPU as a whole.
    assert 0.95 < found.expected / found.found < 1.5, str(found)
    whole = measured(
        experiment("stsa", sampling=Sampling(guidance=guidance)), SMALL, "sample", whole=True
    )
    assert whole.whole and abs(whole.off) < 0.15, str(whole)


def test_dreamposes_adapter_is_in_the_plan():
    dreampose = experiment("none", method=Method.dreampose)
    found = measured(dreampose, SMALL, "stage1", cold=True, update=True)
    with torch.device("meta"):
        model = DreamPoseModel.of(Embedded().shape())
    model.inflate("none", positions=False)
    assert found.trained == sum(p.numel() for p in model.added_parameters())
    assert found.cold and found.update is not None and found.update > 0
    assert found.process > found.found and "the first pass; optimiser" in str(found)
    assert abs(found.off) < 0.15


def test_disco_has_no_first_stage_and_that_is_said():
    disco = experiment("none", method=Method.disco)
    with pytest.raises(UserError, match=r"method=disco trains nothing in stage 1; .*stage2"):
        measured(disco, SMALL, "stage1")
    given = made(STEP, STEP, Training())
    steps = {key: replace(STEP, trained=key[0] - 1) for key in given.steps}
    text = report(replace(given, experiment=disco, steps=steps), [GPUS["V100"]], 0.35)
    assert text.startswith("method=disco attn=none")
    assert "stage 1: nothing to train, so it has no step" in text
    assert "for 80 steps" not in text and "for 15 steps" in text


def test_what_was_measured_is_kept_with_its_command(tmp_path, monkeypatch, capsys):
    given = Measured("stage1", 100, 110, 2.0, parameters=5, trained=3)
    monkeypatch.setattr("attnzoo.planning.measured.measured", lambda *_, **__: given)
    file = tmp_path / "plan" / "measured.jsonl"
    for seed in "01":
        plan_command.command(["+row=vd", f"seed={seed}", "--measure", "stage1", "--out", str(file)])
    assert "(+10.0%)" in capsys.readouterr().out
    one, two = map(json.loads, file.read_text().splitlines())
    assert one["command"] == f"attnzoo.plan +row=vd seed=0 --measure stage1 --out {file}"
    assert (two["variant"], two["found"], two["off"]) == ("none", 100, 0.1)
    assert two["hardware"]["cores"] and two["versions"]["torch"]
    with pytest.raises(UserError, match=r"--out: of use with --measure alone"):
        plan_command.command(["--out", str(file)])
    file.write_text(file.read_text().rstrip())
    plan_command.command(["+row=vd", "--measure", "stage1", "--out", str(file)])
    assert len([json.loads(line) for line in file.read_text().splitlines()]) == 3
    assert [path.name for path in file.parent.iterdir()] == ["measured.jsonl"]
    monkeypatch.setattr("attnzoo.planning.measured.measured", None)  # nothing is measured below
    file.write_bytes(b"\xff\xfe")
    with pytest.raises(UserError, match=r"measured.jsonl: no text in UTF-8"):
        plan_command.command(["--measure", "stage1", "--out", str(file)])
    with pytest.raises(UserError, match=r"--out .*: a folder; name a file"):
        plan_command.command(["--measure", "stage1", "--out", str(tmp_path)])
    blocked = tmp_path / "file"
    blocked.touch()
    with pytest.raises(UserError, match=r"--out .*: cannot be written"):
        plan_command.command(["--measure", "stage1", "--out", str(blocked / "m.jsonl")])


def test_two_that_note_at_once_lose_no_line(tmp_path):
    experiment, sizes = Experiment("none"), Sizes(1, 4, 32, torch.ones(1, 1, 32, 32))
    one = Measured("stage1", 100, 110, 2.0, parameters=5, trained=3)
    file = tmp_path / "m.jsonl"
    notes = [Thread(target=note, args=(file, str(i), experiment, sizes, one)) for i in range(8)]
    for thread in notes:
        thread.start()
    for thread in notes:
        thread.join()
    found = {json.loads(line)["command"] for line in file.read_text().splitlines()}
    assert found == set(map(str, range(8)))


def test_committed_measurements_are_within_fifteen_percent():
    file = ROOT / "results" / "plan" / "measured.jsonl"
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    assert lines
    for line in lines:
        assert abs(line["expected"] / line["found"] - 1) == pytest.approx(
            abs(line["off"]), abs=1e-3
        )
        # At a tenth of the widths the pose's pictures outweigh the U-Net in sampling; see the docs.
        narrow = (line["scale"], line["size"], line["what"]) == (0.1, 256, "sample")
        assert abs(line["off"]) <= (0.3 if narrow else 0.15), line["command"]


def test_checkpointing_takes_memory_down_and_operations_up():
    plain, saved = (trace(experiment(), SMALL, 1, checkpointing=c) for c in (False, True))
    assert saved.activations < 0.6 * plain.activations
    assert plain.flops < saved.flops < 1.6 * plain.flops
    same = ("weights", "gradients", "optimiser", "average", "trained", "parameters")
    assert all(getattr(plain, name) == getattr(saved, name) for name in same)


def test_parameters_and_what_is_held_between_steps():
    step = trace(experiment(), SMALL, 2, checkpointing=False)
    model = Embedded().build()
    model.inflate("temporal", slots=Experiment("temporal").slots)
    assert sum(step.parameters.values()) == sum(p.numel() for p in model.parameters())
    trained = {*model.unet.parameters(), *model.image_projection.parameters()}
    assert step.trained == sum(p.numel() for p in trained)
    assert step.gradients == 4 * step.trained == step.average == step.optimiser // 2
    assert step.persistent == step.weights + 3 * step.gradients


def test_accumulated_passes_cost_operations_and_no_memory_but_a_gradient():
    one, four = (
        trace(experiment(training=Training(accumulate=n)), SMALL, 1, checkpointing=False)
        for n in (1, 4)
    )
    assert four.flops == 4 * one.flops
    assert 0 <= four.activations - one.activations <= one.gradients


def test_operations_are_those_of_the_real_step():
    e = experiment("crossframe_first")
    # Not a variant that sums its weights' gradients in place on a CPU, which no counter sees.
    step = trace(e, SMALL, 1, checkpointing=False)
    model = Embedded().build()
    model.inflate("crossframe_first", slots=e.slots)
    model.requires_grad_(False)
    for p in model.inflation.new_parameters():
        p.requires_grad_()
    n, width = model.image_encoder.token_shape(MASK)
    given = [torch.rand(1, 4, 12, 16, 16), torch.tensor([5]), torch.rand(1, n, width),
             torch.rand(1, 4, 6, 32, 32), torch.rand(1, 3, 32, 32)]  # fmt: skip
    real = flops(lambda: model(*given).square().mean().backward())["Global"]
    assert step.flops == pytest.approx(real, rel=0.01)


def test_half_precision_halves_activations_of_products():
    full, half = (
        trace(experiment(precision=p), SMALL, 1, checkpointing=False)
        for p in (Precision.fp32, Precision.bf16)
    )
    assert 0.5 < half.activations / full.activations < 0.95
    assert half.flops == full.flops and half.weights == full.weights


def test_live_counts_storages_once_and_lets_them_go():
    weight = torch.empty(4, 4, device="meta")
    with Live([weight]) as live:
        weight.t()
        assert live.held == 0
        one = torch.empty(1000, device="meta")
        view = one.view(10, 100)
        assert live.held == 4000
        other = view + 1
        assert live.held == live.peak == 8000
        del one, view
        assert (live.held, live.peak) == (4000, 8000)
        live.restart()
        assert live.peak == 4000
        del other
        assert live.held == 0


def test_attention_keeps_no_scores_and_runs_again_the_same_way():
    q = torch.empty(1, 2, 4096, 8, device="meta", requires_grad=True)
    with AsOnGPU(), Live([q]) as live:
        out = torch.utils.checkpoint.checkpoint(
            lambda t: F.scaled_dot_product_attention(t, t, t), q, use_reentrant=False
        )
        backward(out.sum())
    assert q.grad.shape == q.shape
    assert live.peak < 4 * 2 * 4096 * 4096


def test_the_model_is_on_the_meta_device_whole():
    model = meta_model(experiment("stsa", model=TINY), checkpointing=True)
    assert all(t.is_meta for t in (*model.parameters(), *model.buffers()))
    assert model.inflation is not None and model.unet.is_gradient_checkpointing


def test_sampling_grows_with_guidance_and_steps():
    plain, guided = (
        trace_sampling(experiment(sampling=Sampling(steps=5, guidance=g)), SMALL) for g in (1, 2)
    )
    assert guided.step == pytest.approx(2 * plain.step, rel=0.01)
    assert plain.clip == 5 * plain.step  # the embedded codec has no products
    assert guided.denoising > 1.5 * plain.denoising


STEP = Step({"unet": 10}, 5, 4 * GIB, GIB, 2 * GIB, GIB, 0, 20 * GIB, GIB, 10**12)


def made(step: Step, checkpointed: Step, training: Training, precision=Precision.fp16) -> Plan:
    steps = {(s, c): (checkpointed if c else step) for s in (1, 2) for c in (False, True)}
    chosen = Experiment("stsa", training=training, precision=precision)
    return Plan(chosen, SMALL, steps, Sampled(GIB, GIB, 0, 10**10, 10**11))


def test_what_fits_is_counted_with_a_margin():
    assert STEP.total == (4 + 2 + 1 + 20 + 1) * GIB
    assert fits(STEP.total, GPUS["V100"]) and not fits(30 * GIB, GPUS["V100"])
    assert with_batch(STEP, 2) == STEP.total + 20 * GIB
    assert largest_batch(STEP, 2, GPUS["V100"]) == 2
    assert largest_batch(STEP, 1, GPUS["H200"]) == 6
    assert largest_batch(replace(STEP, weights=40 * GIB), 1, GPUS["V100"]) == 0


def test_advice_names_settings_that_do_fit():
    small = replace(STEP, activations=4 * GIB)
    assert advice(made(STEP, small, Training()), 1, GPUS["V100"]).startswith("fits, up to")
    large = replace(STEP, activations=60 * GIB)
    told = advice(made(large, small, Training(batch=4, accumulate=2)), 1, GPUS["V100"])
    assert told.startswith("does not fit: train.gradient_checkpointing=true;")
    assert "train.batch=1 train.accumulate=8" in told and "a GPU such as A100" in told
    told = advice(made(large, large, Training(), Precision.fp32), 1, GPUS["V100"])
    assert "precision=fp16" in told
    hopeless = replace(large, weights=900 * GIB)
    told = advice(made(hopeless, hopeless, Training()), 1, GPUS["H200"])
    assert told == "does not fit: smaller data.size or data.frames"


def test_time_is_operations_over_a_share_of_the_peak():
    assert seconds(125 * 10**12, GPUS["V100"], Precision.fp16, 0.5) == pytest.approx(2)
    assert seconds(1, GPUS["V100"], Precision.bf16, 0.5) is None
    text = report(made(STEP, STEP, Training(), Precision.bf16), [GPUS["V100"]], 0.35)
    assert "V100: has no bf16" in text


def test_unknown_gpus_and_shares_are_refused():
    assert gpu("h200") is GPUS["H200"]
    with pytest.raises(UserError, match=r"--gpu H20: not in the table; choose one of V100"):
        gpu("H20")
    for share in ("0", "1.5"):
        with pytest.raises(UserError, match=rf"--utilisation {share}"):
            plan_command.command(["--utilisation", share])


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ("data=video data.size=63", "data.size=63: must be a multiple of 8"),
        ("data=video data.size=1000000", "data.size=1000000: must be at most"),
        ("data=tiktok data.frames=0", "data.frames=0: must be at least 2"),
        ("data=video data.frames=1 attn=stsa", "data.frames=1: must be at least 2"),
        ("data=video data.stride=0", "data.stride=0: must be at least 1"),
        ("data=video flow=exact attn=stsa_flow", "flow=exact: only data=embedded"),
        ("data=video flow=iuv motion.method=farneback", "motion.method"),
        ("resume=gone", "resume=gone: goes on with a run"),
        ("--measure stage1 --gpu V100", "--gpu, --utilisation: of use without --measure"),
        ("--measure stage1 --utilisation .9", "--gpu, --utilisation: of use without --measure"),
        ("attn=stsa_flow aligned=shifted stack=flat", "no module follows the motion"),
    ],
)
def test_what_no_run_could_have_is_not_planned(settings, said):
    with pytest.raises(UserError, match=re.escape(said)):
        plan_command.command(settings.split())


@pytest.mark.long
def test_the_command_prints_a_plan_without_data_or_weights(tmp_path):
    done = command(
        "plan", "attn=none", "data.size=32", "data.frames=4", "--gpu", "v100", "--gpu", "H200",
        cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    for word in ("trained in stage 1", "stage 2, ckpt", "V100, 32 GiB", "H200, 141 GiB",
                 "for 80 steps", "peak of all"):  # fmt: skip
        assert word in done.stdout, word
    assert not list(tmp_path.iterdir())


def test_the_command_measures_instead(capsys):
    plan_command.command(["attn=temporal", "data.size=32", "data.frames=4", "--measure", "stage1"])
    assert capsys.readouterr().out.startswith("stage1: ")
