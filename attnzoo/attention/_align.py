"""Subspace Align: where the flow sends each patch, as integer maps (4.4.2, equations 6 and 7).

The paper moves patch (k, p) to (k, p') and says neither what two patches with one target do nor
what stands in a cell that nobody moves to. Three answers, all deterministic, see `Align`.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

UNIT = 256
"""Parts of a cell in which `cycles` reckons: sums of integers do not depend on their order."""

_FAR = 4 * UNIT**2
"""Squared distance, two cells, beyond which places have no more to do with each other."""

_WARY = 2
"""How often a chain's gain must cover the cost of closing it, which is only estimated."""


class Align(Enum):
    """What becomes of collisions and holes.

    scatter: of several patches with one target the one with the shortest displacement (in cells)
    wins, of equals the one of lowest index; a cell that nobody moves to keeps its own patch; a
    patch whose target lies outside the frame stays. Restore reads each patch's result at the cell
    it was sent to, so patches that collide read the same.
    permute: the same winners; each loser, in order of index, takes the free cell nearest to its
    target, of equals the one of lowest index. One to one, so Restore is the exact inverse.
    cycles: one to one as well, and wary. Of several patches with one target the longest
    displacement wins, of equals the lowest index; a patch that would leave the frame has no place.
    Winners form cycles, which move, and chains from a cell that nobody moves to, to a patch
    without place. If that one would leave the frame, which is what a moving camera does, the whole
    chain stays where it is. Else the last patch may take the chain's first cell, and the chain
    moves, if that pays. Let V(d) = min(|d|^2, 4) in cells stand for how much two places d apart
    differ. A patch with flow F that moves by m gains V(F) - V(F - m); the last one, whose target
    lies d from the cell it gets, V(F) - 2 V(d). The sum must not be negative.
    """

    scatter = "scatter"
    permute = "permute"
    cycles = "cycles"


def align_maps(flow: Tensor, align: Align) -> tuple[Tensor, Tensor]:
    """The maps for `flow` `[b, f, 2, h, w]`, from each frame to its reference, in cells.

    Returns `source` and `target`, `[b, f, h w]` int64, both within the frame: the patch that lies
    in each cell once aligned, and the cell at which each patch's result is to be read.
    """
    b, f, _, h, w = flow.shape
    aims = Aims.of(flow)
    own = torch.arange(h * w, device=flow.device)
    if align is Align.cycles:
        target = _in_cycles(aims)
    else:
        target, displacement = aims.within()
        winner, free = _winners(target, displacement)
        if align is Align.scatter:
            source = torch.where(free, own, winner)
            return source.view(b, f, -1), target.view(b, f, -1)
        target = _place_losers(target, winner, free, w)
    source = torch.empty_like(target).scatter_(1, target, own.expand_as(target))
    return source.view(b, f, -1), target.view(b, f, -1)


@dataclass(frozen=True)
class Aims:
    """What the flow asks of each patch; all `[b f, h w]` and integer.

    `x`, `y`: the nearest cell to its target, halves rounded up, maybe outside the frame; `dx`,
    `dy`: the way there in cells; `inside`: whether it lies in the frame; `fx`, `fy`: the flow
    itself, in `UNIT`s. Not finite counts as 0.
    """

    x: Tensor
    y: Tensor
    dx: Tensor
    dy: Tensor
    inside: Tensor
    fx: Tensor
    fy: Tensor
    width: int

    @classmethod
    def of(cls, flow: Tensor) -> Aims:
        """The aims of `[b, f, 2, h, w]`, in cells."""
        h, w = flow.shape[-2:]
        # Beyond the frame nothing counts; the clamp keeps huge flows representable as integers.
        bound = h + w
        cells = flow.double().flatten(0, 1).flatten(2)
        cells = torch.nan_to_num(cells, nan=0.0, posinf=0.0, neginf=0.0).clamp(-bound, bound)
        dx, dy = (cells + 0.5).floor().long().unbind(1)
        fx, fy = (cells * UNIT + 0.5).floor().long().unbind(1)
        own = torch.arange(h * w, device=flow.device)
        x, y = own % w + dx, own // w + dy
        inside = (x >= 0) & (x < w) & (y >= 0) & (y < h)
        return cls(x, y, dx, dy, inside, fx, fy, w)

    def within(self) -> tuple[Tensor, Tensor]:
        """Target cell and squared displacement; a patch that would leave the frame stays."""
        own = torch.arange(self.x.shape[1], device=self.x.device)
        target = torch.where(self.inside, self.y * self.width + self.x, own)
        return target, torch.where(self.inside, self.dx**2 + self.dy**2, 0)


def _winners(target: Tensor, rank: Tensor) -> tuple[Tensor, Tensor]:
    """Of the patches with one target that of least rank, then least index; and free cells.

    `rank` is negative for a patch that does not compete. Both `[n, cells]`; the winner of a free
    cell has no meaning.
    """
    cells = target.shape[1]
    # One integer, and the least of integers does not depend on the order in which they are met.
    nobody = torch.iinfo(torch.int64).max
    key = rank * cells + torch.arange(cells, device=target.device)
    key = key.masked_fill(rank < 0, nobody)
    least = torch.full_like(key, nobody).scatter_reduce_(1, target, key, "amin")
    return least.remainder(cells), least == nobody


def _place_losers(target: Tensor, winner: Tensor, free: Tensor, w: int) -> Tensor:
    """`target` `[n, cells]` made one to one: losers of a frame one after the other."""
    own = torch.arange(target.shape[1], device=target.device)
    lost = (winner.gather(1, target) != own).cpu().numpy()
    # One at a time and few: on a graphics card each would be a handful of launches.
    placed, empty = target.cpu().numpy().copy(), free.cpu().numpy()
    for frame, losers, holes in zip(placed, lost, empty, strict=True):
        patches = losers.nonzero()[0]
        if len(patches):
            frame[patches] = _nearest_in_turn(frame[patches], holes.nonzero()[0], w)
    return torch.from_numpy(placed).to(target.device)


def _nearest_in_turn(
    wanted: NDArray[np.int64], holes: NDArray[np.int64], w: int
) -> NDArray[np.int64]:
    """To each wanted cell in turn the nearest hole that is left; `holes` are as many, sorted."""
    taken = np.iinfo(np.int64).max
    y, x = np.divmod(holes, w)
    gone = np.zeros(len(holes), np.int64)
    given = np.empty_like(wanted)
    for turn, cell in enumerate(wanted.tolist()):
        # The first of equals is the hole of lowest index.
        square = (y - cell // w) ** 2 + (x - cell % w) ** 2
        nearest = int(np.maximum(square, gone).argmin())
        given[turn], gone[nearest] = holes[nearest], taken
    return given


def _in_cycles(aims: Aims) -> Tensor:
    """The one-to-one `target` `[n, cells]` of `Align.cycles`."""
    cells, w = aims.x.shape[1], aims.width
    own = torch.arange(cells, device=aims.x.device).expand_as(aims.x)
    target, displacement = aims.within()
    longest = 4 * cells**2  # longer than any displacement within a frame, squared
    rank = torch.where(aims.inside, longest - displacement, -1)
    winner, free = _winners(target, rank)
    moves = (winner.gather(1, target) == own) & ~free.gather(1, target) & aims.inside
    gain = _unlike(aims.fx, aims.fy)
    moved = _unlike(aims.fx - aims.dx * UNIT, aims.fy - aims.dy * UNIT)
    # All chains are followed at once, each step twice as far as the one before.
    last, gained = torch.where(moves, target, own), torch.where(moves, gain - moved, 0)
    for _ in range(cells.bit_length()):
        gained = gained + gained.gather(1, last)
        last = last.gather(1, last)
    # Ends have their chain to themselves; what is no start is written into one column more.
    ends = torch.where(free, last, cells)
    first = torch.zeros_like(ends[:, :1]).repeat(1, cells + 1).scatter_(1, ends, own)[:, :cells]
    apart = _unlike((aims.x - first % w) * UNIT, (aims.y - first // w) * UNIT)
    pays = gained.gather(1, first) + gain - _WARY * apart >= 0
    closes = ~moves & aims.inside & pays
    # What never came to an end runs in a cycle.
    goes = moves & (moves.gather(1, last) | closes.gather(1, last))
    return torch.where(goes, target, torch.where(closes, first, own))


def _unlike(dx: Tensor, dy: Tensor) -> Tensor:
    """How much two places differ that are so many `UNIT`s apart: their squared distance, capped."""
    return (dx * dx + dy * dy).clamp(max=_FAR)
