"""What numbers of a few videos are worth: intervals, floors, limits and tests, over videos.

Clips of one video are not independent, so videos and never clips are what is resampled, left out
or exchanged. One subject a file; the functions that others call stand here. Those of features need
torch and are looked up when they are first asked for: reports take the others without it.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from attnzoo.metrics.statistics.detectable import detectable, small_sample_warning
from attnzoo.metrics.statistics.interval import Interval
from attnzoo.metrics.statistics.mean import mean_interval
from attnzoo.metrics.statistics.paired import Comparison, compare, holm, sign_flip_test

if TYPE_CHECKING:
    from attnzoo.metrics.statistics.extrapolation import Extrapolation, extrapolate
    from attnzoo.metrics.statistics.floor import Floor, floor_by_halves
    from attnzoo.metrics.statistics.frechet import frechet_interval

__all__ = [
    "Comparison",
    "Extrapolation",
    "Floor",
    "Interval",
    "compare",
    "detectable",
    "extrapolate",
    "floor_by_halves",
    "frechet_interval",
    "holm",
    "mean_interval",
    "sign_flip_test",
    "small_sample_warning",
]

_HOMES = {
    "Extrapolation": "extrapolation",
    "Floor": "floor",
    "extrapolate": "extrapolation",
    "floor_by_halves": "floor",
    "frechet_interval": "frechet",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
