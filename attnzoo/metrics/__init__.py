"""Scores of generated clips against real ones; tensors in, numbers out.

One file a metric; `attnzoo.metrics.score.score` calls them all. Clips are `[n, f, 3, H, W]`,
floating point in [0, 1].
"""
