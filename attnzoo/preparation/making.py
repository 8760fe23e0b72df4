"""Makes the items of a few windows at a time with the model's frozen parts."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any

import torch
from torch import Tensor

from attnzoo.data.clip import Between
from attnzoo.data.flow import WindowFlow
from attnzoo.data.flow_source import Following, flow_between
from attnzoo.data.prepared import Needs, Plan, named, packed
from attnzoo.data.store import Store
from attnzoo.data.windows import Recording, WindowLooks, image_of, mask_of, pose_of
from attnzoo.models.controlnets import takes_latents
from attnzoo.models.dance import DanceModel
from attnzoo.motion import Motion, downsample

TOGETHER = 4
"""Frames that are handed to the codec at once."""


class Maker:
    """Computes items and puts them into the store.

    Args:
        model: the base, whose codec and image encoder are asked; no variant needs to be in it.
        plan: which items windows need.
        clips: the training clips that the plan is of; they tell which flow is followed.
        store: where items go.
        device: where the model is.
        half: arithmetic of autocast, None for float32.
        foreground: whether the foreground's latents are wanted.
        workers: threads that decode.
    """

    def __init__(
        self,
        model: DanceModel,
        plan: Plan,
        clips: Sequence[object],
        store: Store,
        *,
        device: torch.device,
        half: torch.dtype | None = None,
        foreground: bool = False,
        workers: int = 0,
    ) -> None:
        self.model = model.eval()
        self.codec: Any = model.codec
        self.plan, self.store, self.device, self.half = plan, store, device, half
        self.follow = clips.follow if isinstance(clips, Following) else None
        self.foreground, self.workers = foreground, workers

    def make(self, recording: Recording, windows: Sequence[int], missing: Iterable[str]) -> None:
        """The `missing` items of these windows of one recording.

        Raises:
            UserError: a frame is damaged or incomplete; names it.
        """
        absent = set(missing)
        with ExitStack() as stack:
            stack.enter_context(torch.no_grad())
            stack.enter_context(
                torch.autocast(self.device.type, self.half, enabled=self.half is not None)
            )
            needs = {index: self.plan.needs(index) for index in windows}
            self._frames(recording, needs, absent)
            for index, need in needs.items():
                where = self.plan.where(index)
                if need.first in absent:
                    absent.discard(need.first)
                    self._first(recording, where[0], need.first)
                pairs = {pair: key for pair, key in need.pairs.items() if key in absent}
                if pairs:
                    absent -= set(pairs.values())
                    self._pairs(recording, where, pairs)

    def nobody(self, recording: Recording, index: int) -> None:
        """The tokens that stand for no person, once if all are alike."""
        with (
            torch.no_grad(),
            torch.autocast(self.device.type, self.half, enabled=self.half is not None),
        ):
            null = self.model.null_tokens(self._tokens(recording, index))[0]
        alike = torch.equal(null, null[:1].expand_as(null))
        self.store.put(self.plan.keys.nobody(), {"null": null[:1] if alike else null})

    def _frames(self, recording: Recording, needs: dict[int, Needs], absent: set[str]) -> None:
        wanted: dict[str, int] = {}
        for index, need in needs.items():
            pairs = zip(need.frames, self.plan.where(index), strict=True)
            wanted |= {key: place for key, place in pairs if key in absent}
        places = sorted(set(wanted.values()))
        if self.workers and len(places) > 1:
            with ThreadPoolExecutor(self.workers, thread_name_prefix="frames") as pool:
                list(pool.map(recording.frame, places))
        items = sorted(wanted.items(), key=lambda pair: pair[1])
        for at in range(0, len(items), TOGETHER):
            part = items[at : at + TOGETHER]
            frames = [recording.frame(place) for _, place in part]
            pictures = torch.stack([image_of(frame.picture) for frame in frames])
            latents: Tensor = self.codec.encode(pictures.to(self.device))
            for (key, _), frame, latent in zip(part, frames, latents, strict=True):
                pose, shape = packed(pose_of(frame))
                self.store.put(key, {"latents": latent, "pose": pose, "pose_shape": shape})

    def _first(self, recording: Recording, index: int, key: str) -> None:
        frame = recording.frame(index)
        item = {"tokens": self._tokens(recording, index)[0]}
        background = image_of(recording.background(index))
        if takes_latents(self.model.background_controlnet):
            item["background"] = self.codec.encode(background[None].to(self.device))[0]
        else:
            item["picture"], item["picture_shape"] = packed(background)
        if self.foreground:
            shown = image_of(frame.picture) * mask_of(frame)
            item["foreground"] = self.codec.encode(shown[None].to(self.device))[0]
        self.store.put(key, item)

    def _tokens(self, recording: Recording, index: int) -> Tensor:
        """`[1, n, d]`."""
        frame = recording.frame(index)
        mask = mask_of(frame)
        shown = (image_of(frame.picture) * mask, mask, pose_of(frame))
        tokens: Tensor = self.model.image_encoder(*(t[None].to(self.device) for t in shown))
        return tokens

    def _pairs(
        self, recording: Recording, where: Sequence[int], pairs: dict[tuple[int, int], str]
    ) -> None:
        between = self._between(recording, where)
        motion = Motion(
            lambda k, r: between(k, r)[None].to(self.device), batch=1, frames=len(where)
        )
        for (k, r), key in pairs.items():
            flow = motion.pair(k, r)
            grids = self.plan.pairs[k, r]
            self.store.put(key, named({grid: downsample(flow, *grid)[0] for grid in grids}))

    def _between(self, recording: Recording, where: Sequence[int]) -> Between:
        """The flow that is followed in a window, as its clip would have it."""
        if self.follow is not None:
            return flow_between(WindowLooks(recording, where), len(where), self.follow)
        own = WindowFlow(recording.flow, where)
        return lambda k, r: own(k, r)[0]
