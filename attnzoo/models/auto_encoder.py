"""Latents of Stable Diffusion: its auto-encoder (kl-f8) in the form of a codec."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

SLICE = 4
"""Latents that go through the decoder at once: its finest maps are larger than the U-Net's, and a
clip has many frames. Pictures go through the encoder one by one and in one order in
memory: products of another size or order round otherwise, and a latent is to be the same whatever
pictures stand beside it.
"""


class KLCodec(nn.Module):
    """Pictures to scaled latents and back, by a frozen `AutoencoderKL`.

    The mean of the posterior is taken, not a sample of it: its standard deviation is small beside
    the latents', and a latent then depends on its picture alone. Neither way has gradients.

    Args:
        vae: the auto-encoder; its configuration holds the latents' scale.
    """

    def __init__(self, vae: Any) -> None:
        super().__init__()
        self.vae: Any = vae
        config: Any = dict(vae.config)
        self.factor = 2 ** (len(config["block_out_channels"]) - 1)
        self.channels = int(config["latent_channels"])
        self.scale = float(config["scaling_factor"])

    def encode(self, images: Tensor) -> Tensor:
        """Images `[..., 3, H, W]` in [0, 1] -> latents `[..., c, H/factor, W/factor]`."""
        return _sliced(
            images, lambda part: self.vae.encode(part * 2 - 1).latent_dist.mode() * self.scale, 1
        )

    def decode(self, latents: Tensor) -> Tensor:
        """Latents to images in [0, 1]; the inverse of `encode` as far as there is one."""
        images = _sliced(latents, lambda part: self.vae.decode(part / self.scale).sample)
        return (images / 2 + 0.5).clamp(0, 1)


def _sliced(pictures: Tensor, run: Callable[[Tensor], Tensor], at_once: int = SLICE) -> Tensor:
    """`run` on some pictures at a time; leading axes come back as they were."""
    flat = pictures.reshape(-1, *pictures.shape[-3:]).contiguous()
    with torch.no_grad():
        made = torch.cat([run(part) for part in flat.split(at_once)])
    return made.reshape(*pictures.shape[:-3], *made.shape[-3:])
