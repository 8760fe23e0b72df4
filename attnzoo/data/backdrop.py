"""The one colour that lies behind the body in rendered pose pictures."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from attnzoo.data.frames import Picture

_TOLERANCE = 8
"""How far a channel of an evenly coloured background strays by compression. DensePose's part
colours begin only 13 steps away from its background."""


@dataclass(frozen=True)
class Backdrop:
    """The one colour of the background of pose pictures; None where there is no such colour."""

    colour: NDArray[np.int16] | None

    @classmethod
    def of(cls, image: Picture) -> Backdrop:
        """Read off the border of the first picture: a colour that most of it has."""
        border = np.concatenate([image[0], image[-1], image[:, 0], image[:, -1]]).astype(np.int16)
        colour = np.median(border, 0).astype(np.int16)
        share = (np.abs(border - colour).max(1) <= _TOLERANCE).mean()
        return cls(colour if share > 0.5 else None)

    def covered(self, image: Picture) -> NDArray[np.uint8] | None:
        """255 where the picture shows something else than background, 0 where it does not."""
        if self.colour is None:
            return None
        low, high = (self.colour + d for d in (-_TOLERANCE, _TOLERANCE))
        return np.asarray(cv2.bitwise_not(cv2.inRange(image, low, high)), np.uint8)
