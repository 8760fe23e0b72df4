"""The small image encoder of the embedded model: a picture of a person to tokens."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from attnzoo.models.pose_features import PoseFeatures

CHUNK = 64
"""Token counts are padded to a multiple of this, so that batches keep few distinct shapes."""


def covered_cells(mask: Tensor) -> Tensor:
    """Which cells of 2x2 pixels become tokens, in this order: `[b, 1, H, W]` -> `[b, cells]`."""
    return F.max_pool2d(mask, 2).flatten(1) > 0


class ImageEncoder(nn.Module):
    """Turns foreground, mask and the foreground's pose into a token per 2x2 pixels of the person.

    It stands where CLIP's image encoder stands in DisCo. Cells outside the mask carry nothing and
    are left out; what is missing to the longest of the batch is filled with a learned null token,
    to which the U-Net attends as to the others. So what is made of a clip depends a little on those
    that it shares a batch with, if their persons are of other sizes.

    Args:
        width: channels of a token.
    """

    def __init__(self, width: int = 96) -> None:
        super().__init__()
        self.width = width
        self.pose_features = PoseFeatures()
        inputs = 3 + 1 + 2 + self.pose_features.channels
        self.layers = nn.Sequential(
            nn.Conv2d(inputs, 48, 3, padding=1),
            nn.SiLU(),
            nn.Conv2d(48, width, 4, stride=2, padding=1),
            nn.SiLU(),
            nn.Conv2d(width, width, 3, padding=1),
            nn.SiLU(),
            nn.Conv2d(width, width, 1),
        )
        self.null = nn.Parameter(torch.zeros(width))

    def forward(self, foreground: Tensor, mask: Tensor, pose: Tensor) -> Tensor:
        """`[b, 3, H, W]`, `[b, 1, H, W]`, `[b, 6, H, W]` in [0, 1] -> tokens `[b, n, width]`."""
        b, _, height, width = foreground.shape
        y = torch.linspace(-1, 1, height, device=mask.device, dtype=mask.dtype)
        x = torch.linspace(-1, 1, width, device=mask.device, dtype=mask.dtype)
        place = torch.stack(torch.meshgrid(y, x, indexing="ij")).expand(b, 2, height, width)
        inputs = torch.cat([foreground, mask, place, self.pose_features(pose)], 1)
        cells = self.layers(inputs).flatten(2).transpose(1, 2)
        return self._gather(cells, covered_cells(mask))

    def token_shape(self, mask: Tensor) -> tuple[int, int]:
        """Number and width of the tokens of pictures with these masks `[b, 1, H, W]`."""
        covered = covered_cells(mask)
        return self._longest(covered), self.width

    @staticmethod
    def _longest(covered: Tensor) -> int:
        longest = -(-max(int(covered.sum(1).max()), 1) // CHUNK) * CHUNK
        return min(longest, covered.shape[1])

    def _gather(self, cells: Tensor, covered: Tensor) -> Tensor:
        counts = covered.sum(1)
        longest = self._longest(covered)
        order = torch.argsort((~covered).to(torch.uint8), dim=1, stable=True)[:, :longest]
        tokens = cells.gather(1, order[..., None].expand(-1, -1, self.width))
        real = torch.arange(longest, device=counts.device) < counts[:, None]
        return torch.where(real[..., None], tokens, self.null.to(tokens.dtype))

    def null_tokens(self, tokens: Tensor) -> Tensor:
        """What stands for "no person" in classifier-free guidance: as many null tokens."""
        return self.null.to(tokens.dtype).expand_as(tokens)
