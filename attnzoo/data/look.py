"""What one frame shows of its motion, to whatever estimates flow from it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from attnzoo.data.frames import Picture
from attnzoo.data.limbs import Limbs
from attnzoo.data.surface import Surface


@dataclass(frozen=True)
class Look:
    """One frame, as flow sees it.

    picture `[n, n, 3]`: the pose where there is a dense one, else the frame itself; still
    `[n, n]`: where that shows nothing that moves, None where nobody knows; surface and limbs: what
    the pose tells of them, or in words why it tells nothing.
    """

    picture: Picture
    still: NDArray[np.bool_] | None
    surface: Surface | str
    limbs: Limbs | str

    @property
    def grey(self) -> NDArray[np.uint8]:
        """The picture in grey `[n, n]`."""
        return np.asarray(cv2.cvtColor(self.picture, cv2.COLOR_RGB2GRAY), np.uint8)


Estimator = Callable[[Look, Look, int], Tensor]
"""Flow from one frame to another, at the first one's positions: `[2, size, size]` in pixels of a
grid of `size`."""
