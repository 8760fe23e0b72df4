"""A sign on the clothes that leaves its place: slowly through the clip, or anew in every frame."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from attnzoo.damage._damage import Damage, Kind, Scene, register, scale


def moved(clip: Tensor, logo: Tensor, body: Tensor, shifts: Tensor) -> Tensor:
    """Moves the sign of each frame.

    Args:
        clip: `[f, 3, H, W]`.
        logo: `[f, 1, H, W]`, 1 where the sign is seen.
        body: `[f, 1, H, W]`; the sign stays on it.
        shifts: `[f, 2]` whole pixels, to the right and down.
    """
    frames = []
    for frame, sign, person, shift in zip(clip, logo > 0.5, body > 0.5, shifts, strict=True):
        dx, dy = (int(v) for v in shift)
        placed = _shifted(sign.float(), dx, dy) > 0.5
        bare = torch.where(sign, _cloth(frame, sign, person), frame)
        frames.append(torch.where(placed & person, _shifted(frame, dx, dy), bare))
    return torch.stack(frames)


def _cloth(frame: Tensor, sign: Tensor, person: Tensor) -> Tensor:
    """The mean colour of the person just about the sign `[3, 1, 1]`."""
    about = F.max_pool2d(sign[None].float(), 5, stride=1, padding=2)[0] > 0.5
    about = (about & person & ~sign).float()
    return (frame * about).sum(dim=(1, 2), keepdim=True) / about.sum().clamp(min=1)


def _shifted(image: Tensor, dx: int, dy: int) -> Tensor:
    """`[c, H, W]` moved to the right and down; zeros come in."""
    height, width = image.shape[-2:]
    reach = max(abs(dx), abs(dy))
    wide = F.pad(image, (reach,) * 4)
    top, left = reach - dy, reach - dx
    return wide[:, top : top + height, left : left + width]


def _logo(scene: Scene) -> Tensor:
    if scene.logo is None:
        raise ValueError("no sign on the clothes is known")
    return scene.logo


def _drift(clip: Tensor, grade: float, scene: Scene) -> Tensor:
    angle = 2 * math.pi * torch.rand(1, generator=scene.generator)
    way = torch.cat([angle.cos(), angle.sin()])
    far = torch.linspace(0, grade * scale(clip), len(clip))
    return moved(clip, _logo(scene), scene.body, (far[:, None] * way).round())


def _jitter(clip: Tensor, grade: float, scene: Scene) -> Tensor:
    angles = 2 * math.pi * torch.rand(len(clip), generator=scene.generator)
    ways = torch.stack([angles.cos(), angles.sin()], dim=1)
    return moved(clip, _logo(scene), scene.body, (grade * scale(clip) * ways).round())


for _name, _title, _apply in (
    ("logo_drift", "the sign moves off steadily, by the grade in the last frame", _drift),
    ("logo_jitter", "the sign of each frame moved in another direction by the grade", _jitter),
):
    register(
        Damage(
            name=_name,
            title=_title,
            kind=Kind.temporal,
            unit="pixels of 64",
            grades=(1, 2, 3, 4),
            apply=_apply,
            needs_logo=True,
        )
    )
