"""What each of the two stages of section 5.1 trains.

Stage 1 trains what the variant brings: for kind insert its new modules, for kind replace the
self-attentions that it took over, for both the frame positions, which are all that `none` has.
Stage 2 trains the U-Net with all that was put into it, and the image projection. ControlNets,
image encoder and auto-encoder never train.
"""

from __future__ import annotations

from typing import Any

from torch import nn

from attnzoo.models.dance import DanceModel

STAGES = (1, 2)


def trained_parameters(model: DanceModel, stage: int) -> dict[str, nn.Parameter]:
    """The parameters of `model` that the stage trains, by their names in the model.

    Raises:
        ValueError: the U-Net is not inflated, or `stage` is neither 1 nor 2.
    """
    if model.inflation is None:
        raise ValueError("the model has no variant yet: inflate it first")
    if stage not in STAGES:
        raise ValueError(f"stage {stage}: there are 1 and 2")
    if stage == 1:
        chosen = set(model.inflation.new_parameters())
    else:
        chosen = {*model.unet.parameters(), *model.image_projection.parameters()}
    return {name: p for name, p in model.named_parameters() if p in chosen}


def enter_stage(model: DanceModel, stage: int) -> dict[str, nn.Parameter]:
    """Readies `model` for a stage and returns what it trains.

    Only those parameters ask for gradients; only the modules that hold them are in training mode.
    """
    parameters = trained_parameters(model, stage)
    model.requires_grad_(False)
    for parameter in parameters.values():
        parameter.requires_grad_(True)
    model.eval()
    # The U-Net as a whole in both: diffusers checkpoints gradients in training mode only.
    model.unet.train()
    if stage == 2:
        model.image_projection.train()
    return parameters


def parameter_groups(
    model: DanceModel,
    parameters: dict[str, nn.Parameter],
    learning_rate: float,
    positions_rate: float = 1.0,
) -> list[dict[str, Any]]:
    """Groups for an optimiser, one for each learning-rate factor.

    Zero gates learn faster, frame positions by `positions_rate`.
    """
    factors: dict[nn.Parameter, float] = {}
    if model.inflation is not None:
        factors = model.inflation.learning_rate_factors()
        if model.inflation.positions is not None:
            factors |= dict.fromkeys(model.inflation.positions.parameters(), positions_rate)
    by_factor: dict[float, list[nn.Parameter]] = {}
    for parameter in parameters.values():
        by_factor.setdefault(factors.get(parameter, 1.0), []).append(parameter)
    return [
        {"params": members, "lr": learning_rate * factor}
        for factor, members in sorted(by_factor.items())
    ]
