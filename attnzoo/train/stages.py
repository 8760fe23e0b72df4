"""What each of the two stages of section 5.1 trains.

One rule for every row of a comparison. Stage 1 trains what a row adds to the base: for kind insert
its new modules, for kind replace the self-attentions that it took over, for both the frame
positions, which are all that `none` has; for method `dreampose` the first convolution's channels
for poses and the image adapter. Method `disco` adds nothing, so its first stage has no step. Stage
2 trains the U-Net with all that was put into it, the image projection, and a method's own parts. So
the weights that all rows share are trained on equally many frames at equal rates in each.
ControlNets, image encoder and auto-encoder never train.
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
    if stage not in STAGES:
        raise ValueError(f"stage {stage}: there are 1 and 2")
    chosen = set(model.added_parameters() if stage == 1 else model.tuned_parameters())
    return {name: p for name, p in model.named_parameters() if p in chosen}


def enter_stage(model: DanceModel, stage: int) -> dict[str, nn.Parameter]:
    """Readies `model` for a stage and returns what it trains.

    Only those parameters ask for gradients; only the parts that hold them are in training mode.
    """
    parameters = trained_parameters(model, stage)
    model.requires_grad_(False)
    for parameter in parameters.values():
        parameter.requires_grad_(True)
    model.eval()
    # The U-Net as a whole in both: diffusers checkpoints gradients in training mode only.
    for part in model.children():
        part.train(any(parameter.requires_grad for parameter in part.parameters()))
    return parameters


def parameter_groups(
    model: DanceModel,
    parameters: dict[str, nn.Parameter],
    learning_rate: float,
    positions_rate: float = 1.0,
) -> list[dict[str, Any]]:
    """Groups for an optimiser, one for each learning-rate factor.

    Zero gates learn faster, frame positions by `positions_rate`, a method's own as it says.
    """
    factors: dict[nn.Parameter, float] = {}
    if model.inflation is not None:
        factors = model.learning_rate_factors()
        if model.inflation.positions is not None:
            factors |= dict.fromkeys(model.inflation.positions.parameters(), positions_rate)
    by_factor: dict[float, list[nn.Parameter]] = {}
    for parameter in parameters.values():
        by_factor.setdefault(factors.get(parameter, 1.0), []).append(parameter)
    return [
        {"params": members, "lr": learning_rate * factor}
        for factor, members in sorted(by_factor.items())
    ]
