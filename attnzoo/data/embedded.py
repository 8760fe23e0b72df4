"""The embedded data set: procedural dancers, made when asked for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from functools import cached_property
from typing import overload

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from attnzoo.data.cast import HELD_BACK, HELD_OUT, TRAINING, Casting, Part, training_casting
from attnzoo.data.choreography import Dance
from attnzoo.data.clip import Clip
from attnzoo.data.dancer import Figure, camera_path, dress, pose_image, printed, rasterise
from attnzoo.data.flow import FINE
from attnzoo.data.flow_settings import FlowSource
from attnzoo.data.frames import square
from attnzoo.data.limbs import Limbs
from attnzoo.data.look import Estimator, Look
from attnzoo.data.source import Source
from attnzoo.data.surface import Surface
from attnzoo.data.wardrobe import background, front_logo, person
from attnzoo.data.windows import check_numbers
from attnzoo.errors import UserError

Array = NDArray[np.float32]

SCENARIOS = (
    "seen person, seen pose",
    "seen person, unseen pose",
    "unseen person, seen pose",
    "unseen person, unseen pose",
)
"""Section 5.2's four, in its order."""


MOST_CLIPS = 1 << 20
"""Clips of a part; each is drawn when the data are opened, and made when it is asked for."""


class Camera(Enum):
    """Whether the camera, and with it the background, moves."""

    still = "still"
    moving = "moving"


def make_clip(
    cast: Casting, *, frames: int = 16, size: int = 64, camera: Camera = Camera.still,
    scenario: str = "",
) -> Clip:  # fmt: skip
    """Renders one clip; the foreground is the first frame's, as in DisCo."""
    times = np.arange(frames, dtype=np.float32)
    path = camera_path(cast.place, frames, size) if camera is Camera.moving else None
    figure = rasterise(Dance(cast.dance), times, size, path)
    place = _places(cast.place, figure, size)
    video = torch.from_numpy(dress(figure, person(cast.person), place)).permute(0, 3, 1, 2)
    pose = torch.from_numpy(pose_image(figure))
    body = torch.from_numpy(figure.part >= 0)[:, None].float()
    first = place if place.ndim == 3 else place[0]

    def flow(k: int, r: int) -> tuple[Tensor, Tensor]:
        motion, visible = figure.flow(k, r)
        return torch.from_numpy(motion), torch.from_numpy(visible)

    return Clip(
        name=f"person{cast.person}-dance{cast.dance}",
        video=video.contiguous(),
        pose=pose,
        foreground=video[0] * body[0],
        mask=body[0],
        reference_pose=pose[0],
        background=torch.from_numpy(np.ascontiguousarray(first.transpose(2, 0, 1))),
        body=body,
        flow=flow,
        scenario=scenario,
        logo=torch.from_numpy(printed(figure, front_logo(cast.person)))[:, None].float(),
        looks=FigureLooks(figure),
    )


@dataclass(frozen=True)
class FigureLooks:
    """What the poses of one dance show of its motion."""

    figure: Figure

    def __getitem__(self, frame: int) -> Look:
        """What is known of one frame; made once."""
        return self._made[frame]

    def between(self, estimate: Estimator, k: int, r: int) -> Tensor:
        """Flow from frame k to frame r `[2, H, W]`."""
        return estimate(self[k], self[r], self.figure.part.shape[-1])

    @cached_property
    def _made(self) -> list[Look]:
        return [_look(self.figure, frame) for frame in range(len(self.figure.part))]


def _look(figure: Figure, frame: int) -> Look:
    """Pictures as DensePose's are, by surface coordinates, fine enough for dense flow."""
    part, angle = figure.part[frame], figure.v[frame]
    on, size = part >= 0, part.shape[-1]
    round_ = np.stack([np.cos(angle), np.sin(angle)], -1)
    shown = np.concatenate([figure.u[frame][..., None], 0.5 + 0.5 * round_], -1)
    picture = (255 * shown * on[..., None]).round().astype(np.uint8)
    fine = max(size, FINE)
    coordinates = np.concatenate([figure.u[frame][..., None], round_ / (2 * np.pi)], -1)
    start = figure.start[frame].astype(np.float64)
    end = start + figure.axis[frame] * figure.length[frame][:, None]
    return Look(
        picture=square(picture, fine),
        still=square(255 * on.astype(np.uint8), fine) < 128,
        surface=Surface((part + 1).astype(np.uint8), coordinates.astype(np.float32)),
        limbs=Limbs(np.stack([start, end], 1), size),
    )


def _places(seed: int, figure: Figure, size: int) -> Array:
    """The background, of all frames `[H, W, 3]` or, where the camera moves, of each."""
    if not figure.camera.any():
        return background(seed, size, size)
    margin = int(np.ceil(np.abs(figure.camera).max())) + 1
    wide = background(seed, size + 2 * margin, size + 2 * margin)
    return np.stack([_window(wide, margin - shift, size) for shift in figure.camera])


def _window(wide: Array, corner: Array, size: int) -> Array:
    """Bilinear reading of a square window whose upper left corner is `corner` (x, y)."""
    whole = np.floor(corner).astype(int)
    a, b = corner - whole
    x, y = whole
    part = wide[y : y + size + 1, x : x + size + 1]
    upper = part[:-1, :-1] * (1 - a) + part[:-1, 1:] * a
    lower = part[1:, :-1] * (1 - a) + part[1:, 1:] * a
    window: Array = (upper * (1 - b) + lower * b).astype(np.float32)
    return window


class Castings(Sequence[Clip]):
    """Clips made when indexed, always the same for the same index."""

    def __init__(
        self, casts: Sequence[tuple[Casting, str]], frames: int, size: int, camera: Camera
    ) -> None:
        self.casts, self.frames, self.size, self.camera = casts, frames, size, camera

    def __len__(self) -> int:
        return len(self.casts)

    @overload
    def __getitem__(self, index: int) -> Clip: ...
    @overload
    def __getitem__(self, index: slice) -> Castings: ...
    def __getitem__(self, index: int | slice) -> Clip | Castings:
        """The clip with this number, or the sequence of several."""
        if isinstance(index, slice):
            return Castings(self.casts[index], self.frames, self.size, self.camera)
        cast, scenario = self.casts[index]
        return make_clip(
            cast, frames=self.frames, size=self.size, camera=self.camera, scenario=scenario
        )


def held_out(part: Part, clips: int) -> list[tuple[Casting, str]]:
    """`clips` pairs of the validation or test part, the four scenarios in turn.

    Unseen persons and dances come from the part's own range of numbers. Seen ones are those of
    training, paired as training never pairs them; even persons are the validation part's, odd
    ones the test part's, so that no clip stands in both.
    """
    rng = np.random.default_rng([0x5CE4E, list(Part).index(part)])
    own = TRAINING + (HELD_OUT if part is Part.test else 0)
    odd = int(part is Part.test)
    pairs = []
    for i in range(clips):
        seen_person, seen_pose = i % 4 < 2, i % 2 == 0
        dance = int(rng.integers(0, TRAINING) if seen_pose else own + rng.integers(0, HELD_OUT))
        if seen_person and seen_pose:
            dance = dance // HELD_BACK * HELD_BACK + odd
            who = int(rng.integers(0, TRAINING // HELD_BACK)) * HELD_BACK + odd
        elif seen_person:
            who = int(rng.integers(0, TRAINING // 2)) * 2 + odd
        else:
            who = own + int(rng.integers(0, HELD_OUT))
        pairs.append((Casting(who, dance), SCENARIOS[i % 4]))
    return pairs


def open_embedded(
    *,
    frames: int = 16,
    size: int = 64,
    camera: Camera = Camera.still,
    part: Part = Part.test,
    clips: int = 64,
    train_clips: int = 4096,
    seed: int = 0,
) -> Source:
    """The embedded data.

    Args:
        frames: frames of a clip.
        size: pixels of a side.
        camera: still, or panning slowly with the background.
        part: which held-out part `test` holds: `validation` to choose settings, `test` to report.
        clips: how many held-out clips there are.
        train_clips: how many different training clips are drawn.
        seed: which training clips are drawn.

    Raises:
        UserError: a number is too small, or `part` is the training part.
    """
    check_numbers(size, frames)
    for name, value, least in (("clips", clips, 1), ("train_clips", train_clips, 1),
                               ("seed", seed, 0)):  # fmt: skip
        if value < least:
            raise UserError(f"data.{name}={value}: must be at least {least}")
    for name, value in (("clips", clips), ("train_clips", train_clips)):
        if value > MOST_CLIPS:
            raise UserError(f"data.{name}={value}: must be at most {MOST_CLIPS}")
    if part is Part.train:
        raise UserError("data.part=train: choose validation or test, training clips are seen")
    rng = np.random.default_rng([seed, 0x7A1])
    training = [(training_casting(rng), "") for _ in range(train_clips)]
    testing = held_out(part, clips)
    split = {
        "data": "embedded",
        "camera": camera.name,
        "part": part.name,
        "train": {"persons": TRAINING, "dances": TRAINING, "clips": train_clips, "seed": seed},
        "test": [f"{scenario}: {c.person}, {c.dance}" for c, scenario in testing],
        "frames": frames,
        "size": size,
    }
    return Source(
        name="embedded",
        frames=frames,
        size=size,
        train=Castings(training, frames, size, camera),
        test=Castings(testing, frames, size, camera),
        split=split,
        flow=FlowSource.exact,
    )
