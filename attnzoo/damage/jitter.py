"""Frames that stand a little aside, each another way."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from attnzoo.damage._damage import Damage, Kind, Scene, register, scale


def _apply(clip: Tensor, grade: float, scene: Scene) -> Tensor:
    # Whole pixels: between them pictures would be blurred too, which is another damage.
    length = max(1, round(grade * scale(clip)))
    angles = 2 * math.pi * torch.rand(len(clip), generator=scene.generator)
    x, y = ((length * f(angles)).round().long().tolist() for f in (torch.cos, torch.sin))
    height, width = clip.shape[-2:]
    wide = F.pad(clip, (length,) * 4, mode="replicate")
    return torch.stack(
        [
            wide[k, :, length + dy : length + dy + height, length + dx : length + dx + width]
            for k, (dx, dy) in enumerate(zip(x, y, strict=True))
        ]
    )


register(
    Damage(
        name="jitter",
        title="each frame moved in another direction by the grade",
        kind=Kind.temporal,
        unit="pixels of 64",
        grades=(1, 2, 3, 4, 6),
        apply=_apply,
    )
)
