"""Flow by surface coordinates: a pixel goes to where the same place of the same part is seen.

Coordinates are DensePose's I, U and V (Güler et al. 2018), of the embedded dancers or of raw IUV
pictures. Nothing is known off the body, where flow is 0, or of places that one of the frames hides.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from attnzoo.data.frames import Picture, square

PARTS = 24
"""Parts of DensePose; 0 is no part."""

NEIGHBOURS = 6
"""Pixels whose surface coordinates say where a place lies between them."""

REACH = 2.5
"""A place is seen in a frame if a pixel there is as near to it as so many times the usual distance
of a pixel of its part from the next."""

BLUR = 0.5
"""Pixels by which neighbours may miss their plane; beyond, one place is shown in several spots, as
on a capsule's round end, whose coordinates are those of its rim."""

_APART = 1e3
"""Distance between parts, far beyond any within one."""

_SHADES = 8
"""Different pairs of U and V in a part, on average, from which on they are taken for such."""

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Surface:
    """The surface coordinates that a pose picture holds.

    part `[n, n]`: number of the part, 0 for none; coordinates `[n, n, d]`: the place on it, in
    units in which a part is about one long (an angle: its cosine and sine over 2 pi); channel: of
    a raw IUV picture, which one holds the parts.
    """

    part: NDArray[np.uint8]
    coordinates: NDArray[np.float32]
    channel: int | None = None

    @cached_property
    def pixels(self) -> NDArray[np.intp]:
        """Rows and columns of the body's pixels `[p, 2]`."""
        return np.argwhere(self.part > 0)

    @cached_property
    def places(self) -> Floats:
        """Part, far apart, and coordinates of these pixels `[p, 1 + d]`."""
        y, x = self.pixels.T
        part = self.part[y, x].astype(float)[:, None] * _APART
        return np.concatenate([part, self.coordinates[y, x]], 1)

    @cached_property
    def tree(self) -> cKDTree:
        """These places, to be searched."""
        return cKDTree(self.places)

    @cached_property
    def spacing(self) -> Floats:
        """By number of the part, how far its pixels usually are from the next, `[256]`.

        Never more than a fifth of a part: so few pixels say nothing of what lies between them.
        """
        found = np.zeros(256)
        if len(self.places) > 1:
            next_one = self.tree.query(self.places, k=2)[0][:, 1]
            part = self.part[tuple(self.pixels.T)]
            for number in np.unique(part):
                found[number] = min(np.median(next_one[part == number]), 0.2)
        return found


def surface_flow(start: Surface, end: Surface) -> NDArray[np.float32]:
    """Flow `[2, n, n]` in pixels from one frame to another, at the first one's positions.

    Where a place lies between pixels of the other frame is read off a plane through the
    `NEIGHBOURS` nearest by coordinates. Places that the other frame does not show, or shows in more
    than one spot, move by the affine motion of what it shows of their part; parts that it does not
    show at all do not move.
    """
    flow = np.zeros((2, *start.part.shape), np.float32)
    if not len(start.places) or len(end.places) < NEIGHBOURS:
        return flow
    distance, index = end.tree.query(start.places, k=NEIGHBOURS)
    part = start.part[tuple(start.pixels.T)]
    known = distance[:, 0] <= REACH * np.maximum(end.spacing[part], 1e-9)
    target, blur = _between(start.places[known], end, distance[known], index[known])
    moved = np.zeros((len(part), 2))
    moved[known] = target - start.pixels[known]
    known[known] = blur <= BLUR
    moved[~known] = _with_its_part(start.pixels, part, known, moved)[~known]
    y, x = start.pixels.T
    flow[0, y, x], flow[1, y, x] = moved[:, 1], moved[:, 0]
    return flow


def _between(
    places: Floats, end: Surface, distance: Floats, index: NDArray[np.intp]
) -> tuple[Floats, Floats]:
    """Where `places` `[p, 1 + d]` lie among their neighbours: row and column `[p, 2]`.

    And how far, in pixels, the neighbours lie from that plane `[p]`.
    """
    away = end.places[index] - places[:, None]
    # Another part's pixels, taken where the part has too few, have no say.
    own = np.abs(away[..., 0]) < _APART / 2
    unit = np.maximum(distance[:, 1:2], 1e-9)
    weight = own / (0.1 + (distance / unit) ** 2)
    offset = away[..., 1:] / unit[..., None]
    basis = np.concatenate([np.ones_like(weight)[..., None], offset], -1)
    # A little ridge on the slopes: neighbours on one line say nothing across it.
    ridge = np.diag([0.0, *[0.05] * offset.shape[-1]])
    weighted = basis * weight[..., None]
    normal = np.einsum("pki,pkj->pij", weighted, basis) + ridge
    right = np.einsum("pki,pkj->pij", weighted, end.pixels[index].astype(float))
    plane = np.linalg.solve(normal, right)
    apart = end.pixels[index] - basis @ plane
    blur = np.sqrt((weight * (apart**2).sum(-1)).sum(1) / weight.sum(1))
    return plane[:, 0], blur


def _with_its_part(
    pixels: NDArray[np.intp], part: NDArray[np.uint8], known: NDArray[np.bool_], moved: Floats
) -> Floats:
    """How pixels `[p, 2]` move by the affine motion of their part, fitted to its `known` ones."""
    found = np.zeros((len(part), 2))
    for number in np.unique(part[~known]):
        own = part == number
        if not (own & known).any():
            continue
        middle = pixels[own & known].mean(0)
        basis = np.concatenate([pixels - middle, np.ones((len(pixels), 1))], 1)
        sure = basis[own & known]
        # A few pixels, or pixels on one line, say where a part moves and not how it turns.
        normal = sure.T @ sure + np.diag([NEIGHBOURS / 2, NEIGHBOURS / 2, 0.0])
        found[own] = basis[own] @ np.linalg.solve(normal, sure.T @ moved[own & known])
    return found


def raw_surface(picture: Picture, size: int) -> Surface | str:
    """The coordinates in the central square of a raw IUV picture, whatever the order of channels.

    A channel holds the part's number, 0 to 24, and the other two U and V as bytes, 0 off the body.

    Args:
        picture: `[h, w, 3]`.
        size: pixels of a side at most; a smaller picture is not enlarged, which would show each
            place in several pixels.

    Returns: the surface, or why the picture is none. A black picture shows nobody.
    """
    picture = square(picture, min(size, *picture.shape[:2]), nearest=True)
    for channel in range(3):
        part, others = picture[..., channel], np.delete(picture, channel, 2)
        if part.max() > PARTS or others[part == 0].any():
            continue
        numbers = len(np.unique(part[part > 0]))
        if not numbers:
            return Surface(part, np.zeros((*part.shape, 2), np.float32), channel)
        shades = len(np.unique(picture.astype(np.int64) @ [1, 1 << 8, 1 << 16])) - 1
        if shades >= _SHADES * numbers:
            return Surface(part, np.asarray(others / 255, np.float32), channel)
    return (
        "the pose pictures hold no U and V: no channel holds part numbers 0 to 24 on black beside "
        "two that vary within a part, so they are renderings, or were compressed with loss"
    )


def coordinate_image(iuv: Picture, channel: int) -> Picture:
    """U, and V as cosine and sine of half a turn, `[h, w, 3]` bytes, of a raw IUV picture.

    Half a turn, since DensePose's V does not come round. 0 off the body. The other two channels
    are U and V in the order of the first three letters, or, where parts come last, in BGR's.
    """
    u, v = np.moveaxis(np.delete(iuv, channel, 2), 2, 0)[:: -1 if channel == 2 else 1]
    angle = v * (np.pi / 255)
    planes = np.stack([u / 255, 0.5 + 0.5 * np.cos(angle), 0.5 + 0.5 * np.sin(angle)], -1)
    on = iuv[..., channel, None] > 0
    return np.asarray(np.rint(255 * planes * on), np.uint8)
