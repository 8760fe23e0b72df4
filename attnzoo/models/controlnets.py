"""ControlNets made from a U-Net, and the one that is conditioned by latents."""

from __future__ import annotations

from typing import Any

from diffusers import ControlNetModel, UNet2DConditionModel
from torch import Tensor, nn

WIDTHS = (16, 32, 96, 256)
"""Channels of the small network that brings a condition picture to the latents' grid: one level
for each level of the auto-encoder."""


class LatentEmbedding(nn.Module):
    """In the place of a ControlNet's condition embedding: one convolution on latents.

    DisCo's background ControlNet has it, under this name of its layer, and begins with the weights
    of the U-Net's first convolution.

    Args:
        latents: channels of the latents.
        channels: those of the U-Net's first level.
    """

    def __init__(self, latents: int, channels: int) -> None:
        super().__init__()
        self.conv_in = nn.Conv2d(latents, channels, 3, padding=1)

    def forward(self, conditioning: Tensor) -> Tensor:
        """Latents `[b, c, h, w]` -> `[b, channels, h, w]`."""
        embedded: Tensor = self.conv_in(conditioning)
        return embedded


class PosePicture(nn.Module):
    """The picture alone of a pose image: what a pre-trained pose ControlNet knows."""

    channels = 3

    def forward(self, pose: Tensor) -> Tensor:
        """`[..., 6, h, w]` to `[..., 3, h, w]`."""
        return pose[..., :3, :, :]


def picture_controlnet(unet: UNet2DConditionModel, levels: int) -> ControlNetModel:
    """A ControlNet with the U-Net's weights, conditioned by pictures `2**(levels-1)` as large."""
    made: ControlNetModel = ControlNetModel.from_unet(
        unet, conditioning_embedding_out_channels=WIDTHS[:levels]
    )
    return made


def latent_controlnet(unet: UNet2DConditionModel) -> ControlNetModel:
    """A ControlNet with the U-Net's weights, conditioned by latents."""
    made: ControlNetModel = ControlNetModel.from_unet(unet)
    _start_as(made, unet)
    return made


def _start_as(controlnet: Any, unet: Any) -> None:
    take_latents(controlnet)
    controlnet.controlnet_cond_embedding.conv_in.load_state_dict(unet.conv_in.state_dict())


def take_latents(controlnet: Any) -> None:
    """Exchanges the condition embedding for one of latents, newly initialised."""
    config = controlnet.config
    controlnet.controlnet_cond_embedding = LatentEmbedding(
        config.in_channels, config.block_out_channels[0]
    )


def takes_latents(controlnet: Any) -> bool:
    """Whether a ControlNet is conditioned by latents."""
    return isinstance(controlnet.controlnet_cond_embedding, LatentEmbedding)
