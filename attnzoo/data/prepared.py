"""Training clips from what was computed beforehand; no picture is decoded, no network asked.

What a clip consists of lies in items that windows share: one for each frame (latents, pose), one
for each first frame (the person's tokens, the background), and for variants that follow motion one
for each pair of frames that they relate. An item's name is a hash of all that decides its numbers.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import overload

import numpy as np
import torch
from torch import Tensor

from attnzoo.data.clip import Clip, Ready
from attnzoo.data.flow_source import Following
from attnzoo.data.store import Store, Unsound, key_of
from attnzoo.data.windows import Recording, Windows, places
from attnzoo.errors import UserError

VERSION = 1
"""Grows when the same files and settings would give other numbers."""

Grid = tuple[int, int]
"""Rows and columns."""

Asked = tuple[tuple[int, ...], Grid]
"""The reference of each frame of a clip, and the grid on which flow to it is wanted."""


@dataclass(frozen=True)
class Keys:
    """What decides items beside the frames: size of a side; model: weights, arithmetic and what
    is taken of it; flow: how it is estimated, None where no variant follows it.
    """

    size: int
    model: str
    flow: str | None = None

    def frame(self, digest: str) -> str:
        """The item of one frame."""
        return key_of(VERSION, "frame", self.size, self.model, digest)

    def first(self, digests: Sequence[str]) -> str:
        """The item of a first frame; digests: its own, then of all that its background is from."""
        return key_of(VERSION, "first", self.size, self.model, list(digests))

    def nobody(self) -> str:
        """The item of the tokens that stand for no person."""
        return key_of(VERSION, "nobody", self.model)

    def pair(self, digests: Sequence[str], grids: Sequence[Grid]) -> str:
        """The item of the flow from the first of these frames to the last, on some grids."""
        wanted = [list(grid) for grid in grids]
        return key_of(VERSION, "flow", self.size, self.flow, list(digests), wanted)


@dataclass(frozen=True)
class Needs:
    """The items of one window: those of its frames, of its first one, of pairs `(k, r)` in it."""

    frames: tuple[str, ...]
    first: str
    pairs: Mapping[tuple[int, int], str]

    def __iter__(self) -> Iterator[str]:
        yield from dict.fromkeys((*self.frames, self.first, *self.pairs.values()))


class Plan:
    """Which items the windows of a data set need."""

    def __init__(
        self,
        windows: Windows,
        digests: Mapping[Recording, Sequence[str]],
        keys: Keys,
        asked: Sequence[Asked],
    ) -> None:
        """digests: of the frames of each recording; asked: by the variant."""
        self.windows, self.digests, self.keys, self.asked = windows, digests, keys, tuple(asked)
        self.pairs: dict[tuple[int, int], list[Grid]] = {}
        for reference, grid in self.asked:
            for k, r in enumerate(reference):
                if k != r and grid not in self.pairs.setdefault((k, r), []):
                    self.pairs[k, r].append(grid)

    def where(self, index: int) -> tuple[int, ...]:
        """The frames of the recording that stand in a window."""
        recording, start = self.windows.starts[index]
        return places(start, recording.count, self.windows.frames, self.windows.stride)

    def needs(self, index: int) -> Needs:
        """The items of one window."""
        recording, _ = self.windows.starts[index]
        digests, where = self.digests[recording], self.where(index)
        shown = [digests[i] for i in where]
        behind = [digests[i] for i in recording.background_from(where[0])]
        # What leads from one frame to another goes through those between them.
        pairs = {
            (k, r): self.keys.pair(shown[k : r + 1] if k < r else shown[r : k + 1][::-1], grids)
            for (k, r), grids in self.pairs.items()
        }
        return Needs(
            tuple(map(self.keys.frame, shown)),
            self.keys.first([shown[0], *behind]),
            pairs,
        )


class PreparedClips(Sequence[Clip]):
    """Clips with `Clip.ready`, read when indexed; from several threads if need be.

    Args:
        plan: which items there are.
        store: where they lie.
        remedy: what to say to who finds one missing or damaged.
    """

    def __init__(self, plan: Plan, store: Store, remedy: str) -> None:
        self.plan, self.store, self.remedy = plan, store, remedy
        self._null = self._item(plan.keys.nobody())["null"]

    def __len__(self) -> int:
        return len(self.plan.windows)

    @overload
    def __getitem__(self, index: int) -> Clip: ...
    @overload
    def __getitem__(self, index: slice) -> PreparedClips: ...
    def __getitem__(self, index: int | slice) -> Clip | PreparedClips:
        """The clip with this number, or the sequence of several.

        Raises:
            UserError: an item is missing or damaged; says which, and the remedy.
        """
        plan = self.plan
        if isinstance(index, slice):
            part = Plan(plan.windows[index], plan.digests, plan.keys, plan.asked)
            return PreparedClips(part, self.store, self.remedy)
        recording, start = plan.windows.starts[index]
        needs = plan.needs(index)
        # A clip that is played to and fro has frames twice.
        read = {key: self._item(key) for key in dict.fromkeys(needs.frames)}
        frames = [read[key] for key in needs.frames]
        first = self._item(needs.first)
        pose = torch.stack([unpacked(frame["pose"], frame["pose_shape"]) for frame in frames])
        empty = torch.empty(0)
        ready = Ready(
            latents=torch.stack([frame["latents"] for frame in frames]),
            tokens=first["tokens"],
            null=self._null,
            foreground=first.get("foreground"),
            related=self._related(needs) if plan.asked else None,
        )
        background = first.get("background")
        if background is None:
            background = unpacked(first["picture"], first["picture_shape"])
        return Clip(
            name=f"{recording.name}-{start:05d}",
            video=empty,
            pose=pose,
            foreground=empty,
            mask=empty,
            reference_pose=empty,
            background=background,
            body=empty,
            flow=None,
            followed=_unknown if plan.asked else None,
            ready=ready,
        )

    def _related(self, needs: Needs) -> _Related:
        pairs = {pair: self._item(key) for pair, key in needs.pairs.items()}
        return _Related({pair: _grids(item) for pair, item in pairs.items()})

    def _item(self, key: str) -> dict[str, Tensor]:
        try:
            return self.store.get(key)
        except Unsound as error:
            raise UserError(f"data.prepared: {error}; {self.remedy}") from error


@dataclass(frozen=True)
class _Related:
    """The flow of one clip between pairs of frames, by grid."""

    pairs: Mapping[tuple[int, int], Mapping[Grid, Tensor]]

    def __call__(self, reference: Sequence[int], h: int, w: int) -> Tensor:
        """`[f, 2, h, w]`, 0 for a frame that is its own reference."""
        still = torch.zeros(2, h, w)
        found = []
        for k, r in enumerate(reference):
            flow = still if k == r else self.pairs.get((k, r), {}).get((h, w))
            if flow is None:
                raise UserError(
                    f"data.prepared: holds no flow from frame {k} to frame {r} on a grid of "
                    f"{h}x{w}; prepare with the run's own variant and options"
                )
            found.append(flow)
        return torch.stack(found)


def windows_of(clips: Sequence[Clip]) -> Windows | None:
    """The windows of recordings that clips are cut from, None for clips of another kind."""
    inner = clips.clips if isinstance(clips, Following) else clips
    return inner if isinstance(inner, Windows) else None


def recordings_of(windows: Windows) -> list[Recording]:
    """The recordings of windows, each once."""
    return list(dict.fromkeys(recording for recording, _ in windows.starts))


def packed(image: Tensor) -> tuple[Tensor, Tensor]:
    """An image in [0, 1] `[c, H, W]` without loss as compressed bytes, and how to unpack them.

    Bytes where it is made of bytes / 255, as every picture from a file is.
    """
    values = image.numpy()
    small = np.rint(values * 255).clip(0, 255).astype(np.uint8)
    whole = np.array_equal(small.astype(np.float32) / 255, values)
    kept = small if whole else values
    content = np.frombuffer(zlib.compress(kept.tobytes(), 1), np.uint8)
    return torch.from_numpy(content.copy()), torch.tensor([int(whole), *values.shape])


def unpacked(content: Tensor, shape: Tensor) -> Tensor:
    """What `packed` was given."""
    whole, *sides = shape.tolist()
    kind = np.uint8 if whole else np.float32
    values = np.frombuffer(zlib.decompress(content.numpy().tobytes()), kind).reshape(sides)
    return torch.from_numpy(values.astype(np.float32) / 255 if whole else values.copy())


def named(flows: Mapping[Grid, Tensor]) -> dict[str, Tensor]:
    """Flows by grid as an item's tensors."""
    return {f"{h}x{w}": flow for (h, w), flow in flows.items()}


def _grids(item: Mapping[str, Tensor]) -> dict[Grid, Tensor]:
    sides = {name: name.partition("x") for name in item}
    return {(int(h), int(w)): item[name] for name, (h, _, w) in sides.items()}


def _unknown(k: int, r: int) -> Tensor:
    raise UserError(f"the flow from frame {k} to frame {r} was prepared on some grids alone")
