"""Attention to whole frames, for the references of `crossframe_*`."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor

from attnzoo.testing.reference._plain import attend_all, tokens


def attend_frames(module: Any, x: Tensor, frames_of: Callable[[int], Iterable[int]]) -> Tensor:
    """Each token attends to all tokens of the frames that `frames_of` names for its own frame.

    With the module's `include_self` that frame itself is one of them; each frame counts once.
    """
    out = module.to_out[0]
    h, w = x.shape[2:4]

    def seen(i: int) -> tuple[int, ...]:
        return tuple(sorted(set(frames_of(i)) | ({i} if module.include_self else set())))

    deltas = []
    for clip in x:
        q, k, v = (clip @ layer.weight.T for layer in (module.to_q, module.to_k, module.to_v))
        attended = attend_all(
            q, k, v, module.heads,
            lambda query: seen(query[0]),
            lambda query: [(i, *place[1:]) for i in seen(query[0]) for place in tokens((1, h, w))],
        )  # fmt: skip
        deltas.append(attended @ out.weight.T + out.bias)
    return torch.stack(deltas)
