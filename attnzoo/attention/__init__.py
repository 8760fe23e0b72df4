"""Mechanisms, one file each. Files that begin with an underscore hold what they share.

What one from elsewhere is made of can be imported from here.
"""

from attnzoo.attention._backend import Backend, attention
from attnzoo.attention._mechanism import Mechanism, Query, Shape

__all__ = ["Backend", "Mechanism", "Query", "Shape", "attention"]
