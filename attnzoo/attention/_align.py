"""Subspace Align: where the flow sends each patch, as integer maps (4.4.2, equations 6 and 7).

The paper moves patch (k, p) to (k, p') and says neither what two patches with one target do nor
what stands in a cell that nobody moves to. Two answers, both deterministic, see `Align`.
"""

from __future__ import annotations

from enum import Enum

import torch
from torch import Tensor


class Align(Enum):
    """What becomes of collisions and holes.

    scatter: of several patches with one target the one with the shortest displacement (in cells)
    wins, of equals the one of lowest index; a cell that nobody moves to keeps its own patch; a
    patch whose target lies outside the frame stays. Restore reads each patch's result at the cell
    it was sent to, so patches that collide read the same.
    permute: the same winners; each loser, in order of index, takes the free cell nearest to its
    target, of equals the one of lowest index. One to one, so Restore is the exact inverse.
    """

    scatter = "scatter"
    permute = "permute"


def align_maps(flow: Tensor, align: Align) -> tuple[Tensor, Tensor]:
    """The maps for `flow` `[b, f, 2, h, w]`, from each frame to its reference, in cells.

    Returns `source` and `target`, `[b, f, h w]` int64, both within the frame: the patch that lies
    in each cell once aligned, and the cell at which each patch's result is to be read.
    """
    b, f, _, h, w = flow.shape
    target, displacement = targets(flow)
    cells = h * w
    own = torch.arange(cells, device=flow.device)
    # Least displacement first, then least index: one integer, and the least of integers does not
    # depend on the order in which they are met.
    key = displacement * cells + own
    nobody = torch.iinfo(torch.int64).max
    least = torch.full_like(key, nobody).scatter_reduce_(1, target, key, "amin")
    free = least == nobody
    winner = least.remainder(cells)
    if align is Align.permute:
        target = _place_losers(target, winner, free, w)
        source = torch.empty_like(target).scatter_(1, target, own.expand_as(target))
    else:
        source = torch.where(free, own, winner)
    return source.view(b, f, cells), target.view(b, f, cells)


def targets(flow: Tensor) -> tuple[Tensor, Tensor]:
    """The nearest cell to which each patch is sent, and its squared displacement in cells.

    Both `[b f, h w]` int64. Halves are rounded up; not finite counts as 0; a patch that would
    leave the frame stays where it is.
    """
    h, w = flow.shape[-2:]
    steps = torch.where(flow.isfinite(), flow, 0).flatten(0, 1).flatten(2)
    # Beyond the frame nothing counts; the clamp keeps huge flows representable as integers.
    bound = h + w
    steps = (steps.double() + 0.5).floor().clamp(-bound, bound).long()
    dx, dy = steps.unbind(1)
    own = torch.arange(h * w, device=flow.device)
    x, y = own % w + dx, own // w + dy
    inside = (x >= 0) & (x < w) & (y >= 0) & (y < h)
    target = torch.where(inside, y * w + x, own)
    return target, torch.where(inside, dx * dx + dy * dy, 0)


def _place_losers(target: Tensor, winner: Tensor, free: Tensor, w: int) -> Tensor:
    """`target` `[n, cells]` made one to one; frames side by side, losers one after the other."""
    cells = target.shape[1]
    own = torch.arange(cells, device=target.device)
    lost = winner.gather(1, target) != own
    # The j-th loser of each frame, in order of index, as column j; `cells` where there is none.
    columns = int(lost.sum(1).max())
    losers = torch.where(lost, own, cells).sort(1).values[:, :columns]
    # One column more takes what frames that are through with their losers write.
    padded = torch.cat([target, torch.zeros_like(target[:, :1])], dim=1)
    free = torch.cat([free, torch.zeros_like(free[:, :1])], dim=1)
    y, x = own // w, own % w
    unreachable = torch.iinfo(torch.int64).max
    for column in range(columns):
        loser = losers[:, column : column + 1]
        wanted = padded.gather(1, loser)
        square = (y - wanted // w) ** 2 + (x - wanted % w) ** 2
        key = (square * cells + own).masked_fill(~free[:, :cells], unreachable)
        least = key.amin(1, keepdim=True)
        cell = torch.where(loser < cells, least.remainder(cells), cells)
        padded.scatter_(1, loser, cell)
        free.scatter_(1, cell, False)
    return padded[:, :cells]
