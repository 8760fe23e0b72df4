"""CLIP's image encoder: a picture of a person to tokens, as DisCo takes them."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

MEAN = (0.48145466, 0.4578275, 0.40821073)
STD = (0.26862954, 0.26130258, 0.27577711)
"""Of the pictures that CLIP was trained on, per channel in [0, 1]."""


class ClipEncoder(nn.Module):
    """Turns a foreground picture into one token for each of CLIP's patches and one for the whole.

    These are the last layer's states behind the closing norm, not yet projected: the projection
    to the U-Net's cross-attention is the model's own and trains. "No person" is the black picture
    (zero behind the normalisation), which is what DisCo shows in training for guidance.

    Args:
        vision: transformers' vision transformer of CLIP.
        size: pixels of a side that it takes.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, vision: Any, size: int) -> None:
        super().__init__()
        self.vision = vision
        self.size = size
        self.width = int(self.vision.config.hidden_size)
        for name, values in (("mean", MEAN), ("std", STD)):
            self.register_buffer(name, torch.tensor(values).view(3, 1, 1), persistent=False)

    def forward(self, foreground: Tensor, mask: Tensor, pose: Tensor) -> Tensor:
        """Foreground `[b, 3, H, W]` in [0, 1] -> tokens `[b, n, width]`; CLIP needs no more."""
        side = (self.size, self.size)
        picture = F.interpolate(foreground, side, mode="bicubic", antialias=True).clamp(0, 1)
        return self._tokens((picture - self.mean) / self.std)

    def null_tokens(self, tokens: Tensor) -> Tensor:
        """What stands for "no person" in classifier-free guidance, one for each of `tokens`."""
        nothing = self.mean.new_zeros(1, 3, self.size, self.size)
        return self._tokens(nothing).to(tokens.dtype).expand_as(tokens)

    def token_shape(self, mask: Tensor) -> tuple[int, int]:
        """Number and width of the tokens of a picture; the same for every `mask`."""
        return (self.size // int(self.vision.config.patch_size)) ** 2 + 1, self.width

    def _tokens(self, pixels: Tensor) -> Tensor:
        with torch.no_grad():
            states = self.vision(pixels).last_hidden_state
            tokens: Tensor = self.vision.post_layernorm(states)
        return tokens
