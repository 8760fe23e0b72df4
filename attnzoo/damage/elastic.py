"""The same warps twice: one that stays for the whole clip, and another one for every frame.

Frames by themselves are damaged alike; only the second breaks what holds from frame to frame. That
is the pair by which Ge et al. (2024) show that FVD looks at frames more than at motion.
"""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor
from torch.nn import functional as F

from attnzoo.damage._damage import Damage, Kind, Scene, register, scale
from attnzoo.damage._displace import displaced

PLACES = 6
"""Random shifts so many places a side, smooth between them."""


def _apply(each: bool, clip: Tensor, grade: float, scene: Scene) -> Tensor:
    frames = len(clip)
    fields = torch.randn((frames, 2, PLACES, PLACES), generator=scene.generator)
    if not each:
        fields = fields[:1].expand(frames, -1, -1, -1)
    fields = F.interpolate(fields, clip.shape[-2:], mode="bicubic", align_corners=True)
    return displaced(clip, grade * scale(clip) * fields).clamp(0, 1)


for _each in (False, True):
    register(
        Damage(
            name="elastic_trembling" if _each else "elastic",
            title="a smooth random warp, "
            + ("another one for every frame" if _each else "the same in all frames"),
            kind=Kind.temporal if _each else Kind.spatial,
            unit="pixels of 64",
            grades=(0.25, 0.5, 1, 1.5, 2.5),
            apply=partial(_apply, _each),
        )
    )
