"""Where a sign on the clothes is in a generated clip: its place, its shape and its colour.

The sign's place in the real clip is known (embedded data). In every frame that shows at least half
of it, the picture about it is looked for in the generated frame: by normalised correlation over
shifts of up to `REACH` of the picture's side, refined below a pixel by a parabola. Correlation is
blind to colour and light as a whole, so that place and colour are told apart. Where no shift
correlates by `LEAST`, the sign is lost, and counts as far as was looked: a sign that is not there
is not stable.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

REACH = 1 / 16
"""Largest shift that is looked for, as a share of the picture's side."""
LEAST = 0.3
"""Least correlation at which the sign counts as found."""
FEWEST_PIXELS = 24
MARGIN = 1
"""Pixels about the sign that belong to its picture: without its edge a plain one has no place."""


@dataclass(frozen=True)
class Track:
    """A sign through a clip.

    seen `[f]` bool: the real frame shows it. offset `[f, 2]`: its shift in pixels against the real
    one (right, down); NaN where it is lost or not seen. match `[f]`: the correlation there. colour
    `[f, 3]`: its mean colour less the real one's, where it was found. reach: the largest shift.
    """

    seen: Tensor
    offset: Tensor
    match: Tensor
    colour: Tensor
    reach: int

    @property
    def position_error(self) -> float:
        """Mean distance from the real place in pixels, `reach` at most and where lost.

        NaN if it is never seen.
        """
        distance = self.offset.norm(dim=1).nan_to_num(self.reach).clamp(max=self.reach)
        return _mean(distance[self.seen])

    @property
    def jitter(self) -> float:
        """Mean change of the shift from frame to frame in pixels.

        It is `reach` at most and where either is lost.
        """
        both = self.seen[1:] & self.seen[:-1]
        change = (self.offset[1:] - self.offset[:-1]).norm(dim=1).nan_to_num(self.reach)
        return _mean(change.clamp(max=self.reach)[both])

    @property
    def shape_error(self) -> float:
        """1 less the mean correlation, of lost frames 1 whole."""
        found = torch.where(self.offset.isnan().any(dim=1), 0.0, self.match)
        return 1 - _mean(found[self.seen])

    @property
    def colour_error(self) -> float:
        """Mean absolute difference of the mean colour where it was found; NaN if nowhere."""
        found = self.seen & ~self.offset.isnan().any(dim=1)
        return _mean(self.colour[found].abs())


def _mean(values: Tensor) -> float:
    return float(values.double().mean()) if values.numel() else math.nan


def track(real: Tensor, fake: Tensor, logo: Tensor) -> Track:
    """Finds the sign of a real clip in a generated one.

    Args:
        real: `[f, 3, H, W]` in [0, 1].
        fake: `[f, 3, H, W]`.
        logo: `[f, 1, H, W]`, 1 where the real frame shows the sign.

    Raises:
        ValueError: for shapes that do not fit.
    """
    if real.shape != fake.shape or logo.shape != (real.shape[0], 1, *real.shape[2:]):
        shapes = [tuple(x.shape) for x in (real, fake, logo)]
        raise ValueError(f"clips {shapes[0]} and {shapes[1]} and logo {shapes[2]} do not fit")
    real, fake, mask = real.double(), fake.double(), (logo > 0.5).double()
    pixels = mask.sum(dim=(1, 2, 3))
    seen = (pixels >= FEWEST_PIXELS) & (2 * pixels >= pixels.max())
    reach = max(1, round(REACH * min(real.shape[-2:])))
    near = F.max_pool2d(mask, 2 * MARGIN + 1, stride=1, padding=MARGIN)
    surface, colour = _searched(real, fake, near, mask, reach)
    match, best = surface.flatten(1).max(dim=1)
    offset = _refined(surface, best, reach)
    offset[~seen | (match < LEAST)] = math.nan
    rows = torch.arange(len(real))
    return Track(seen, offset, match, colour.flatten(2)[rows, :, best], reach)


def _searched(
    real: Tensor, fake: Tensor, near: Tensor, mask: Tensor, reach: int
) -> tuple[Tensor, Tensor]:
    """For all shifts: correlation `[f, s, s]`, and mean colour less the real one `[f, 3, s, s]`.

    Correlation is over the pixels of `near`, each channel's mean over them taken off; colour over
    those of `mask`.
    """
    wide = F.pad(fake, (reach,) * 4, mode="replicate")
    boxes = [_box(one[0]) for one in near]
    parts = []
    for k, (rows, columns) in enumerate(boxes):
        about = wide[k, :, rows.start : rows.stop + 2 * reach]
        about = about[:, :, columns.start : columns.stop + 2 * reach]
        here = (x[k][:, rows, columns] for x in (real, near, mask))
        parts.append(_searched_frame(about, *here))
    return torch.stack([part[0] for part in parts]), torch.stack([part[1] for part in parts])


def _box(mask: Tensor) -> tuple[slice, slice]:
    """Rows and columns of `[H, W]` that hold something; one pixel where nothing does."""
    rows, columns = (torch.nonzero(mask.any(dim=d)).flatten().tolist() or [0] for d in (1, 0))
    return slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)


def _searched_frame(
    wide: Tensor, real: Tensor, near: Tensor, mask: Tensor
) -> tuple[Tensor, Tensor]:
    """One real frame's box `[3, h, w]` in a generated one, wider by the reach on all sides."""

    def summed(kernel: Tensor, values: Tensor) -> Tensor:
        """Sums of `[3, ...]` under a kernel `[3, h, w]` at all shifts: `[3, s, s]`."""
        return F.conv2d(values[None], kernel[:, None], groups=3)[0]

    count = near.sum().clamp(min=1)
    own = (real - (real * near).sum(dim=(1, 2), keepdim=True) / count) * near
    weight = near.expand(3, -1, -1)
    mean = summed(weight, wide) / count
    variance = summed(weight, wide.square()) - count * mean.square()
    sizes = own.square().sum() * variance.sum(dim=0).clamp(min=0)
    # What is flat correlates with nothing.
    correlation = summed(own, wide).sum(dim=0) / sizes.sqrt().clamp(min=1e-6)
    pixels = mask.sum().clamp(min=1)
    before = (real * mask).sum(dim=(1, 2))[:, None, None]
    return correlation, (summed(mask.expand(3, -1, -1), wide) - before) / pixels


def _refined(surface: Tensor, best: Tensor, reach: int) -> Tensor:
    """Offsets `[f, 2]` of the peaks of `[f, side, side]`, by a parabola through each axis."""
    side = surface.shape[-1]
    rows = torch.arange(len(surface))
    y, x = best // side, best % side

    def vertex(before: Tensor, here: Tensor, after: Tensor, inner: Tensor) -> Tensor:
        bend = (2 * here - before - after).clamp(min=1e-12)
        return torch.where(inner, ((after - before) / (2 * bend)).clamp(-0.5, 0.5), 0.0)

    here = surface[rows, y, x]
    left, right = ((x + d).clamp(0, side - 1) for d in (-1, 1))
    up, down = ((y + d).clamp(0, side - 1) for d in (-1, 1))
    inside_x, inside_y = (x > 0) & (x < side - 1), (y > 0) & (y < side - 1)
    sub_x = vertex(surface[rows, y, left], here, surface[rows, y, right], inside_x)
    sub_y = vertex(surface[rows, up, x], here, surface[rows, down, x], inside_y)
    # The real clip's own peak is not exactly a parabola's; a perfect match is at zero.
    exact = here >= 1 - 1e-9
    found = torch.stack([x - reach + sub_x, y - reach + sub_y], dim=1)
    return torch.where(exact[:, None], torch.stack([x - reach, y - reach], dim=1).double(), found)
