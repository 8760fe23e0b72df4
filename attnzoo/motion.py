"""Motion between the frames of a clip, in one object that every flow-guided mechanism takes.

A flow `F^{k->r}` says for each place of frame k how far its content has moved in frame r. It is
read at frame k's own positions (equations 5 and 6 of Dance-Your-Latents); channel 0 is x to the
right, channel 1 is y down, both in pixels of the flow's own grid.

This module can be called: `with attnzoo.motion(m): pipe(...)` is `following(m)`, which is how
motion reaches the modules of a model that `attnzoo.attach` changed.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from types import ModuleType
from typing import Any, TypeVar

import torch
from torch import Tensor
from torch.nn import functional as F

from attnzoo.errors import UserError

__all__ = ["SIDES_APART", "Motion", "current", "downsample", "following", "sampled"]

SIDES_APART = 0.5
"""Motions in one cell that differ by more than this, in cells of the asked grid, are two sides."""

_PIXELS = 1 << 17
"""Pixels of flow that are downsampled at once: so many stay in a processor's cache."""

_T = TypeVar("_T")


class Motion:
    """The motion of b clips of f frames: the flow between any two frames of each clip.

    Three ways to make one: `Motion(pair)` from a function of two frame indices that gives
    `[b, 2, H, W]`, `Motion.pairs` from a tensor of all pairs, `Motion.consecutive` from the flows
    between neighbours. Flows are float32; what is not finite counts as 0 (NaN: motion unknown),
    and so does the flow of a frame to itself. What is asked for is computed once and kept.
    """

    def __init__(
        self,
        pair: Callable[[int, int], Tensor],
        *,
        batch: int | None = None,
        frames: int | None = None,
    ) -> None:
        """`pair(k, r)` gives `F^{k->r}` as `[b, 2, H, W]` in pixels, for 0 <= k, r < frames.

        Without `batch` it is read off the first flow; without `frames` any index is passed on.
        """
        self._pair = pair
        self._batch = batch
        self.frames = frames
        self._repeats: tuple[Motion, int] | None = None
        self._answers: Callable[[Sequence[int], int, int], Tensor] | None = None
        self._kept: dict[Hashable, Any] = {}

    @classmethod
    def pairs(cls, flows: Tensor) -> Motion:
        """Motion from `flows[:, k, r]`, a tensor `[b, f, f, 2, H, W]` in pixels."""
        if flows.dim() != 6 or flows.shape[1] != flows.shape[2] or flows.shape[3] != 2:
            raise ValueError(f"flows of all pairs are [b, f, f, 2, H, W], not {list(flows.shape)}")
        return cls(lambda k, r: flows[:, k, r], batch=flows.shape[0], frames=flows.shape[1])

    @classmethod
    def consecutive(cls, forward: Tensor, backward: Tensor) -> Motion:
        """Motion from neighbours: `forward[:, k]` from frame k to k+1, `backward[:, k]` back.

        Both are `[b, f-1, 2, H, W]` in pixels. Over a longer span they are composed: each further
        flow is sampled, bilinearly, where the ones before have led; beyond the border the border's
        flow goes on.
        """
        for name, flow in (("forward", forward), ("backward", backward)):
            if flow.dim() != 5 or flow.shape[2] != 2 or flow.shape != forward.shape:
                raise ValueError(
                    f"flows of neighbours are [b, f-1, 2, H, W], both alike; {name} is "
                    f"{list(flow.shape)}, forward {list(forward.shape)}"
                )
        forward, backward = _finite(forward), _finite(backward)

        def pair(k: int, r: int) -> Tensor:
            if r == k:
                return torch.zeros_like(forward[:, 0])
            onward = range(k, r) if r > k else range(k - 1, r - 1, -1)
            steps = [(forward if r > k else backward)[:, step] for step in onward]
            total = steps[0]
            for step in steps[1:]:
                total = total + sampled(step, total)
            return total

        return cls(pair, batch=forward.shape[0], frames=forward.shape[1] + 1)

    @classmethod
    def known(
        cls, related: Callable[[Sequence[int], int, int], Tensor], *, batch: int, frames: int
    ) -> Motion:
        """Motion of which only some questions to `to` can be answered, beforehand, by `related`.

        `related(reference, h, w)` gives `[b, f, 2, h, w]` in cells. Flow of a pair is not known.
        """

        def pair(k: int, r: int) -> Tensor:
            raise UserError(
                f"the flow from frame {k} to frame {r} was not prepared: only flow on the grids "
                "that the variant asked for is known here"
            )

        made = cls(pair, batch=batch, frames=frames)
        made._answers = related
        return made

    @classmethod
    def cat(cls, motions: Sequence[Motion]) -> Motion:
        """The clips of several motions, one behind the other, as one motion."""
        if not motions:
            raise ValueError("no motions to put together")
        lengths = {motion.frames for motion in motions}
        if len(lengths) > 1:
            raise ValueError(f"motions of unequal length: {sorted(map(str, lengths))} frames")
        joined = tuple(motions)
        return cls(
            lambda k, r: torch.cat([motion.pair(k, r) for motion in joined]),
            batch=sum(motion.batch for motion in joined),
            frames=joined[0].frames,
        )

    @property
    def batch(self) -> int:
        """Number of clips b."""
        if self._batch is None:
            self._batch = self.pair(0, 0).shape[0]
        return self._batch

    def pair(self, k: int, r: int) -> Tensor:
        """`F^{k->r}`, `[b, 2, H, W]` float32 in pixels of its own grid."""
        for index in (k, r):
            if index < 0 or (self.frames is not None and index >= self.frames):
                raise ValueError(f"frame {index} is not among the {self.frames} frames of a motion")
        return self.cached(("pair", k, r), lambda: self._computed(k, r))

    def _computed(self, k: int, r: int) -> Tensor:
        flow = self._pair(k, r)
        fits = flow.dim() == 4 and flow.shape[1] == 2 and 0 not in flow.shape
        if not fits or flow.shape[0] != (self._batch or flow.shape[0]):
            batch = self._batch or "b"
            raise ValueError(f"the flow of a pair is [{batch}, 2, H, W], not {list(flow.shape)}")
        return _finite(flow) if k != r else torch.zeros_like(flow, dtype=torch.float32)

    def to(self, reference: Tensor | Sequence[int], h: int, w: int) -> Tensor:
        """Flow from each frame to its reference frame, `[b, f, 2, h, w]` in cells of that grid.

        `reference[k]` is the frame to which frame k is related. The flow is downsampled in place
        and in value; see `downsample` for cells that several motions share.
        """
        frames = reference.tolist() if isinstance(reference, Tensor) else list(reference)
        if self.frames is not None and len(frames) != self.frames:
            raise ValueError(f"{len(frames)} reference frames for a motion of {self.frames} frames")
        key = ("to", tuple(frames), h, w)
        return self.tiled(key, lambda motion: (motion._related(frames, h, w),))[0]

    def _related(self, frames: Sequence[int], h: int, w: int) -> Tensor:
        if self._answers is not None:
            return self._answers(frames, h, w)
        moving = [k for k, r in enumerate(frames) if k != r]
        if not moving:
            still = torch.zeros_like(downsample(self.pair(0, 0), h, w))
            return torch.stack([still] * len(frames), dim=1)
        # A frame is not asked for its flow to itself where another tells batch and device.
        flows = [self.pair(k, frames[k]) for k in moving]
        at_once = max(1, _PIXELS // (flows[0].numel() // 2))
        parts = [torch.cat(flows[i : i + at_once]) for i in range(0, len(flows), at_once)]
        known = torch.cat([downsample(part, h, w) for part in parts])
        known = known.unflatten(0, (len(moving), -1)).transpose(0, 1)
        shape = (known.shape[0], len(frames), *known.shape[2:])
        related: Tensor = known.new_zeros(shape)
        related[:, moving] = known
        return related

    def cached(self, key: Hashable, build: Callable[[], _T]) -> _T:
        """`build()` at the first call with `key`, the same object ever after."""
        if key not in self._kept:
            # What is kept may meet a gradient later, which inference tensors could not.
            with torch.inference_mode(False), torch.no_grad():
                self._kept[key] = build()
        kept: _T = self._kept[key]
        return kept

    def tiled(
        self, key: Hashable, build: Callable[[Motion], tuple[Tensor, ...]]
    ) -> tuple[Tensor, ...]:
        """Cached tensors `[b, ...]` that depend on each clip alone.

        For a repeated motion they are built for the clips themselves, and repeated.
        """
        if self._repeats is None:
            return self.cached(key, lambda: build(self))
        source, times = self._repeats
        kept = source.tiled(key, build)
        return self.cached(key, lambda: tuple(t.repeat(times, *(1,) * (t.dim() - 1)) for t in kept))

    def repeat(self, times: int) -> Motion:
        """The same clips `times` times over, `[clip 0, clip 1, clip 0, clip 1]` (guidance).

        The same object at each call, so that what it keeps is shared from step to step.
        """
        return self.cached(("repeat", times), lambda: self._repeated(times))

    def _repeated(self, times: int) -> Motion:
        repeated = Motion(
            lambda k, r: self.pair(k, r).repeat(times, 1, 1, 1),
            batch=self.batch * times,
            frames=self.frames,
        )
        repeated._repeats = (self, times)
        return repeated

    def device_to(self, device: torch.device | str) -> Motion:
        """The same motion with its flows on `device`; the same object at each call."""
        device = torch.device(device)
        return self.cached(("device", device), lambda: self._on(device))

    def _on(self, device: torch.device) -> Motion:
        if self._repeats is not None:
            source, times = self._repeats
            return source.device_to(device).repeat(times)
        answers = self._answers
        if answers is not None:
            return Motion.known(
                lambda reference, h, w: answers(reference, h, w).to(device),
                batch=self.batch,
                frames=self.frames or 0,
            )
        pair = self._pair
        return Motion(lambda k, r: pair(k, r).to(device), batch=self._batch, frames=self.frames)


def downsample(flow: Tensor, h: int, w: int) -> Tensor:
    """Flow `[b, 2, H, W]` in pixels to `[b, 2, h, w]` in cells of the grid h x w.

    A cell is the pixels that it touches: rows floor(i*H/h) to ceil((i+1)*H/h), columns likewise.
    Its flow is their mean, scaled by (w/W, h/H), as long as their motions lie together. Where they
    do not, because body and background share the cell, its flow is the mean over the larger side
    and never a blend of both: the slowest and the fastest pixel (the one that differs most from
    the slowest) stand for the two sides, each other pixel belongs to the nearer, and of sides of
    equal size the faster one counts. They lie together as long as slowest and fastest differ by no
    more than `SIDES_APART` cells.
    """
    height, width = flow.shape[-2:]
    if (height, width) == (h, w):
        return flow
    pixels, there = _pixels(flow, h, w)
    scale = torch.tensor([w / width, h / height], device=flow.device, dtype=flow.dtype)
    scale = scale.view(1, 2, 1, 1)
    if there is None:
        mean = pixels.mean(4).mean(-1)
    else:
        mean = (pixels * there).sum((4, 5)) / there.sum((2, 3))
    # Only where the box round all motions is that large can any two of them lie apart. Two
    # reductions, each along one axis, are tenfold faster than `aminmax` and than one along both.
    box = (pixels.amax(4).amax(-1) - pixels.amin(4).amin(-1)) * scale
    mixed = box.square().sum(1) > SIDES_APART**2
    result = mean * scale
    b, y, x = mixed.nonzero(as_tuple=True)
    if b.numel():
        chosen = pixels.movedim(1, 3)[b, y, x] * scale
        known = None if there is None else there[y, x].flatten(1)
        result[b, :, y, x] = _larger_side(chosen.flatten(2), known)
    return result


def _larger_side(pixels: Tensor, there: Tensor | None) -> Tensor:
    """The flow `[m, 2]` of cells with pixels `[m, 2, n]`, of which `there` `[m, n]` are; see above.

    None: all are.
    """
    x, y = pixels.unbind(1)
    speed = x * x + y * y
    if there is not None:
        speed = speed.masked_fill(~there, torch.inf)
    slowest = speed.argmin(1, keepdim=True)
    from_slowest = (x - x.gather(1, slowest)) ** 2 + (y - y.gather(1, slowest)) ** 2
    if there is not None:
        from_slowest = from_slowest.masked_fill(~there, -1)
    distance, fastest = from_slowest.max(1, keepdim=True)
    from_fastest = (x - x.gather(1, fastest)) ** 2 + (y - y.gather(1, fastest)) ** 2
    on_fast_side = from_fastest < from_slowest
    every = torch.ones_like(on_fast_side) if there is None else there
    fast_wins = 2 * on_fast_side.sum(1, keepdim=True) >= every.sum(1, keepdim=True)
    counts = every & ((distance <= SIDES_APART**2) | (on_fast_side == fast_wins))
    return (pixels * counts.unsqueeze(1)).sum(2) / counts.sum(1, keepdim=True)


def _pixels(flow: Tensor, h: int, w: int) -> tuple[Tensor, Tensor | None]:
    """The pixels of each cell `[b, 2, h, w, p, q]`, and which of them are there `[h, w, p, q]`.

    None: all are. What is not there repeats a pixel of the cell.
    """
    height, width = flow.shape[-2:]
    if height % h == 0 and width % w == 0:
        cells = flow.unflatten(3, (w, width // w)).unflatten(2, (h, height // h))
        return cells.transpose(3, 4), None
    rows, rows_there = _bins(height, h, flow.device)
    columns, columns_there = _bins(width, w, flow.device)
    there = rows_there[:, None, :, None] & columns_there[None, :, None, :]
    return flow[..., rows[:, None, :, None], columns[None, :, None, :]], there


def _bins(fine: int, coarse: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Pixels of each of `coarse` bins, `[coarse, n]`, and which of the n are there."""
    cell = torch.arange(coarse, device=device)
    first = cell * fine // coarse
    last = ((cell + 1) * fine + coarse - 1) // coarse
    longest = int((last - first).max())
    pixel = first[:, None] + torch.arange(longest, device=device)
    there = pixel < last[:, None]
    return torch.where(there, pixel, first[:, None]), there


def _finite(flow: Tensor) -> Tensor:
    return torch.nan_to_num(flow.float(), nan=0.0, posinf=0.0, neginf=0.0)


def sampled(values: Tensor, at: Tensor) -> Tensor:
    """`values` `[b, c, H, W]` read bilinearly at their positions moved by `at` `[b, 2, H, W]`.

    Beyond the border the border's values go on.
    """
    height, width = values.shape[-2:]
    x = torch.arange(width, device=values.device) + at[:, 0]
    y = torch.arange(height, device=values.device)[:, None] + at[:, 1]
    # Pixel centres at -1 and 1; an axis of one pixel has only that to read.
    grid = torch.stack([x * (2 / max(width - 1, 1)) - 1, y * (2 / max(height - 1, 1)) - 1], -1)
    return F.grid_sample(values, grid, padding_mode="border", align_corners=True)


class _Active(threading.local):
    """The motion that is followed now; a thread-local, since TorchDynamo traces no ContextVar."""

    motion: Motion | None = None


_active = _Active()


def current() -> Motion | None:
    """The motion that this thread follows, None outside of every `following`."""
    return _active.motion


@contextmanager
def following(motion: Motion) -> Iterator[Motion]:
    """Models changed by `attnzoo.attach` follow `motion` inside; also `attnzoo.motion(motion)`.

    Concerns this thread alone; of nested ones the innermost counts. The motion's clips are those
    of the batch, or, where guidance repeats them, a whole fraction of it.

    Raises:
        UserError: `motion` is no `attnzoo.Motion`.
    """
    if not isinstance(motion, Motion):
        raise UserError(f"attnzoo.motion takes an attnzoo.Motion, not a {type(motion).__name__}")
    before, _active.motion = _active.motion, motion
    try:
        yield motion
    finally:
        _active.motion = before


class _Module(ModuleType):
    def __call__(self, motion: Motion) -> AbstractContextManager[Motion]:
        return following(motion)


sys.modules[__name__].__class__ = _Module
