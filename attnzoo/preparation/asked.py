"""What a variant asks of a clip's motion: to which reference frames, on which grids."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from attnzoo import registry
from attnzoo.data.clip import POSE_CHANNELS
from attnzoo.data.prepared import Asked
from attnzoo.motion import Motion
from attnzoo.planning.trace import meta_model
from attnzoo.train.settings import Experiment


def asked(experiment: Experiment, frames: int, size: int) -> list[Asked]:
    """Found by running the model once without memory; nothing for a variant without flow.

    Raises:
        UserError: the variant asks for the flow between two frames as a whole, not on a grid.
    """
    if not registry.get(experiment.variant).needs_flow:
        return []
    found: dict[Asked, None] = {}

    def related(reference: Sequence[int], h: int, w: int) -> Tensor:
        found[tuple(reference), (h, w)] = None
        return torch.zeros(1, frames, 2, h, w)

    model = meta_model(experiment, checkpointing=False).eval()
    codec: Any = model.codec
    with torch.device("meta"), torch.no_grad():
        clean = codec.encode(torch.empty(1, frames, 3, size, size))
        tokens = torch.empty(1, 1, model.image_encoder.width)
        pose = torch.empty(1, frames, POSE_CHANNELS, size, size)
        background = torch.empty(1, 3, size, size)
        time = torch.zeros(1, dtype=torch.int64)
    motion = Motion.known(related, batch=1, frames=frames)
    with torch.no_grad():
        model(clean, time, tokens, pose, background, motion)
    return list(found)
