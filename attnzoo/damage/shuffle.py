"""Frames in a wrong order within blocks."""

from __future__ import annotations

import torch
from torch import Tensor

from attnzoo.damage._damage import Damage, Kind, Scene, register


def shuffled(frames: int, width: int, generator: torch.Generator) -> list[int]:
    """Numbers of frames, each block of `width` in another order than its own."""
    order: list[int] = []
    for start in range(0, frames, width):
        size = min(width, frames - start)
        block = torch.arange(size)
        while size > 1 and torch.equal(block, torch.arange(size)):
            block = torch.randperm(size, generator=generator)
        order += (start + block).tolist()
    return order


def _apply(clip: Tensor, grade: float, scene: Scene) -> Tensor:
    return clip[shuffled(len(clip), round(grade), scene.generator)]


register(
    Damage(
        name="shuffle",
        title="frames in random order within blocks",
        kind=Kind.temporal,
        unit="frames of a block",
        grades=(2, 4, 8, 16),
        apply=_apply,
    )
)
