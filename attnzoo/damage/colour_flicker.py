"""Colours whose strength changes from frame to frame."""

from __future__ import annotations

import torch
from torch import Tensor

from attnzoo.damage._damage import Damage, Kind, Scene, register


def _apply(clip: Tensor, grade: float, scene: Scene) -> Tensor:
    gains = torch.randn((len(clip), 3, 1, 1), generator=scene.generator)
    return (clip * (1 + grade * gains)).clamp(0, 1)


register(
    Damage(
        name="colour_flicker",
        title="each channel of each frame times 1 + the grade's normal deviate",
        kind=Kind.temporal,
        unit="share",
        grades=(0.01, 0.02, 0.05, 0.1, 0.2),
        apply=_apply,
    )
)
