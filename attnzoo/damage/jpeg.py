"""JPEG compression of every frame."""

from __future__ import annotations

import io

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from attnzoo.damage._damage import Damage, Kind, Scene, register


def _apply(clip: Tensor, grade: float, scene: Scene) -> Tensor:
    frames = []
    for frame in (255 * clip).round().to(torch.uint8).permute(0, 2, 3, 1).numpy():
        file = io.BytesIO()
        Image.fromarray(frame).save(file, "jpeg", quality=100 - round(grade))
        frames.append(np.asarray(Image.open(file)))
    return torch.from_numpy(np.stack(frames)).permute(0, 3, 1, 2).float() / 255


register(
    Damage(
        name="jpeg",
        title="JPEG of every frame, at a quality of 100 less the grade",
        kind=Kind.spatial,
        unit="quality lost",
        grades=(5, 20, 45, 70, 90),
        apply=_apply,
    )
)
