"""A past frame that shows through."""

from __future__ import annotations

from torch import Tensor

from attnzoo.damage._damage import Damage, Kind, Scene, register

LAG = 2


def _apply(clip: Tensor, grade: float, scene: Scene) -> Tensor:
    past = [max(k - LAG, 0) for k in range(len(clip))]
    return (1 - grade) * clip + grade * clip[past]


register(
    Damage(
        name="ghosting",
        title=f"the frame {LAG} before shows through by the grade",
        kind=Kind.temporal,
        unit="share",
        grades=(0.1, 0.2, 0.3, 0.4, 0.5),
        apply=_apply,
    )
)
