"""Reference of `temporal_conv`."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from attnzoo.testing.reference._plain import tokens


def reference(module: Any, x: Tensor, flow: Tensor | None = None) -> Tensor:
    """Each token is made of itself and its neighbours in time; SiLU; a linear layer."""
    kernel = module.conv.weight.chunk(3, dim=1)
    deltas = []
    for clip in x:
        delta = torch.zeros_like(clip)
        for i, row, column in tokens(clip.shape):
            hidden = torch.zeros_like(clip[0, 0, 0])
            for tap, frame in enumerate((i - 1, i, i + 1)):
                if 0 <= frame < clip.shape[0]:
                    hidden = hidden + kernel[tap] @ clip[frame, row, column]
            hidden = hidden / (1 + torch.exp(-hidden))
            delta[i, row, column] = module.to_out.weight @ hidden + module.to_out.bias
        deltas.append(delta)
    return torch.stack(deltas)
