"""The rows of the paper's first table: frame by frame as DisCo and DreamPose, from one base."""

from __future__ import annotations

import copy
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from command import TINY, command
from diffusers import UNet2DConditionModel
from safetensors.torch import load_file
from test_cost import batch, small_model
from tiny_run import (
    FRAMES,
    SIZE,
    Interrupting,
    tiny_clip,
    tiny_experiment,
    tiny_model,
    tiny_run,
    tiny_source,
)
from torch import Tensor

from attnzoo import commands, run
from attnzoo.bench.profile import profile
from attnzoo.data.clip import POSE_CHANNELS, Batch, collate
from attnzoo.errors import UserError
from attnzoo.models.dance import DanceModel
from attnzoo.models.dreampose import (
    GRID,
    DreamPoseModel,
    ImageAdapter,
    pose_window,
    widen,
)
from attnzoo.models.methods import Method
from attnzoo.models.noise import Noise
from attnzoo.summary import summary
from attnzoo.tensors import write_tensors
from attnzoo.testing.small_unet import inputs, stock
from attnzoo.train.objective import Objective
from attnzoo.train.record import read_record
from attnzoo.train.settings import Experiment, Sampling
from attnzoo.train.stages import enter_stage, parameter_groups, trained_parameters

FRAME_BY_FRAME = [method for method in Method if method.frame_by_frame]


def made(method: Method) -> DanceModel:
    """The tiny base as a run of this method has it."""
    model = DreamPoseModel.of(tiny_model()) if method is Method.dreampose else tiny_model()
    model.inflate("none", positions=not method.frame_by_frame)
    return model


def trained(method: Method) -> DanceModel:
    """As if trained: what is zero at the start is not."""
    model = made(method)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in model.added_parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=generator))
    return model


def data(clips: int = 2) -> Batch:
    return collate([tiny_clip(i) for i in range(clips)])


def noise(clips: int = 2, frames: int = FRAMES) -> Tensor:
    generator = torch.Generator().manual_seed(3)
    return torch.randn((clips, frames, 12, SIZE // 2, SIZE // 2), generator=generator)


def predict(model: DanceModel, batch: Batch, noisy: Tensor) -> Tensor:
    times = torch.arange(len(noisy)) * 20 + 10
    return model(noisy, times, model.tokens(batch), batch.pose, batch.background, batch.motion)


def experiment(method: Method, **changes: Any) -> Experiment:
    return tiny_experiment("none", method=method, **changes)


# --- what may be asked for


@pytest.mark.parametrize("method", FRAME_BY_FRAME)
def test_frame_by_frame_has_no_variant(method: Method) -> None:
    for variant in ("temporal", "stsa", "crossframe_first"):
        message = f"attn={variant}: method={method.name} makes each frame by itself and takes attn"
        with pytest.raises(UserError, match=message):
            Experiment(variant, method=method).check()
    Experiment("none", method=method).check()


@pytest.mark.parametrize("method", FRAME_BY_FRAME)
@pytest.mark.parametrize("noise", [Noise.shared, Noise.half])
def test_frame_by_frame_has_independent_noise(method: Method, noise: Noise) -> None:
    plain = Experiment("none", method=method)
    with pytest.raises(UserError, match=f"^noise={noise.name}: method={method.name} .*independent"):
        replace(plain, noise=noise).check()
    with pytest.raises(UserError, match=rf"^sample\.noise={noise.name}: method={method.name}"):
        replace(plain, sampling=Sampling(noise=noise)).check()
    replace(plain, noise=Noise.independent, sampling=Sampling(noise=Noise.independent)).check()


@pytest.mark.parametrize("method", Method)
def test_noise_that_is_not_said_is_the_methods(method: Method) -> None:
    plain = Experiment("none", method=method)
    wanted = Noise.independent if method.frame_by_frame else Noise.shared
    assert plain.training_noise is plain.sampling_noise is wanted
    # Saying it changes nothing.
    assert replace(plain, noise=wanted).identity("a") == plain.identity("a")


def test_the_method_decides_the_weights() -> None:
    one = [Experiment("none", method=m, noise=Noise.independent).identity("a") for m in Method]
    assert len(set(one)) == len(Method)


# --- frames are images of their own


@pytest.mark.parametrize("method", FRAME_BY_FRAME)
def test_no_frame_depends_on_another(method: Method) -> None:
    model, batch, noisy = trained(method), data(), noise().requires_grad_()
    out = predict(model, batch, noisy)
    for frame in range(FRAMES):
        (gradient,) = torch.autograd.grad(out[:, frame].square().sum(), noisy, retain_graph=True)
        moved = gradient.abs().sum((2, 3, 4))
        others = [f for f in range(FRAMES) if f != frame]
        assert not moved[:, others].any() and bool((moved[:, frame] > 0).all())


def test_a_frame_of_disco_is_the_image_of_the_base() -> None:
    batch, noisy = data(), noise()
    with torch.no_grad():
        whole = predict(made(Method.disco), batch, noisy)
        for f in range(FRAMES):
            alone = replace(batch, pose=batch.pose[:, f : f + 1])
            image = predict(tiny_model(), alone, noisy[:, f : f + 1])
            torch.testing.assert_close(whole[:, f], image[:, 0])


# --- DreamPose


@pytest.mark.parametrize("frames", [1, 2, 3, 7])
def test_poses_are_two_before_the_own_and_two_after(frames: int) -> None:
    pose = torch.arange(2.0 * frames * 2).reshape(2, frames, 2, 1, 1)
    found = pose_window(pose).reshape(2, frames, 5, 2)
    for f in range(frames):
        for k, source in enumerate(range(f - 2, f + 3)):
            kept = min(max(source, 0), frames - 1)
            assert torch.equal(found[:, f, k], pose[:, kept, :, 0, 0])


def test_five_poses_reach_a_frame_and_no_more() -> None:
    model = trained(Method.dreampose)
    model.pose_controlnet.requires_grad_(False)
    frames = 8
    pose = torch.rand(1, frames, POSE_CHANNELS, SIZE, SIZE, requires_grad=True)
    batch = replace(data(1), pose=pose)
    out = predict(model, batch, noise(1, frames))
    (gradient,) = torch.autograd.grad(out[:, 4].square().sum(), pose)
    seen = gradient.abs().sum((0, 2, 3, 4)) > 0
    assert seen.tolist() == [False, False, True, True, True, True, True, False]


def test_at_the_start_it_is_the_base() -> None:
    model, batch, noisy = made(Method.dreampose), data(), noise()
    assert model.unet.conv_in.in_channels == 12 + 5 * POSE_CHANNELS
    with torch.no_grad():
        torch.testing.assert_close(
            predict(model, batch, noisy), predict(tiny_model(), batch, noisy)
        )
        assert torch.equal(model.tokens(batch), tiny_model().tokens(batch))
        changed = predict(trained(Method.dreampose), batch, noisy)
    assert not torch.allclose(changed, predict(model, batch, noisy), atol=1e-2)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_any_stock_unet_can_be_widened_saved_and_loaded(tmp_path: Path, dtype: Any) -> None:
    unet = stock().to(dtype)
    plain, keys = copy.deepcopy(unet), set(unet.state_dict())
    images, times, text = inputs()
    images, text = images.to(dtype), text.to(dtype)
    wide = torch.cat([images, torch.randn(len(images), 10, *images.shape[2:], dtype=dtype)], 1)

    def out(unet: Any, x: Tensor) -> Tensor:
        return unet(x, times, text, return_dict=False)[0]

    widen(unet, 10)
    assert set(unet.state_dict()) == keys | {"conv_in.added"}
    assert unet.conv_in.added.dtype == dtype and not unet.conv_in.added.any()
    with torch.no_grad():
        torch.testing.assert_close(out(unet, wide), out(plain, images))
        unet.conv_in.added += 0.1
        wanted, state = out(unet, wide), unet.state_dict()
        assert not torch.allclose(wanted, out(plain, images))
        unet.conv_in = unet.conv_in.merged()
        assert set(unet.state_dict()) == keys
        unet.save_pretrained(tmp_path)
        again: Any = UNet2DConditionModel.from_pretrained(tmp_path, torch_dtype=dtype).eval()
        assert again.config.in_channels == 14 and torch.equal(out(again, wide), wanted)
        for kept in (state, again.state_dict()):  # its own form, and that of one convolution
            fresh = stock().to(dtype)
            widen(fresh, 10)
            fresh.load_state_dict(kept)
            assert torch.equal(out(fresh, wide), wanted)


@pytest.mark.parametrize("grid", [8, GRID, 40])
def test_the_adapter_begins_as_nothing_and_learns(grid: int) -> None:
    adapter = ImageAdapter(6, 4)
    tokens, latents = torch.randn(2, 5, 6), torch.randn(2, 4, grid, grid)
    assert torch.equal(adapter(tokens, latents), tokens)
    optimizer = torch.optim.SGD(adapter.parameters(), lr=0.1)
    for _ in range(2):  # the latents' layer has a gradient once the weights are not zero
        optimizer.zero_grad()
        (adapter(tokens, latents) - 1).square().sum().backward()
        optimizer.step()
    assert all(p.grad is not None and p.grad.any() for p in adapter.parameters())
    assert not torch.allclose(adapter(tokens, latents), adapter(tokens, latents.flip(0)))


def test_without_person_there_are_no_latents_either() -> None:
    model = trained(Method.dreampose)
    with torch.no_grad():
        tokens = [model.tokens(batch) for batch in (data(), collate([tiny_clip(7)] * 2))]
        assert not torch.equal(*tokens)
        assert torch.equal(*map(model.null_tokens, tokens))


# --- what trains


def test_the_stages_train_what_a_method_adds_and_then_the_unet() -> None:
    parts: dict[Method, list[set[str]]] = {}
    for method in FRAME_BY_FRAME:
        model = made(method)
        parts[method] = [set(trained_parameters(model, stage)) for stage in (1, 2)]
        assert model.inflated.modules() == [] and model.inflated.positions is None
    shared = {
        n
        for n, _ in tiny_model().named_parameters()
        if n.startswith(("unet.", "image_projection."))
    }
    poses = {"unet.conv_in.added"}
    adapter = {f"adapter.{layer}.{n}" for layer in ("embed", "weigh") for n in ("weight", "bias")}
    assert parts[Method.disco] == [set(), shared]
    assert parts[Method.dreampose] == [poses | adapter, shared | poses | adapter]


@pytest.mark.parametrize("stage", [1, 2])
def test_only_and_all_of_dreamposes_parameters_get_gradients(stage: int) -> None:
    model = trained(Method.dreampose)
    names = enter_stage(model, stage)
    objective = Objective(model, noise=Noise.independent, seed=0, stage=stage, null_tokens=0.0)
    objective(data(), 0).backward()
    with_gradient = {n for n, p in model.named_parameters() if p.grad is not None and p.grad.any()}
    assert with_gradient == set(names)
    assert model.adapter.training and not model.image_encoder.training


def test_the_new_channels_learn_slower() -> None:
    model = made(Method.dreampose)
    groups = parameter_groups(model, trained_parameters(model, 1), 0.5)
    assert [g["lr"] for g in groups] == [0.05, 0.5]
    assert len(groups[0]["params"]) == 1 and groups[0]["params"][0] is model.unet.conv_in.added


def test_new_weights_are_drawn_from_the_seed_alone() -> None:
    before = torch.get_rng_state()
    drawn = [DreamPoseModel.of(tiny_model(), seed=seed).adapter for seed in (0, 0, 1)]
    assert torch.equal(torch.get_rng_state(), before)
    weights = [adapter.embed.weight for adapter in drawn]
    assert torch.equal(weights[0], weights[1]) and not torch.equal(weights[0], weights[2])


# --- whole runs


@pytest.mark.parametrize("method", Method)
def test_a_run_says_what_it_was(tmp_path: Path, method: Method) -> None:
    record, _ = tiny_run(tmp_path, experiment(method), profile=profile)
    kind = "independent" if method.frame_by_frame else "shared"
    assert record["method"] == method.name
    assert record["noise"] == {"training": kind, "sampling": kind}
    assert read_record(tmp_path) == record
    model = made(method)
    start = model.state_dict()
    numbers = [sum(p.numel() for p in trained_parameters(model, s).values()) for s in (1, 2)]
    stages = [record["training"][f"stage{n}"] for n in (1, 2)]
    assert [stage["trained_parameters"] for stage in stages] == numbers
    assert [stage["steps"] for stage in stages] == [3 if numbers[0] else 0, 3]
    base = sum(p.numel() for p in tiny_model().parameters())
    assert record["parameters"]["total"] - base == record["parameters"]["added"]
    assert record["profile"]["parameters"]["added"] == record["parameters"]["added"]
    assert record["profile"]["training"]["stage"] == (1 if numbers[0] else 2)
    assert record["profile"]["training"]["flops"] > record["profile"]["forward"]["flops"]
    kept = load_file(tmp_path / "weights.safetensors")
    assert set(kept) == set(trained_parameters(model, 2))
    assert not [n for n in kept if torch.equal(kept[n], start[n])]


def test_rows_of_one_comparison_see_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Clips in order, times, and who is left out; in the stages that a row has."""
    seen: dict[str, list[Any]] = {}
    original = Objective.__call__
    for method in Method:
        row = seen[method.name] = []

        def spy(self: Objective, batch: Batch, first: int, row: list[Any] = row) -> Tensor:
            draw = self.draw(first, (1, FRAMES, 12, 2, 2))
            row.append((self.stage, batch.names, int(draw.times), bool(draw.null)))
            assert (self.noise is Noise.independent) == (row is not seen["video"])
            return original(self, batch, first)

        with monkeypatch.context() as patch:
            patch.setattr(Objective, "__call__", spy)
            tiny_run(tmp_path / method.name, experiment(method))
    assert seen["dreampose"] == seen["video"]
    assert seen["disco"] == [one for one in seen["video"] if one[0] == 2]


@pytest.mark.parametrize(
    ("method", "at"),
    [("disco", 2), ("dreampose", 5), pytest.param("dreampose", 2, marks=pytest.mark.long)],
)
def test_stopped_and_resumed_it_ends_with_the_same_bits(
    tmp_path: Path, method: str, at: int
) -> None:
    one = experiment(Method[method])
    tiny_run(tmp_path / "whole", one)
    folder = tmp_path / "stopped"
    with pytest.raises(KeyboardInterrupt):
        tiny_run(folder, one, tiny_source(Interrupting(at, KeyboardInterrupt())))
    other = replace(one, method=Method.video, noise=Noise.independent)
    with pytest.raises(UserError, match="made with other settings"):
        tiny_run(folder, other, resume=True)
    record, _ = tiny_run(folder, one, resume=True)
    assert record["training"]["resumed"] == 1
    weights = [load_file(f / "weights.safetensors") for f in (tmp_path / "whole", folder)]
    assert weights[0].keys() == weights[1].keys()
    assert all(torch.equal(weights[0][n], weights[1][n]) for n in weights[0])


def test_what_a_run_keeps_is_the_model_beside_the_base(tmp_path: Path) -> None:
    model = trained(Method.dreampose)
    write_tensors(tmp_path / "w", trained_parameters(model, 2))
    again = made(Method.dreampose)
    again.load_state_dict(load_file(tmp_path / "w"), strict=False)
    with torch.no_grad():
        assert torch.equal(*(predict(m, data(), noise()) for m in (again, model)))


def test_cost_has_the_wider_convolution_and_in_training_the_adapter() -> None:
    plain, ours = small_model(), DreamPoseModel.of(small_model())
    adapted: list[bool] = []
    ours.adapter.register_forward_hook(lambda *_: adapted.append(torch.is_grad_enabled()))
    forward = []
    for model in (plain, ours):
        model.inflate("none", positions=False)
        before = {key: value.clone() for key, value in model.state_dict().items()}
        forward.append(profile(model, batch(), rounds=1)["forward"]["flops"])
        assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())
    # 30 channels more at 4 frames of 8 x 8, 3 x 3 weights to each of 8 channels.
    assert forward[1] - forward[0] == 2 * 4 * 8 * 8 * 9 * 30 * 8
    # Once for all denoising steps, and in each training step.
    assert adapted[0] is False and len(adapted) > 1 and all(adapted[1:])


@pytest.mark.long
def test_from_the_command_line(tmp_path: Path) -> None:
    few = ("train.stage1.steps=2", "train.stage2.steps=1", "hydra.sweep.dir=here")
    done = command("run", "-m", "method=disco,dreampose", "attn=none", *TINY, *few, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("nothing to train") == 1
    folders = sorted(path.parent for path in (tmp_path / "here").rglob("record.json"))
    assert [read_record(folder)["method"] for folder in folders] == ["disco", "dreampose"]
    for folder in folders:
        record = read_record(folder)
        title = summary(record, folder).splitlines()[0]
        assert title in done.stdout and title.startswith(f"method={record['method']}, data emb")
        assert "noise independent/independent" in title
        text = (folder / "config.yaml").read_text()
        assert f"method: {record['method']}\n" in text and "\nnoise: independent\n" in text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["method=disco"], "attn=stsa: method=disco .* takes attn=none"),
        (["method=dreampose", "attn=none", "noise=half"], "noise=half: method=dreampose"),
        (["method=disko", "attn=none"], "disko"),
    ],
)
def test_the_command_refuses_before_anything_is_made(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    arguments: list[str],
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as exit_:
        commands.execute(run.command, arguments)
    err = capfd.readouterr().err
    assert exit_.value.code == 2 and err.count("\n") == 1
    assert re.search(message, err)
    assert list(tmp_path.iterdir()) == []
