"""Reference of `stsa_flow`: equations 6 and 7 in a plain loop, and its rules, one by one."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from attnzoo.testing.reference._windows import attend_subspaces, group

Cell = tuple[int, int]
"""Row, column."""


def reference(module: Any, x: Tensor, flow: Tensor | None = None) -> Tensor:
    """Align, attention in subspaces, Restore."""
    assert flow is not None
    if not follows(module.aligned.name, module.shift):
        return torch.stack([attend_subspaces(module, clip) for clip in x])
    deltas = []
    for clip, clip_flow in zip(x, flow, strict=True):
        f, h, w, _ = clip.shape
        maps = [align(clip_flow[k], module.align.name) for k in range(f)]
        aligned = torch.zeros_like(clip)
        for k, (source, _) in enumerate(maps):
            for cell in cells(h, w):
                aligned[(k, *cell)] = clip[(k, *source[cell])]
        attended = attend_subspaces(module, aligned)
        restored = torch.zeros_like(clip)
        for k, (_, target) in enumerate(maps):
            for cell in cells(h, w):
                restored[(k, *cell)] = attended[(k, *target[cell])]
        deltas.append(restored)
    return torch.stack(deltas)


def follows(aligned: str, shift: bool) -> bool:
    """Whether a shifted or an unshifted module follows the motion."""
    return {"all": True, "shifted": shift, "unshifted": not shift}[aligned]


def reference_frame(k: int, frames: int, size: int, shift: bool) -> int:
    """r = floor((b + e) / 2) of the frames b..e that share frame k's group."""
    own = group(k, frames, size, shift)
    same = [i for i in range(frames) if group(i, frames, size, shift) == own]
    return (same[0] + same[-1]) // 2


def cells(h: int, w: int) -> list[Cell]:
    """All cells in the order of their index."""
    return [(y, x) for y in range(h) for x in range(w)]


def align(flow: Tensor, how: str) -> tuple[dict[Cell, Cell], dict[Cell, Cell]]:
    """For the flow `[2, h, w]` of one frame: the patch in each cell, the target of each patch."""
    h, w = flow.shape[1:]
    if how == "cycles":
        target = _in_cycles(flow)
        return {cell: patch for patch, cell in target.items()}, target
    target = {cell: _target(flow, cell) for cell in cells(h, w)}
    source: dict[Cell, Cell] = {}
    for cell in cells(h, w):
        # Distance first, then index: the order of `cells` is that of the index, and min keeps
        # the first of equals.
        comers = [patch for patch in cells(h, w) if target[patch] == cell]
        if comers:
            source[cell] = min(comers, key=lambda patch: _square(patch, target[patch]))
    if how == "scatter":
        return {cell: source.get(cell, cell) for cell in cells(h, w)}, target
    for patch in cells(h, w):
        if source[target[patch]] != patch:
            free = [cell for cell in cells(h, w) if cell not in source]
            nearest = min(free, key=lambda cell: _square(cell, target[patch]))
            source[nearest], target[patch] = patch, nearest
    return source, target


def _in_cycles(flow: Tensor) -> dict[Cell, Cell]:
    """The target of each patch where only cycles move, and chains whose closing pays."""
    h, w = flow.shape[1:]
    aim = {cell: _aim(flow, cell) for cell in cells(h, w)}
    winner: dict[Cell, Cell] = {}
    for cell in cells(h, w):
        comers = [patch for patch in cells(h, w) if aim[patch] == cell]
        if comers:
            winner[cell] = max(comers, key=lambda patch: _square(patch, aim[patch]))
    goes_to = {patch: cell for cell, patch in winner.items()}
    target = {cell: goes_to.get(cell, cell) for cell in cells(h, w)}
    for start in cells(h, w):
        if start in winner:
            continue
        chain = [start]
        while chain[-1] in goes_to:
            chain.append(goes_to[chain[-1]])
        if _pays(flow, chain, aim):
            target[chain[-1]] = start
        else:
            target.update({patch: patch for patch in chain})
    return target


def _pays(flow: Tensor, chain: list[Cell], aim: dict[Cell, Cell]) -> bool:
    """Whether what the patches of a chain gain is twice what its last one costs at the start."""
    h, w = flow.shape[1:]
    *movers, last = chain
    if aim[last] not in cells(h, w):
        return False
    gain = _unlike(*_flow(flow, last))
    for patch in movers:
        dy, dx = _flow(flow, patch)
        steps = (aim[patch][0] - patch[0], aim[patch][1] - patch[1])
        gain += _unlike(dy, dx) - _unlike(dy - steps[0], dx - steps[1])
    return gain >= 2 * _unlike(aim[last][0] - chain[0][0], aim[last][1] - chain[0][1])


def _unlike(dy: float, dx: float) -> float:
    """How much two places so far apart are taken to differ; distances in 1/256 cell are exact."""
    return min(dy**2 + dx**2, 4.0)


def _flow(flow: Tensor, cell: Cell) -> tuple[float, float]:
    """Flow of a cell as (down, right), to 1/256 cell; beyond any frame's size all is alike."""
    h, w = flow.shape[1:]
    dx, dy = (float(v) if math.isfinite(v) else 0.0 for v in flow[:, cell[0], cell[1]].tolist())
    dx, dy = (math.floor(min(max(v, -h - w), h + w) * 256 + 0.5) / 256 for v in (dx, dy))
    return dy, dx


def _aim(flow: Tensor, cell: Cell) -> Cell:
    """The cell nearest to where the flow leads, in the frame or not."""
    dx, dy = (float(v) if math.isfinite(v) else 0.0 for v in flow[:, cell[0], cell[1]].tolist())
    return math.floor(cell[0] + dy + 0.5), math.floor(cell[1] + dx + 0.5)


def _target(flow: Tensor, cell: Cell) -> Cell:
    h, w = flow.shape[1:]
    y, x = _aim(flow, cell)
    return (y, x) if 0 <= y < h and 0 <= x < w else cell


def _square(a: Cell, b: Cell) -> int:
    return (a[0] - b[0]) ** 2 + (a[1] - b[1]) ** 2
