"""Reference of `crossframe_previous`."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from attnzoo.testing.reference._frames import attend_frames


def reference(module: Any, x: Tensor, flow: Tensor | None = None) -> Tensor:
    """Each token attends to the frame before."""
    return attend_frames(module, x, lambda i: [max(i - 1, 0)])
