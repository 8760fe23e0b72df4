"""What each stage trains, for every registered variant."""

from __future__ import annotations

import pytest
import torch
from tiny_run import FRAMES, tiny_clip, tiny_model

from attnzoo import registry
from attnzoo.data.clip import collate
from attnzoo.models.noise import Noise
from attnzoo.models.slots import GATE_LEARNING_RATE, InsertSlot, Slots
from attnzoo.train.objective import Objective
from attnzoo.train.stages import enter_stage, parameter_groups, trained_parameters

VARIANTS = registry.list_variants()


@pytest.mark.parametrize("name", VARIANTS)
def test_stage_one_trains_what_the_variant_brings(name: str) -> None:
    model = tiny_model()
    before = {n for n, _ in model.named_parameters()}
    model.inflate(name, slots=Slots.all)
    names = set(trained_parameters(model, 1))
    added = {n for n, _ in model.named_parameters()} - before
    taken = {n for n in before if ".attn1." in n and n.startswith("unet.")}
    expected = added | (taken if registry.get(name).kind is registry.Kind.replace else set())
    assert names == expected
    assert any("frame_positions" in n for n in names)
    if name == "none":
        assert all("frame_positions" in n for n in names)


@pytest.mark.parametrize("name", VARIANTS)
def test_stage_two_trains_unet_and_image_projection(name: str) -> None:
    model = tiny_model()
    model.inflate(name, slots=Slots.all)
    names = set(trained_parameters(model, 2))
    assert names == {
        n for n, _ in model.named_parameters() if n.startswith(("unet.", "image_projection."))
    }
    assert names > set(trained_parameters(model, 1))


@pytest.mark.parametrize("stage", [1, 2])
@pytest.mark.parametrize("name", ["none", "temporal", "stsa_flow", "crossframe_first"])
def test_only_and_all_of_them_get_gradients(name: str, stage: int) -> None:
    model = tiny_model()
    inflation = model.inflate(name, slots=Slots.all)
    with torch.no_grad():  # past the zeros of the start, behind which nothing has a gradient
        for parameter in inflation.new_parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    trained = enter_stage(model, stage)
    objective = Objective(model, noise=Noise.half, seed=0, stage=stage, null_tokens=0.0)
    objective(collate([tiny_clip(0), tiny_clip(1)]), 0).backward()
    assert {n for n, p in model.named_parameters() if p.grad is not None} == set(trained)
    # A bias on keys shifts every score of a query alike; all others move the result.
    still = [n for n, p in trained.items() if not p.grad.any() and not n.endswith("to_k.bias")]
    assert still == []


@pytest.mark.parametrize("stage", [1, 2])
def test_frozen_parts_are_in_evaluation_mode(stage: int) -> None:
    model = tiny_model().train()
    model.inflate("temporal")
    enter_stage(model, stage)
    frozen = (model.pose_controlnet, model.background_controlnet, model.image_encoder, model.codec)
    assert not any(m.training for part in frozen for m in part.modules())
    assert model.unet.training
    assert model.image_projection.training == (stage == 2)


def test_zero_gates_learn_faster() -> None:
    model = tiny_model()
    inflation = model.inflate("temporal")
    gate = torch.nn.Parameter(torch.zeros(8))
    slot = next(m for m in model.unet.modules() if isinstance(m, InsertSlot))
    slot.layers[0].gate = gate
    parameters = trained_parameters(model, 1)
    groups = parameter_groups(model, parameters, 0.5)
    assert [g["lr"] for g in groups] == [0.5, 0.5 * GATE_LEARNING_RATE]
    assert len(groups[1]["params"]) == 1 and groups[1]["params"][0] is gate
    assert sum(len(g["params"]) for g in groups) == len(parameters)
    assert len(parameters) == len(inflation.new_parameters())


@pytest.mark.parametrize("stage", [1, 2])
def test_frame_positions_have_a_rate_of_their_own(stage: int) -> None:
    model = tiny_model()
    inflation = model.inflate("temporal")
    parameters = trained_parameters(model, stage)
    groups = parameter_groups(model, parameters, 0.5, positions_rate=4.0)
    assert [g["lr"] for g in groups] == [0.5, 2.0]
    assert inflation.positions is not None
    assert set(groups[1]["params"]) == set(inflation.positions.parameters())
    assert sum(len(g["params"]) for g in groups) == len(parameters)


def test_needs_a_variant_and_a_stage_there_is() -> None:
    model = tiny_model()
    with pytest.raises(ValueError, match="inflate it first"):
        trained_parameters(model, 1)
    model.inflate("none")
    with pytest.raises(ValueError, match="stage 3"):
        trained_parameters(model, 3)
    assert max(registry.get(n).min_frames for n in VARIANTS) <= FRAMES
