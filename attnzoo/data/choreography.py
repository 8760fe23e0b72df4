"""Dances: joint positions over time, made from a seed."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]

PARTS = (
    "torso",
    "head",
    "left upper arm",
    "left lower arm",
    "right upper arm",
    "right lower arm",
    "left upper leg",
    "left lower leg",
    "right upper leg",
    "right lower leg",
)
RADII = np.array([0.115, 0.085, 0.046, 0.038, 0.046, 0.038, 0.056, 0.046, 0.056, 0.046], np.float32)
"""Half the thickness of each part, as a fraction of the picture's height."""

SHOULDER, HIP, NECK = 0.125, 0.06, 0.035
TORSO, HEAD, UPPER_ARM, LOWER_ARM, UPPER_LEG, LOWER_LEG = 0.24, 0.07, 0.15, 0.15, 0.19, 0.19


class Wave:
    """Sums of two slow sines, one row per degree of freedom: `value(t)` is `[rows, frames]`."""

    def __init__(self, rng: np.random.Generator, centre: Array, reach: Array) -> None:
        rows = len(centre)
        self.centre, self.reach = centre[:, None], reach[:, None]
        self.rate = rng.uniform([[0.25], [0.6]], [[0.55], [1.1]], (2, rows))[..., None]
        self.phase = rng.uniform(0, 2 * np.pi, (2, rows))[..., None]

    def value(self, t: Array) -> Array:
        """The rows `[rows, frames]` at the times `t` `[frames]`."""
        angle = self.rate * t + self.phase
        wave: Array = self.centre + self.reach * (0.7 * np.sin(angle[0]) + 0.3 * np.sin(angle[1]))
        return wave.astype(np.float32)


def _direction(swing: Array, lift: Array, yaw: Array) -> Array:
    """Unit vectors `[frames, 3]` (x right, y down, z to the viewer) of limbs that hang at 0."""
    x, y, z = np.sin(swing) * np.cos(lift), np.cos(swing) * np.cos(lift), np.sin(lift)
    return np.stack([x * np.cos(yaw) + z * np.sin(yaw), y, z * np.cos(yaw) - x * np.sin(yaw)], -1)


class Dance:
    """A dance of a seed; the same seed always gives the same movement.

    Args:
        seed: which dance.
        speed: how fast time runs; 1 moves the hands by some 2 pixels a frame at 64 pixels.
    """

    def __init__(self, seed: int, speed: float = 1.0) -> None:
        rng = np.random.default_rng([seed, 0xDA])
        self.speed = speed
        # yaw, sway, bounce, lean, then swing and lift of arms (upper, lower) and legs, left first
        centre = [rng.uniform(-0.5, 0.5), 0, 0, 0]
        reach = [rng.uniform(0.5, 1.2), 0.07, 0.02, 0.18]
        for side in (-1, 1):
            arm = rng.uniform(0.5, 1.7)
            centre += [side * arm, 0.0, side * (arm + rng.uniform(0.1, 0.9)), 0.25]
            reach += [rng.uniform(0.5, 1.2), 0.5, rng.uniform(0.7, 1.5), 0.5]
        for side in (-1, 1):
            centre += [side * 0.22, 0.05, side * 0.15, -0.15]
            reach += [0.3, 0.25, 0.25, 0.25]
        self.wave = Wave(rng, np.array(centre, np.float32), np.array(reach, np.float32))

    def segments(self, times: Array) -> tuple[Array, Array]:
        """Both ends of each part `[f, parts, 2 ends, 3]` and its turn `[f, parts]` at frame times.

        Positions are fractions of the picture's height, turns radians about the part's axis.
        """
        frames = len(times)
        values = self.wave.value(times * self.speed)
        yaw, sway, bounce, lean = values[:4]
        limbs = values[4:].reshape(8, 2, frames)
        pelvis = np.stack([0.5 + sway, 0.56 + bounce, np.zeros_like(sway)], -1)
        up = _direction(lean + np.pi, np.zeros_like(lean), yaw)
        across = np.stack([np.cos(yaw), np.zeros_like(yaw), -np.sin(yaw)], -1)
        top = pelvis + TORSO * up
        neck = top + NECK * up * 3
        ends = [(pelvis + 0.03 * up, top - 0.01 * up), (neck, neck + HEAD * up)]
        lengths = ((UPPER_ARM, LOWER_ARM), (UPPER_LEG, LOWER_LEG))
        for limb, (root, width) in enumerate(((top, SHOULDER), (pelvis, HIP))):
            for j, side in enumerate((-1, 1)):
                start = root + side * width * across
                for k in range(2):
                    swing, lift = limbs[limb * 4 + j * 2 + k]
                    end = start + lengths[limb][k] * _direction(swing, lift, yaw)
                    ends.append((start, end))
                    start = end
        segments = np.stack([np.stack(e, 1) for e in ends], 1).astype(np.float32)
        turn = np.repeat(yaw[:, None], len(PARTS), 1).astype(np.float32)
        return segments, turn
