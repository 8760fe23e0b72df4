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
    deltas = []
    for clip in x:
        everything = list(tokens(clip.shape))

        def keys_of(query: tuple[int, int, int], all_tokens: Any = everything) -> Any:
            frames = set(frames_of(query[0])) | ({query[0]} if module.include_self else set())
            return [token for token in all_tokens if token[0] in frames]

        q, k, v = (clip @ layer.weight.T for layer in (module.to_q, module.to_k, module.to_v))
        deltas.append(attend_all(q, k, v, module.heads, keys_of) @ out.weight.T + out.bias)
    return torch.stack(deltas)
