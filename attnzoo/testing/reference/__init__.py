"""What each mechanism computes, written as plainly as can be: one query token after the other.

A file per entry with one function `reference(module, x, flow=None)`: the delta that `module`, with
its own weights, must give for `x` `[b, f, h, w, c]`. Meant for float64, where the product code
must agree to rounding. Nothing here is shared with that code but the weights: groups, flows and
frames are worked out again from the definitions.
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable

from torch import Tensor

Reference = Callable[..., Tensor]
"""`(module, x, flow=None)` to the delta; flow `[b, f, 2, h, w]`, to the reference, in cells."""


def reference_of(name: str) -> Reference | None:
    """The reference of an entry, None where there is none (a plug-in)."""
    path = f"{__name__}.{name}"
    if importlib.util.find_spec(path) is None:
        return None
    found: Reference = importlib.import_module(path).reference
    return found
