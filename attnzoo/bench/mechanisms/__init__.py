"""`suite=mechanisms`: how near each mechanism is to what its own projections cost, and to peers.

The limit of a module is the time of its projection products alone, on the same input and in the
same rounds; `floors` has what else cannot be left out. Each candidate has agreed with the plain
reference or with the mechanism before it is timed.
"""

from attnzoo.bench.mechanisms.suite import run

__all__ = ["run"]
