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
- The first convolution's old weights and its bias are kept, and rest in stage 1 as all of the base
  does. The published code zeroes those of the last latent channel too, and draws the bias anew.
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

ADDED_LEARNING_RATE = 0.1
"""Rate of the new channels as a multiple of a stage's: 30 at once move every pixel of a U-Net that
rests, and at the rate of new modules it does not recover within the stage."""

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


class WidenedConv(nn.Conv2d):
    """A convolution with more input channels, whose weights for these begin as zero.

    The old weights stay a parameter of their own, under their own name, so that the new ones can be
    trained alone. Loads the weights of one plain convolution of all channels, too.

    Args:
        old: the convolution, whose weight and bias are taken over.
        channels: how many more there are.
    """

    def __init__(self, old: nn.Conv2d, channels: int) -> None:
        super().__init__(**_shape(old, 0), device="meta")
        self.in_channels += channels
        self.weight, self.bias = old.weight, old.bias
        added = old.weight.new_zeros((old.out_channels, channels, *old.weight.shape[2:]))
        self.added = nn.Parameter(added)
        self.train(old.training)
        self.register_load_state_dict_pre_hook(self._split)  # type: ignore[no-untyped-call]

    def forward(self, x: Tensor) -> Tensor:
        """`[n, old + added, h, w]` as the convolution does, old channels first."""
        weight = torch.cat([self.weight, self.added], 1)
        found: Tensor = self._conv_forward(x, weight, self.bias)
        return found

    def merged(self) -> nn.Conv2d:
        """One plain convolution of all channels: what diffusers saves and loads."""
        plain = nn.Conv2d(**_shape(self, self.added.shape[1]), device="meta")
        plain.weight = nn.Parameter(torch.cat([self.weight, self.added], 1).detach())
        plain.bias = self.bias
        return plain.train(self.training)

    @staticmethod
    def _split(module: WidenedConv, state: dict[str, Any], prefix: str, *_: Any) -> None:
        """Weights of all channels in one tensor become the two parameters."""
        whole = state.get(prefix + "weight")
        if whole is not None and whole.shape[1] == module.in_channels:
            old = module.weight.shape[1]
            state[prefix + "weight"], state[prefix + "added"] = whole[:, :old], whole[:, old:]


def _shape(conv: nn.Conv2d, added: int) -> dict[str, Any]:
    return {
        "in_channels": conv.weight.shape[1] + added,
        "out_channels": conv.out_channels,
        "kernel_size": conv.kernel_size,
        "stride": conv.stride,
        "padding": conv.padding,
        "bias": conv.bias is not None,
    }


def widen(unet: Any, channels: int) -> None:
    """Gives the first convolution of a UNet2DConditionModel so many more input channels, in place.

    With anything in the new channels the U-Net computes at first what it did. With
    `unet.conv_in = unet.conv_in.merged()` it is a stock U-Net again, to be saved as such.
    """
    unet.conv_in = WidenedConv(unet.conv_in, channels)
    unet.register_to_config(in_channels=unet.conv_in.in_channels)


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

    pose_reach = POSES // 2

    def __init__(self, *parts: Any, adapter: ImageAdapter, **named: Any) -> None:
        super().__init__(*parts, **named)
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
        ready = None if batch.ready is None else batch.ready.foreground
        with torch.no_grad():
            latents = self.codec.encode(batch.foreground) if ready is None else ready
        adapted: Tensor = self.adapter(super().tokens(batch), latents)
        return adapted

    def added_parameters(self) -> list[nn.Parameter]:
        """The convolution's new channels, the adapter, and what was put into the U-Net."""
        return [*self._own(), *super().added_parameters()]

    def learning_rate_factors(self) -> dict[nn.Parameter, float]:
        """The convolution's new channels learn slower."""
        return {**super().learning_rate_factors(), self.unet.conv_in.added: ADDED_LEARNING_RATE}

    def added_count(self) -> int:
        """Of the same."""
        return sum(parameter.numel() for parameter in self._own()) + super().added_count()

    def _own(self) -> list[nn.Parameter]:
        return [self.unet.conv_in.added, *self.adapter.parameters()]

    def unet_input(self, images: Tensor, pose: Tensor) -> Tensor:
        """Noisy latents `[(b f), c, h, w]` and behind them the five poses of each frame.

        Poses are read at the nearest pixel: a mean of surface coordinates across a limb's edge
        would be a place on the body that is not there.
        """
        poses = rearrange(pose_window(pose), "b f c h w -> (b f) c h w")
        poses = F.interpolate(poses, images.shape[-2:], mode="nearest-exact")
        return torch.cat([images, poses.to(images.dtype)], 1)
