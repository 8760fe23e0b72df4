"""One small U-Net, inflated and looked at, for the tests of inflation, slots and positions."""

from __future__ import annotations

from typing import Any

import torch
from diffusers import UNet2DConditionModel
from torch import Tensor, nn

from attnzoo import registry
from attnzoo.models.inflate import Inflation, inflate
from attnzoo.testing.small_unet import FRAMES, inputs, motion, stock

VARIANTS = registry.list_variants()
INSERT = [
    n for n in VARIANTS if registry.get(n).kind is registry.Kind.insert and registry.get(n).modules
]
REPLACE = [n for n in VARIANTS if registry.get(n).kind is registry.Kind.replace]
SAME_MEANING = "crossframe_first"


def run(unet: UNet2DConditionModel, clips: int = 2) -> Tensor:
    with torch.no_grad():
        return unet(*inputs(clips), return_dict=False)[0]


def inflated(name: str, **settings: Any) -> tuple[UNet2DConditionModel, Inflation]:
    unet = stock()
    inflation = inflate(unet, name, **settings)
    inflation.context.set(FRAMES, motion())
    return unet, inflation


def disturb(inflation: Inflation, scale: float = 0.3) -> None:
    """As if trained: every new parameter moves."""
    g = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in inflation.new_parameters():
            parameter.add_(scale * torch.randn(parameter.shape, generator=g))


def snapshot(unet: nn.Module) -> list[Any]:
    """Everything that inflation might leave behind: modules, hooks, keys, values, modes."""
    modules = [
        (name, id(m), m.training, sorted(m.__dict__), *(len(h) for h in _hooks(m)))
        for name, m in unet.named_modules()
    ]
    values = [(k, v.clone()) for k, v in unet.state_dict().items()]
    return [modules, [k for k, _ in values], [v for _, v in values]]


def _hooks(module: nn.Module) -> list[dict[int, Any]]:
    return [v for k, v in sorted(vars(module).items()) if "hooks" in k and isinstance(v, dict)]


def assert_same(before: list[Any], after: list[Any]) -> None:
    assert before[:2] == after[:2]
    assert all(torch.equal(a, b) for a, b in zip(before[2], after[2], strict=True))
