"""A stock U-Net small enough to be inflated in a test, and clips for it."""

from __future__ import annotations

import copy
from functools import cache
from typing import Any

import torch
from diffusers import UNet2DConditionModel
from torch import Tensor

from attnzoo.motion import Motion

FRAMES, SIZE, CLIPS = 4, 8, 2


@cache
def _stock() -> Any:
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(0)
        unet: Any = UNet2DConditionModel(
            sample_size=SIZE,
            block_out_channels=(16, 24),
            down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
            up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
            layers_per_block=1,
            norm_num_groups=4,
            cross_attention_dim=6,
            attention_head_dim=(2, 3),
        )
        return unet.eval()


def stock() -> Any:
    """A fresh copy of one UNet2DConditionModel: transformers at 16 and (mid) 24 channels, head
    width 8.
    """
    return copy.deepcopy(_stock())


def motion(clips: int = CLIPS, frames: int = FRAMES, seed: int = 0) -> Motion:
    """Random flow between any two frames, of the U-Net's own grid."""
    generator = torch.Generator().manual_seed(seed)
    flow = 2 * torch.randn((frames, frames, clips, 2, SIZE, SIZE), generator=generator)
    return Motion(lambda k, r: flow[k, r], batch=clips, frames=frames)


def inputs(
    clips: int = CLIPS, seed: int = 0, frames: int = FRAMES
) -> tuple[Tensor, Tensor, Tensor]:
    """Images `[(b f), 4, 8, 8]`, their timesteps, and text states `[(b f), 3, 6]`."""
    generator = torch.Generator().manual_seed(seed)
    images = clips * frames
    return (
        torch.randn((images, 4, SIZE, SIZE), generator=generator),
        torch.arange(clips).repeat_interleave(frames) * 100 + 7,
        torch.randn((images, 3, 6), generator=generator),
    )
