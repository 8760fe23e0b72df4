"""DreamPose on the base: five poses at the U-Net's input, and the person's latents as tokens.

Karras et al., 2023, arXiv 2304.06025. Of it are here: each frame is an image of its own; the
poses of five consecutive frames, the middle one its own, are concatenated to its noisy latents;
the first convolution is widened by zeros; an adapter adds the auto-encoder's latents of the
person's picture to the image encoder's tokens, of which at the start it changes nothing.

Ours, since all rows start from one base and train alike:

- Both ControlNets stay. DreamPose has none, and learns the pose through its first convolution in
  many epochs; the base's U-Net was trained to be told by ControlNets, and without them the row
  would show how little it can learn again in a few steps. So this is a DreamPose with all that
  the frame-by-frame baseline has, and what it gains is due to its own two ideas.
- The old columns of the first convolution and its bias are kept. The published code zeroes the
  columns of the last latent channel too, and draws the bias anew.
- Fine-tuning on one person, of U-Net or decoder, and its two guidance scales are left out.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from attnzoo.data.clip import POSE_CHANNELS, Batch
from attnzoo.models.dance import DanceModel

POSES = 5
"""How many consecutive poses a frame is made from."""

GRID = 16
"""Latents are pooled to so many rows and columns: by two at 32x32, as published at 80x64."""


def pose_window(pose: Tensor) -> Tensor:
    """The poses around each frame: `[b, f, p, h, w]` to `[b, f, 5 * p, h, w]`.

    Two before it, its own, two after it; where the clip has none its first or last is repeated.
    """
    frames = pose.shape[1]
    around = torch.arange(POSES, device=pose.device) - POSES // 2
    own = torch.arange(frames, device=pose.device)
    index = (own[:, None] + around).clamp(0, frames - 1)
    return rearrange(pose[:, index], "b f k p h w -> b f (k p) h w")


def widen(unet: Any, channels: int) -> None:
    """Gives the first convolution of a UNet2DConditionModel so many more input channels, in place.

    The new weights are zero and all others stay: with anything in the new channels the U-Net
    computes what it did. It stays a stock U-Net, whose configuration has the new number.
    """
    old: nn.Conv2d = unet.conv_in
    new = nn.Conv2d(
        old.in_channels + channels,
        old.out_channels,
        kernel_size=old.kernel_size,  # type: ignore[arg-type]
        stride=old.stride,  # type: ignore[arg-type]
        padding=old.padding,  # type: ignore[arg-type]
        bias=old.bias is not None,
        device="meta",
    ).to_empty(device=old.weight.device)
    new = new.to(old.weight.dtype).train(old.training)
    with torch.no_grad():
        new.weight.zero_()[:, : old.in_channels] = old.weight
        if new.bias is not None and old.bias is not None:
            new.bias.copy_(old.bias)
    unet.conv_in = new
    unet.register_to_config(in_channels=new.in_channels)


class ImageAdapter(nn.Module):
    """Adds the latents of the person's picture to the image encoder's tokens.

    Each latent channel becomes a token: pooled by maximum to 16x16 cells and put through one
    linear layer, which all channels share. Every token of the encoder then takes a weighted sum of
    them. Published weights belong to a token's number; CLIP's tokens have fixed places, those of
    the embedded encoder come and go with the person's outline, so here a linear layer reads them
    off the token itself. It is zero at the start, as the published weights of latents are.

    Args:
        width: channels of a token.
        latents: channels of the latents.
    """

    def __init__(self, width: int, latents: int) -> None:
        super().__init__()
        self.embed = nn.Linear(GRID * GRID, width)
        self.weigh = nn.Linear(width, latents)
        nn.init.zeros_(self.weigh.weight)
        nn.init.zeros_(self.weigh.bias)

    def forward(self, tokens: Tensor, latents: Tensor) -> Tensor:
        """`[b, n, width]` and `[b, latents, h, w]` to `[b, n, width]`, of the tokens' dtype."""
        pooled = F.adaptive_max_pool2d(latents, GRID).flatten(2)
        seen: Tensor = self.weigh(tokens) @ self.embed(pooled.to(tokens.dtype))
        return tokens + seen.to(tokens.dtype)


class DreamPoseModel(DanceModel):
    """The base with five poses at its U-Net's input and with an image adapter; see this module.

    Args: those of `DanceModel`, whose U-Net it widens in place, and `adapter`.
    """

    def __init__(self, *parts: Any, adapter: ImageAdapter, **named: Any) -> None:
        super().__init__(*parts, **named)
        self.latents = int(self.unet.conv_in.in_channels)
        widen(self.unet, POSES * POSE_CHANNELS)
        self.adapter = adapter

    @classmethod
    def of(cls, base: DanceModel, *, seed: int = 0) -> DreamPoseModel:
        """A model of the parts of `base`, which is not to be used any more."""
        width, latents = base.image_encoder.width, base.unet.conv_in.in_channels
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(seed)  # torch.manual_seed would seed CUDA too
            adapter = ImageAdapter(width, latents)
        return cls(
            base.unet,
            base.pose_controlnet,
            base.background_controlnet,
            base.image_encoder,
            base.image_projection,
            base.codec,
            base.scheduler_config,
            base.pose_features,
            adapter=adapter,
        )

    def tokens(self, batch: Batch) -> Tensor:
        """The image encoder's tokens with the foreground's latents in them, `[b, n, d]`."""
        with torch.no_grad():
            latents = self.codec.encode(batch.foreground)
        adapted: Tensor = self.adapter(super().tokens(batch), latents)
        return adapted

    def added_parameters(self) -> list[nn.Parameter]:
        """The widened convolution, the adapter, and what was put into the U-Net."""
        own = [*self.unet.conv_in.parameters(), *self.adapter.parameters()]
        return [*own, *super().added_parameters()]

    def added_count(self) -> int:
        """The adapter, the convolution's new columns, and what was put into the U-Net."""
        columns: int = self.unet.conv_in.weight[:, self.latents :].numel()
        adapter = sum(parameter.numel() for parameter in self.adapter.parameters())
        return columns + adapter + super().added_count()

    def unet_input(self, images: Tensor, pose: Tensor) -> Tensor:
        """Noisy latents `[(b f), c, h, w]` and behind them the five poses of each frame.

        Poses are read at the nearest pixel: a mean of surface coordinates across a limb's edge
        would be a place on the body that is not there.
        """
        poses = rearrange(pose_window(pose), "b f c h w -> (b f) c h w")
        poses = F.interpolate(poses, images.shape[-2:], mode="nearest-exact")
        return torch.cat([images, poses.to(images.dtype)], 1)
