"""Flow by joints alone: what a pose skeleton tells of the motion of the body around it.

Each pixel near a limb goes where the limb takes it: turned and moved with its axis, stretched along
it, at the same distance from it. Joints know no surface: a limb that turns about its own axis
stands still here, nothing says which of two crossing limbs is in front, and how thick a limb is
comes from human proportions. Off the limbs nothing is known, and flow is 0.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from attnzoo.data.skeleton import Points

Floats = NDArray[np.float64]

TORSO = 0
"""Which limb is the torso."""

THICKNESS = np.array([0.5, 0.4, *[0.2] * 4, *[0.25] * 4])
"""Half the thickness of torso, head, four parts of arms, four of legs, by the torso's length."""

_COCO = ((5, 7), (7, 9), (6, 8), (8, 10), (11, 13), (13, 15), (12, 14), (14, 16))
"""Both ends of arms and legs, left first, by COCO's keypoints."""

_NOSE, _SHOULDERS, _HIPS = 0, [5, 6], [11, 12]


@dataclass(frozen=True)
class Limbs:
    """Torso, head, arms and legs of one frame.

    ends `[10, 2, 2]`: both ends of each, x and y in pixels of the picture, `size` a side; NaN for a
    limb that is not known.
    """

    ends: Floats
    size: int

    @property
    def reach(self) -> Floats:
        """How far from its axis each limb is taken to go `[10]`, in pixels.

        By the torso's length, or, where no torso is known, that of the longest limb.
        """
        length = np.linalg.norm(self.ends[:, 1] - self.ends[:, 0], axis=-1)
        known = np.nan_to_num(length)
        scale = known[TORSO] if np.isfinite(length[TORSO]) else known.max()
        reach: Floats = THICKNESS * scale
        return reach


def of_keypoints(points: Points | None, height: int, width: int, size: int) -> Limbs:
    """Limbs of 17 COCO keypoints in a picture of this size, in its central square at `size`.

    None is nobody; a limb with an absent end is not known.
    """
    ends = np.full((10, 2, 2), np.nan)
    if points is not None:
        there = np.where((points >= 0).all(1, keepdims=True), points, np.nan)
        side = min(height, width)
        corner = np.array([(width - side) // 2, (height - side) // 2])
        there = (there + 0.5 - corner) * (size / side) - 0.5
        neck, middle = there[_SHOULDERS].mean(0), there[_HIPS].mean(0)
        ends[:2] = [(neck, middle), (neck, there[_NOSE])]
        ends[2:] = there[np.array(_COCO)]
    return Limbs(ends, size)


def limb_flow(start: Limbs, end: Limbs) -> NDArray[np.float32]:
    """Flow `[2, size, size]` in pixels from one frame to another, at the first one's positions.

    A pixel belongs to the limb whose axis is nearest, as a share of the limb's reach, if within it.
    """
    flow = np.zeros((2, start.size, start.size), np.float32)
    shown = np.isfinite(start.ends).all((1, 2))
    known: NDArray[np.bool_] = np.asarray(shown & np.isfinite(end.ends).all((1, 2)))
    if not known.any():
        return flow
    y, x = np.mgrid[: start.size, : start.size].astype(float)
    nearest, reach = np.ones((start.size, start.size)), np.maximum(start.reach, 1e-6)
    for limb in np.flatnonzero(shown):
        aside, past, share = _coordinates(start.ends[limb], x, y)
        distance: Floats = np.hypot(past, aside) / reach[limb]
        # Round a joint both its limbs are as near; rounding must not choose between them.
        own: NDArray[np.bool_] = np.asarray(distance < nearest - 1e-9)
        nearest[own] = distance[own]
        if not known[limb]:
            flow[:, own] = 0
            continue
        axis, length = _axis(end.ends[limb])
        at = (share * length + past)[..., None] * axis + aside[..., None] * _across(axis)
        at += end.ends[limb, 0]
        flow[0, own], flow[1, own] = (at[..., 0] - x)[own], (at[..., 1] - y)[own]
    return flow


def _coordinates(ends: Floats, x: Floats, y: Floats) -> tuple[Floats, Floats, Floats]:
    """Of pixels: how far aside of the axis, how far past an end, at which share of its length."""
    axis, length = _axis(ends)
    across = _across(axis)
    dx, dy = x - ends[0, 0], y - ends[0, 1]
    along, aside = dx * axis[0] + dy * axis[1], dx * across[0] + dy * across[1]
    inner = along.clip(0, length)
    return aside, along - inner, inner / length


def _axis(ends: Floats) -> tuple[Floats, float]:
    """Unit vector and length; of a limb that is seen end on, any."""
    difference = ends[1] - ends[0]
    length = float(np.hypot(*difference))
    if length < 1e-3:
        return np.array([0.0, 1.0]), 1e-3
    return difference / length, length


def _across(axis: Floats) -> Floats:
    return np.array([-axis[1], axis[0]])
