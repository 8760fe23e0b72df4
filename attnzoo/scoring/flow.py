"""Flow between frames of a real video, for metrics that follow its motion."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor

from attnzoo.data.flow import visible


class EstimatedFlow:
    """The `PairFlow` of a video, by dense inverse search between the two frames themselves."""

    def __init__(self, video: Tensor) -> None:
        """`video` `[f, 3, H, W]` uint8."""
        self._video = video

    def __call__(self, k: int, r: int) -> tuple[Tensor, Tensor]:
        """Flow `[2, H, W]` in pixels from frame k to frame r, and what is seen in both."""
        there, back = self._between(k, r), self._between(r, k)
        return there, visible(there, back)

    def _between(self, k: int, r: int) -> Tensor:
        search: Any = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
        flow = np.asarray(search.calc(self._grey(k), self._grey(r), None), np.float32)
        return torch.from_numpy(flow).permute(2, 0, 1).contiguous()

    def _grey(self, k: int) -> Any:
        picture = np.ascontiguousarray(self._video[k].permute(1, 2, 0).cpu().numpy())
        return cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)
