"""One small U-Net and clips for it, for the tests of inflation, slots and positions."""

from __future__ import annotations

import copy
from functools import cache
from typing import Any

import torch
from diffusers import UNet2DConditionModel
from torch import Tensor, nn

from attnzoo import registry
from attnzoo.models.inflate import Inflation, inflate
from attnzoo.motion import Motion

VARIANTS = registry.list_variants()
INSERT = [
    n for n in VARIANTS if registry.get(n).kind is registry.Kind.insert and registry.get(n).modules
]
REPLACE = [n for n in VARIANTS if registry.get(n).kind is registry.Kind.replace]
SAME_MEANING = "crossframe_first"
FRAMES, SIZE = 4, 8


@cache
def _stock() -> UNet2DConditionModel:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return UNet2DConditionModel(
            sample_size=SIZE,
            block_out_channels=(16, 24),
            down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
            up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
            layers_per_block=1,
            norm_num_groups=4,
            cross_attention_dim=6,
            attention_head_dim=(2, 3),
        ).eval()


def stock() -> UNet2DConditionModel:
    """A fresh copy of one small U-Net: transformers at 16 and (mid) 24 channels, head width 8."""
    return copy.deepcopy(_stock())


def motion(clips: int = 2, frames: int = FRAMES, seed: int = 0) -> Motion:
    g = torch.Generator().manual_seed(seed)
    flow = 2 * torch.randn((frames, frames, clips, 2, SIZE, SIZE), generator=g)
    return Motion(lambda k, r: flow[k, r], batch=clips, frames=frames)


def inputs(clips: int = 2, seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    g = torch.Generator().manual_seed(seed)
    n = clips * FRAMES
    times = torch.arange(clips).repeat_interleave(FRAMES) * 100 + 7
    return (
        torch.randn((n, 4, SIZE, SIZE), generator=g),
        times,
        torch.randn((n, 3, 6), generator=g),
    )


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
