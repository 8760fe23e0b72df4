"""Reference of `crossframe_middle`."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from attnzoo.testing.reference._frames import attend_frames


def reference(module: Any, x: Tensor, flow: Tensor | None = None) -> Tensor:
    """Each token attends to the clip's middle frame, or to that of the frames so far."""
    middle = (x.shape[1] - 1) // 2
    preceding = module.reference.name == "preceding"
    return attend_frames(module, x, lambda i: [i // 2 if preceding else middle])
