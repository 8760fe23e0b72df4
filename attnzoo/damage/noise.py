"""Noise that is new in every frame."""

from __future__ import annotations

import torch
from torch import Tensor

from attnzoo.damage._damage import Damage, Kind, Scene, register


def _apply(clip: Tensor, grade: float, scene: Scene) -> Tensor:
    return (clip + grade * torch.randn(clip.shape, generator=scene.generator)).clamp(0, 1)


register(
    Damage(
        name="noise",
        title="Gaussian noise, new in every frame",
        kind=Kind.spatial,
        unit="intensity",
        grades=(0.01, 0.02, 0.04, 0.08, 0.16),
        apply=_apply,
    )
)
