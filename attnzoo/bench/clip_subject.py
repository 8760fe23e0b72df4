"""What a clip needs once, before any denoising step: its flow, and the index maps from flow."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from attnzoo import registry
from attnzoo.bench.cell import Cell
from attnzoo.bench.measure import timed
from attnzoo.bench.subject import Subject, random
from attnzoo.bench.unets import UNETS, levels
from attnzoo.data.flow import dense_flow
from attnzoo.motion import Motion

PIXELS_PER_LATENT = 8
DRIFT = (0.7, -0.4)
"""Cells that everything moves per frame, to the right and down, besides smooth motion."""

_WIDTH = 8
"""Channels of the modules with which index maps are timed: so few that attention is a trifle."""


def neighbour_flows(cell: Cell) -> tuple[Tensor, Tensor]:
    """Smooth flows between neighbours, forward and backward, `[b, f-1, 2, h, w]`, one cell fast."""
    b, f, h, w = cell.shape
    generator = torch.Generator().manual_seed(0)
    coarse = torch.randn(b * max(f - 1, 1), 2, 4, 4, generator=generator)
    smooth = F.interpolate(coarse, (h, w), mode="bicubic", align_corners=True)
    flow = smooth.unflatten(0, (b, -1)) + torch.tensor(DRIFT).view(2, 1, 1)
    flow = flow.to(cell.device)
    return flow, -flow


def motion_of(cell: Cell) -> Motion:
    """The motion of the cell's clips, on the grid of its height and width."""
    b, f, h, w = cell.shape
    if f == 1:
        return Motion(lambda k, r: torch.zeros(b, 2, h, w, device=cell.device), batch=b, frames=1)
    return Motion.consecutive(*neighbour_flows(cell))


class _Maps:
    """Seconds that modules of all levels take with fresh motion more than with the same again."""

    def __init__(
        self, modules: Sequence[tuple[nn.Module, Tensor]], fresh: Callable[[], Motion]
    ) -> None:
        self._modules = modules
        self._fresh = fresh

    def seconds(self) -> float:
        motion = self._fresh()
        for f in range(motion.frames or 1):  # flow that is there, as from an estimator
            for r in range(motion.frames or 1):
                motion.pair(f, r)

        def run() -> None:
            with torch.no_grad():
                for module, x in self._modules:
                    module(x, flow=motion)

        device = self._modules[0][1].device
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        first = timed(run, device)
        return max(first - timed(run, device), 0.0)


def maps_subject(cell: Cell) -> Subject:
    """Index maps of all modules at all levels of a U-Net, from the flow between any two frames.

    What is timed is the first pass over a clip minus the second, with modules of few channels.
    """
    entry = registry.get(cell.name)
    made = []
    for coarser in sorted({level.coarser for level in levels(UNETS[cell.unet], entry)}):
        h, w = cell.height // coarser, cell.width // coarser
        x = random((cell.batch, cell.frames, h, w, _WIDTH), cell)
        for fixed in entry.modules:
            module: nn.Module = registry.create(cell.name, _WIDTH, 1, **cell.options, **fixed)
            made.append((module.to(cell.device, cell.torch_dtype), x))
    return Subject(_Maps(made, lambda: motion_of(cell)))


def flow_subject(cell: Cell) -> Subject:
    """Classical flow between all neighbours of a clip, forward and backward.

    The pictures have 8 pixels a latent; a smooth texture moves over them.
    """
    side = (cell.height * PIXELS_PER_LATENT, cell.width * PIXELS_PER_LATENT)
    pictures = [_picture(side, k) for k in range(cell.frames)]

    def run() -> None:
        for _ in range(cell.batch):
            for a, b in itertools.pairwise(pictures):
                dense_flow(a, b, cell.height)
                dense_flow(b, a, cell.height)

    return Subject(run)


def _picture(side: tuple[int, int], frame: int) -> Any:
    """A grey texture, moved by `frame` drifts."""
    generator = torch.Generator().manual_seed(0)
    coarse = torch.rand(1, 1, side[0] // 8, side[1] // 8, generator=generator)
    texture = F.interpolate(coarse, side, mode="bicubic", align_corners=True)[0, 0]
    dx, dy = (round(PIXELS_PER_LATENT * d * frame) for d in DRIFT)
    moved = texture.roll((dy, dx), (0, 1)).clamp(0, 1)
    return moved.mul(255).numpy().astype(np.uint8)
