"""Reference of `stsa`."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from attnzoo.testing.reference._windows import attend_subspaces


def reference(module: Any, x: Tensor, flow: Tensor | None = None) -> Tensor:
    """Each token attends to its subspace."""
    return torch.stack([attend_subspaces(module, clip) for clip in x])
