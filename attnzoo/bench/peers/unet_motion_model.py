"""AnimateDiff's U-Net as diffusers has it, on the same 2-D weights, all its motion modules."""

from __future__ import annotations

import logging
from typing import Any

from diffusers import UNetMotionModel
from torch import Tensor, nn

from attnzoo.bench.unet_peers import UNetPeer, clips, images
from attnzoo.bench.unets import Form, Widths, frozen, stock


def _build(widths: Widths, form: Form) -> Any:
    # It warns about layers that diffusers keeps in float32, of which there are none.
    log = logging.getLogger("diffusers.models.modeling_utils")
    level = log.level
    log.setLevel(logging.ERROR)
    try:
        unet = UNetMotionModel.from_unet2d(stock(widths, Form()))
    finally:
        log.setLevel(level)
    return frozen(unet, form)


def _call(unet: Any, frames_as_images: Tensor, t: Tensor, text: Tensor, frames: int) -> Tensor:
    found: Tensor = unet(clips(frames_as_images, frames), t, text, return_dict=False)[0]
    return images(found)


def _trained(unet: Any) -> list[nn.Parameter]:
    return [p for name, p in unet.named_parameters() if "motion_modules" in name]


UNET = UNetPeer("UNetMotionModel", _build, _call, _trained)
