"""The methods of the paper's first table: its video model, and the two that make single frames."""

from __future__ import annotations

from enum import Enum

from attnzoo.models.noise import Noise


class Method(Enum):
    """How a clip comes to be from the base.

    video: its frames together, from noise that they share; a temporal variant may join them.
    disco: each frame as an image of its own, which is the base as it is (Wang et al., 2023).
    dreampose: the same, from the five poses around the frame (Karras et al., 2023); see
    `attnzoo.models.dreampose`.
    """

    video = "video"
    disco = "disco"
    dreampose = "dreampose"

    @property
    def frame_by_frame(self) -> bool:
        """Whether frames are images that know nothing of each other."""
        return self is not Method.video

    @property
    def noise(self) -> Noise:
        """What the frames of a clip share unless something else is said."""
        return Noise.independent if self.frame_by_frame else Noise.shared
