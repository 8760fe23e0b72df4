"""Measuring: time in interleaved rounds, FLOPs with attention counted, peak memory.

Everything that is timed anywhere in the package is timed by `attnzoo.bench.measure`.
"""
