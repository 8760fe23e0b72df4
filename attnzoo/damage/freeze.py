"""A clip that stands still from some frame on."""

from __future__ import annotations

from torch import Tensor

from attnzoo.damage._damage import Damage, Kind, Scene, register


def _apply(clip: Tensor, grade: float, scene: Scene) -> Tensor:
    last = round((len(clip) - 1) * (1 - grade))
    return clip[[min(k, last) for k in range(len(clip))]]


register(
    Damage(
        name="freeze",
        title="the last frames, by the grade's share, hold the one before them",
        kind=Kind.temporal,
        unit="share of frames",
        grades=(0.15, 0.3, 0.5, 0.75, 1.0),
        apply=_apply,
    )
)
