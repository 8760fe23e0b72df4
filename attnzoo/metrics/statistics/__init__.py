"""What numbers of a few videos are worth: intervals, floors, limits and tests, over videos.

Clips of one video are not independent, so videos and never clips are what is resampled, left out
or exchanged. One subject a file; the functions that others call stand here.
"""

from attnzoo.metrics.statistics.frechet import frechet_interval
from attnzoo.metrics.statistics.interval import Interval
from attnzoo.metrics.statistics.mean import mean_interval

__all__ = ["Interval", "frechet_interval", "mean_interval"]
