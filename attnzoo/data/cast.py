"""Who dances what in the embedded data: the parts that must not overlap, and stills from them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

import numpy as np
from numpy.typing import NDArray

from attnzoo.data.choreography import Dance
from attnzoo.data.clip import POSE_CHANNELS
from attnzoo.data.dancer import dress, pose_image, rasterise
from attnzoo.data.wardrobe import background, person

Array = NDArray[np.float32]

TRAINING, HELD_OUT = 4096, 256
"""Persons and dances with numbers below TRAINING are seen in training; the next HELD_OUT are the
validation part's, and the HELD_OUT after those the test part's."""

HELD_BACK = 8
"""A seen person and a seen dance meet in training unless their numbers differ by a multiple of
this: those meetings are kept for the test scenario of seen person and seen pose."""


class Part(Enum):
    """Which part of the embedded data a clip belongs to."""

    train = "train"
    validation = "validation"
    test = "test"


@dataclass(frozen=True)
class Casting:
    """One person in one dance; numbers, also seeds of their looks and movements."""

    person: int
    dance: int

    @property
    def place(self) -> int:
        """The background's seed: one place for each meeting of person and dance."""
        return self.person * 65536 + self.dance


def training_casting(rng: np.random.Generator, persons: int = TRAINING) -> Casting:
    """Draws a pair from the training part."""
    while True:
        who, what = (int(n) for n in rng.integers(0, persons, 2))
        if (who - what) % HELD_BACK:
            return Casting(who, what)


class Known(Enum):
    """What the pose images of a batch of stills tell, as data sets differ in it."""

    surface = "part colours and surface coordinates"
    picture = "part colours; the whole of another frame is the foreground, without a mask"
    nothing = "nothing; the whole of the very frame is the foreground, without a mask"


def stills(
    rng: np.random.Generator, people: int, each: int, size: int, known: Known = Known.surface
) -> dict[str, Array]:
    """Single pictures for training the image-level base: `people` persons, `each` frames of each.

    Returns arrays with first axis people * each: image `[3, H, W]`, pose and reference_pose
    `[6, H, W]`, foreground `[3, H, W]`, mask `[1, H, W]`, background `[3, H, W]`, body
    `[1, H, W]`, the share of each pixel that the person covers, and surface and reference_surface
    `[6, H, W]`, pose images that tell which pixels of image and foreground belong together: those
    with the same surface coordinates. Where nothing is known they are the place in the picture.
    """
    rows: dict[str, list[Array]] = {}
    for _ in range(people):
        cast = training_casting(rng)
        times = np.concatenate([[0], rng.uniform(0, 16, each)]).astype(np.float32)
        figure = rasterise(Dance(cast.dance, speed=float(rng.uniform(0.7, 1.5))), times, size)
        place = background(cast.place, size, size)
        video = dress(figure, person(cast.person), place).transpose(0, 3, 1, 2)
        pose = pose_image(figure)
        mask = (figure.part[:1] >= 0).astype(np.float32)
        for k in range(1, each + 1):
            row = {
                "image": video[k],
                "pose": pose[k],
                "body": figure.cover[k : k + 1],
                "foreground": video[0] * mask,
                "mask": mask,
                "reference_pose": pose[0],
                "background": place.transpose(2, 0, 1),
                "surface": pose[k],
                "reference_surface": pose[0],
            }
            if known is not Known.surface:
                row |= _without_surface(row, video[0], known)
            for name, value in row.items():
                rows.setdefault(name, []).append(value)
    return {name: np.stack(values) for name, values in rows.items()}


def _without_surface(row: dict[str, Array], first: Array, known: Known) -> dict[str, Array]:
    """What changes in a still's row where less is known of the pose."""
    changed = {"foreground": first, "mask": np.ones_like(row["mask"])}
    kept = 3 if known is Known.picture else 0
    for name in ("pose", "reference_pose"):
        changed[name] = row[name].copy()
        changed[name][kept:] = 0
    if known is Known.nothing:
        changed["foreground"] = row["image"]
        changed["surface"] = changed["reference_surface"] = _places(*first.shape[1:])
    return changed


def _places(height: int, width: int) -> Array:
    """A pose image whose "surface coordinates" are the place in the picture."""
    image = np.ones((POSE_CHANNELS, height, width), np.float32)
    image[0], image[1] = np.meshgrid(np.linspace(0, 1, width), np.linspace(0, 1, height))
    return image
