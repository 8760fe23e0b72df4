"""The stock 2-D U-Net of diffusers on the frames as images: what temporal modules are added to."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from attnzoo.bench.unet_peers import UNetPeer
from attnzoo.bench.unets import stock


def _call(unet: Any, images: Tensor, t: Tensor, text: Tensor, frames: int) -> Tensor:
    found: Tensor = unet(images, t, text, return_dict=False)[0]
    return found


def _trained(unet: Any) -> list[nn.Parameter]:
    return []


UNET = UNetPeer("UNet2DConditionModel", stock, _call, _trained)
