"""The scores of a record as plots name them: true name, unit, direction, and what is published."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Better(Enum):
    """Where the better values lie."""

    lower = "lower is better"
    higher = "higher is better"
    nearer = "nearer to 0 is better"

    @property
    def arrow(self) -> str:
        """The same as one sign."""
        return {"lower": "↓", "higher": "↑", "nearer": "→0"}[self.name]


@dataclass(frozen=True)
class Measure:
    """One score. published: the paper's metrics that ask for the same thing, by their names there.

    What is published was computed by other networks on other videos, so that ranks compare and
    values do not.
    """

    key: str
    label: str
    better: Better
    unit: str = ""
    published: tuple[str, ...] = ()

    @property
    def title(self) -> str:
        """Name and direction."""
        return f"{self.label} {self.better.arrow}"

    @property
    def axis(self) -> str:
        """Name, unit and direction."""
        unit = f" [{self.unit}]" if self.unit else ""
        return f"{self.label}{unit} {self.better.arrow}"

    def badness(self, value: float) -> float:
        """A number that is smaller for what is better."""
        if self.better is Better.nearer:
            return abs(value)
        return -value if self.better is Better.higher else value


_LOW, _HIGH, _NEAR = Better.lower, Better.higher, Better.nearer

_ALL = (
    Measure("fd_embedded_frame", "FD-embedded, frames", _LOW, published=("FID",)),
    Measure("ssim", "SSIM", _HIGH, published=("SSIM",)),
    Measure("psnr", "PSNR", _HIGH, "dB", published=("PSNR",)),
    Measure("lpips", "LPIPS", _LOW, published=("LPIPS",)),
    Measure("embedded_perceptual", "embedded perceptual", _LOW, published=("LPIPS",)),
    Measure("l1", "L1", _LOW, published=("L1",)),
    Measure("l1_body", "L1 on the body", _LOW),
    Measure("fd_embedded_video", "FVD-embedded", _LOW, published=("FVD", "FID-VID")),
    Measure("warp_error_1", "warp error, 1 frame", _LOW),
    Measure("warp_error_4", "warp error, 4 frames", _LOW),
    Measure("flicker", "flicker", _NEAR),
    Measure("ghosting", "ghosting", _NEAR),
    Measure("identity_embedded", "likeness to the reference", _HIGH),
    Measure("logo_position", "logo position", _LOW, "pixels"),
    Measure("logo_jitter", "logo jitter", _LOW, "pixels"),
    Measure("logo_shape", "logo shape", _LOW),
    Measure("logo_colour", "logo colour", _LOW),
)
MEASURES = {measure.key: measure for measure in _ALL}

OVERVIEW = ("embedded_perceptual", "fd_embedded_video", "warp_error_1")
"""What stands for a picture, for a video and for its coherence where there is room for three."""

TABLE = (
    "fd_embedded_frame", "ssim", "psnr", "embedded_perceptual", "l1_body",
    "fd_embedded_video", "warp_error_1", "warp_error_4", "ghosting", "logo_jitter",
)  # fmt: skip
"""What interval plots and the size ablation show, pictures before videos."""


def measures(keys: tuple[str, ...]) -> list[Measure]:
    """The measures of some scores, in their order."""
    return [MEASURES[key] for key in keys]
