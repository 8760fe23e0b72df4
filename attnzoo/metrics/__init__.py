"""Scores of generated clips against real ones; tensors in, numbers out.

What a metric states and how it is computed stands in one file of `entries/`; `registry` knows them
all. `statistics/` says what their numbers are worth. `attnzoo.metrics.score.score` makes the scores
of a run's record. Clips are `[n, f, 3, H, W]`, floating point in [0, 1].
"""
