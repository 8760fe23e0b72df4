"""Ghosting: what is left of a person where the person was and is no more.

At a pixel that shows background now and showed the body within the last `MEMORY` frames, g is what
was last seen of the body there less what is there now, both of the real clip, and e is the
generated frame less the real one. Of that `sum(e g) / sum(g g)` over all such pixels is the share
of the body that shows through. Edges that are blurred look a little like it as well, but no more
like a body that has left than like one that is still to come: so the same of both clips played
backwards is taken off. `ghosting` is 0 for the real clip, 1 where the body stays behind whole,
negative where it comes before its time. A smeared body counts; noise, wrong colours and blur hardly
do.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

MEMORY = 4


def ghosting(real: Tensor, fake: Tensor, body: Tensor) -> float:
    """Share of the body that is left behind; NaN if it leaves or takes no pixel.

    Args:
        real: `[f, 3, H, W]` in [0, 1].
        fake: `[f, 3, H, W]`.
        body: `[f, 1, H, W]`, above 0.5 where the person is in the real clip.

    Raises:
        ValueError: for shapes that do not fit.
    """
    if real.shape != fake.shape or body.shape != (real.shape[0], 1, *real.shape[2:]):
        shapes = [tuple(x.shape) for x in (real, fake, body)]
        raise ValueError(f"clips {shapes[0]} and {shapes[1]} and body {shapes[2]} do not fit")
    clips = real.double(), fake.double(), body > 0.5
    return _left_behind(*clips) - _left_behind(*(clip.flip(0) for clip in clips))


def _left_behind(real: Tensor, fake: Tensor, person: Tensor) -> float:
    """The share in the order of the frames."""
    overlap = energy = 0.0
    for k in range(1, len(real)):
        last = torch.zeros_like(real[0])
        open_ = ~person[k]
        left = torch.zeros_like(open_)
        for before in range(k - 1, max(k - MEMORY, 0) - 1, -1):
            here = open_ & person[before]
            last = torch.where(here, real[before], last)
            left, open_ = left | here, open_ & ~here
        ghost = (last - real[k]) * left
        overlap += float(((fake[k] - real[k]) * ghost).sum())
        energy += float(ghost.square().sum())
    return overlap / energy if energy > 0 else math.nan
