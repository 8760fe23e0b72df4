"""The scores of a record as tables name them: direction, unit, and what the paper has beside it."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

PICTURES = "Pictures"
VIDEOS = "Videos"
PERSON = "Person and logo"


@dataclass(frozen=True)
class Measure:
    """One score. better: `lower`, `higher` or `zero`; published: what the paper calls its kin.

    What is published was computed by other networks, in other ways and on other videos: ranks and
    signs compare, values do not.
    """

    key: str
    name: str
    section: str
    better: str = "lower"
    unit: str = ""
    published: tuple[str, ...] = ()

    @property
    def distance(self) -> bool:
        """Whether it is a distance of sets, without a value of each clip's own."""
        return self.key.startswith("fd_")

    @property
    def bounds(self) -> tuple[float, float]:
        """What values there can be: an interval goes no further."""
        if self.better == "lower":
            return 0.0, math.inf
        return -math.inf, 1.0 if self.better == "higher" and self.unit != "dB" else math.inf

    def badness(self, values: Array) -> Array:
        """The same on a scale where twice as much is twice as bad, from 0 at the best.

        Likenesses become what is missing to 1, decibels the root mean square error. Warp errors of
        real clips are above 0, too, by what sampling at pixels costs.
        """
        if self.key == "psnr":
            return np.asarray(10 ** (-values / 20), np.float64)
        if self.better == "higher":
            return 1 - values
        return np.abs(values) if self.better == "zero" else values


_ALL = (
    Measure("fd_embedded_frame", "FD-embedded, frames", PICTURES, published=("FID",)),
    Measure("ssim", "SSIM", PICTURES, "higher", published=("SSIM",)),
    Measure("psnr", "PSNR", PICTURES, "higher", "dB", published=("PSNR",)),
    Measure("lpips", "LPIPS", PICTURES, published=("LPIPS",)),
    Measure("embedded_perceptual", "perceptual distance, embedded", PICTURES, published=("LPIPS",)),
    Measure("l1", "L1", PICTURES, published=("L1",)),
    Measure("l1_body", "L1 on the body", PICTURES),
    Measure("fd_embedded_video", "FVD-embedded", VIDEOS, published=("FID-VID", "FVD")),
    Measure("warp_error_1", "warp error, 1 frame", VIDEOS),
    Measure("warp_error_4", "warp error, 4 frames", VIDEOS),
    Measure("flicker", "flicker", VIDEOS, "zero"),
    Measure("ghosting", "ghosting", PERSON, "zero"),
    Measure("identity_embedded", "likeness to the reference", PERSON, "higher"),
    Measure("logo_position", "logo position", PERSON, unit="pixels"),
    Measure("logo_jitter", "logo jitter", PERSON, unit="pixels"),
    Measure("logo_shape", "logo shape", PERSON),
    Measure("logo_colour", "logo colour", PERSON),
)
MEASURES = {measure.key: measure for measure in _ALL}

IMAGE = ("fd_embedded_frame", "embedded_perceptual", "ssim", "l1")
"""What the paper's FID, LPIPS, SSIM and L1 ask; PSNR says the same as L1 again."""
VIDEO = ("fd_embedded_video", "warp_error_1", "warp_error_4")
"""What FID-VID and FVD ask."""
LOGO = ("logo_position", "logo_jitter", "logo_shape")
