"""ModelScope's U-Net as diffusers has it: temporal convolutions and temporal transformers."""

from __future__ import annotations

from typing import Any

from diffusers import UNet3DConditionModel
from torch import Tensor, nn

from attnzoo.bench.unet_peers import UNetPeer, clips, images
from attnzoo.bench.unets import Form, Widths, frozen


def _build(widths: Widths, form: Form) -> Any:
    return frozen(UNet3DConditionModel(**widths.config("3D")), form)


def _call(unet: Any, frames_as_images: Tensor, t: Tensor, text: Tensor, frames: int) -> Tensor:
    # It repeats a clip's text over the frames itself.
    video = clips(frames_as_images, frames)
    found: Tensor = unet(video, t, text[::frames], return_dict=False)[0]
    return images(found)


def _trained(unet: Any) -> list[nn.Parameter]:
    return [p for name, p in unet.named_parameters() if "temp_" in name or "transformer_in" in name]


UNET = UNetPeer("UNet3DConditionModel", _build, _call, _trained)
