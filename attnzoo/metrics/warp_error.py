"""How well a clip keeps its colours along a known motion.

For frames k and k + span: the colour at position p of frame k against the bilinear colour at
p + F(p) of frame k + span, F the flow between them; mean absolute difference over RGB and over
all pixels of all pairs that are visible in both frames. A real clip has a value above zero (it
is resampled, light may change): state it beside a generated clip's. A clip without any texture
scores well; read it beside SSIM or L1.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

PairFlow = Callable[[int, int], tuple[Tensor, Tensor]]
"""(k, r) -> flow `[2, H, W]` in pixels from frame k to frame r, at frame k's positions (channel 0
is x to the right), and `[H, W]` bool, what is seen in both."""


@dataclass(frozen=True)
class Correspondence:
    """Where each pixel of frame k is found in frame k + span, for the `p = f - span` pairs.

    grid `[p, H, W, 2]` for `grid_sample(align_corners=False)`; visible `[p, H, W]` bool: seen in
    both frames, flow finite and not out of the picture.
    """

    span: int
    grid: Tensor
    visible: Tensor


def correspondence(flow: PairFlow, frames: int, span: int) -> Correspondence:
    """The flow of all pairs `span` frames apart, once for every clip that is compared with it.

    Raises:
        ValueError: if the clip has no such pair.
    """
    if not 1 <= span < frames:
        raise ValueError(f"no two of {frames} frames are {span} apart")
    pairs = [flow(k, k + span) for k in range(frames - span)]
    flows = torch.stack([pair[0] for pair in pairs]).float()
    visible = torch.stack([pair[1] for pair in pairs]).bool()
    finite = flows.isfinite().all(dim=1)
    height, width = flows.shape[-2:]
    flows = flows.nan_to_num(0.0, 0.0, 0.0)
    x = flows[:, 0] + torch.arange(width, device=flows.device)
    y = flows[:, 1] + torch.arange(height, device=flows.device).unsqueeze(1)
    inside = (x >= 0) & (x <= width - 1) & (y >= 0) & (y <= height - 1)
    grid = torch.stack([(2 * x + 1) / width - 1, (2 * y + 1) / height - 1], dim=-1)
    return Correspondence(span, grid, visible & finite & inside)


def warp_error(clip: Tensor, along: Correspondence, where: Tensor | None = None) -> float:
    """Warp error of one clip `[f, 3, H, W]`; NaN if no pixel counts.

    `where` `[f, 1, H, W]` restricts it to pixels above 0.5 in frame k (the body).
    """
    pairs = clip.shape[0] - along.span
    images = clip.float()
    grid = along.grid.to(images.device)
    later = F.grid_sample(
        images[along.span :], grid, mode="bilinear", padding_mode="border", align_corners=False
    )
    errors = (later - images[:pairs]).abs().mean(dim=1)
    counts = along.visible.to(images.device)
    if where is not None:
        counts = counts & (where[:pairs, 0].to(images.device) > 0.5)
    return float(errors[counts].double().mean())
