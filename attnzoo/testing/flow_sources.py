"""How far the flow of each source is from the exact one, on the embedded dancers.

Measured is the end-point error, the distance in pixels between where a flow leads and where the
exact one does, over the body's pixels that both frames show; and off the body, where only a camera
moves anything, over all pixels.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from attnzoo.data.clip import Between, Clip, Looks
from attnzoo.data.embedded import Camera, open_embedded
from attnzoo.data.flow_settings import Estimation, FlowSource, Method, Span
from attnzoo.data.flow_source import Follow, estimator, flow_between
from attnzoo.data.look import Estimator, Look
from attnzoo.metrics.statistics.mean import mean_interval

SPANS = (1, 2, 4, 8)
"""Frames from one frame to the other."""

SPEEDS = (1.0, 2.0, 4.0)
"""Pixels a frame that part slow from fast."""

BINS = ("below 1", "1 to 2", "2 to 4", "4 and more")
"""What lies between them, as columns of the table."""

NOTHING = "nothing moves"


@dataclass(frozen=True)
class Way:
    """A source with its settings, and what it is called."""

    name: str
    follow: Follow

    @property
    def span(self) -> Span:
        """Direct or composed."""
        return self.follow.how.span


def ways(weights: str | None = None) -> list[Way]:
    """Every source that estimates flow, direct and composed; RAFT where it has `weights`.

    Raises:
        UserError: as `attnzoo.data.raft.Raft`.
    """
    chosen = [
        ("iuv", FlowSource.iuv, Method.dis),
        ("skeleton", FlowSource.skeleton, Method.dis),
        ("classical dis", FlowSource.classical, Method.dis),
        ("classical farneback", FlowSource.classical, Method.farneback),
    ]
    if weights is not None:
        chosen.append(("raft", FlowSource.raft, Method.dis))
    made = []
    for name, flow, method in chosen:
        given = weights if flow is FlowSource.raft else None
        # One estimator for both, so that what it found between two frames is found once.
        estimate = estimator(flow, Estimation(method=method, weights=given))
        for span in (Span.direct, Span.composed):
            how = Estimation(method=method, weights=given, span=span)
            made.append(Way(name, Follow(flow, how, estimate)))
    return made


class Remembered:
    """Looks that estimate flow between two frames once."""

    def __init__(self, looks: Looks) -> None:
        self._looks = looks
        self._found: dict[Hashable, Tensor] = {}

    def __getitem__(self, frame: int) -> Look:
        """What is known of one frame."""
        return self._looks[frame]

    def between(self, estimate: Estimator, k: int, r: int) -> Tensor:
        """Flow from frame k to frame r `[2, H, W]`."""
        key = (estimate, k, r)
        if key not in self._found:
            self._found[key] = self._looks.between(estimate, k, r)
        return self._found[key]


@dataclass
class Errors:
    """What one way errs on the pairs of frames of one clip, a span apart."""

    body: list[Tensor] = field(default_factory=list)
    speed: list[Tensor] = field(default_factory=list)
    background: list[Tensor] = field(default_factory=list)

    def add(self, found: Tensor, exact: Tensor, seen: Tensor, body: Tensor, span: int) -> None:
        """One pair: flows `[2, H, W]`, what both frames show and what is body `[H, W]`."""
        error = (found - exact).norm(dim=0)
        self.body.append(error[seen & body])
        self.speed.append(exact.norm(dim=0)[seen & body] / span)
        self.background.append(error[~body])


Key = tuple[str, str, int]
"""Source, direct or composed, span."""


def compared(
    made: Sequence[Way], *, clips: int, frames: int = 16, camera: Camera = Camera.still
) -> list[dict[str, Any]]:
    """One row for each way and span: its errors over so many test clips.

    The interval is over clips; the share within a pixel, the median and the errors by speed pool
    the clips' pixels.
    """
    source = open_embedded(clips=clips, frames=frames, camera=camera)
    found: dict[Key, list[Errors]] = defaultdict(list)
    for i in range(clips):
        for key, errors in measured(source.test[i], made).items():
            found[key].append(errors)
    return [_row(camera.name, key, errors) for key, errors in found.items()]


def measured(clip: Clip, made: Sequence[Way]) -> Mapping[Key, Errors]:
    """The errors of every way, and of no motion at all, on one clip."""
    assert clip.flow is not None and clip.looks is not None
    frames, body = len(clip.video), clip.body[:, 0] > 0.5
    flows = dict(_flows(clip.looks, frames, made))
    errors: dict[Key, Errors] = defaultdict(Errors)
    for span in (s for s in SPANS if s < frames):
        for k in range(frames - span):
            exact, seen = clip.flow(k, k + span)
            still = torch.zeros_like(exact)
            errors[NOTHING, "", span].add(still, exact, seen, body[k], span)
            for (name, how), flow in flows.items():
                # Neighbours have nothing to compose.
                if span > 1 or how == Span.composed.name:
                    key = (name, how if span > 1 else "", span)
                    errors[key].add(flow(k, k + span), exact, seen, body[k], span)
    return errors


def _flows(
    looks: Looks, frames: int, made: Sequence[Way]
) -> Iterator[tuple[tuple[str, str], Between]]:
    remembered = Remembered(looks)
    for way in made:
        yield (way.name, way.span.name), flow_between(remembered, frames, way.follow)


def _row(camera: str, key: Key, clips: Sequence[Errors]) -> dict[str, Any]:
    source, how, span = key
    body = [torch.cat(clip.body) for clip in clips]
    pooled, speed = torch.cat(body), torch.cat([torch.cat(clip.speed) for clip in clips])
    interval = mean_interval([float(errors.mean()) for errors in body if len(errors)])
    bins = np.digitize(speed.numpy(), SPEEDS)
    by_speed = {
        name: float(pooled[bins == i].mean()) if (bins == i).any() else None
        for i, name in enumerate(BINS)
    }
    return {
        "camera": camera,
        "source": source,
        "frames": span,
        "way": how,
        "error": interval.value,
        "low": interval.low,
        "high": interval.high,
        "median": float(pooled.median()),
        "within 1 pixel": float((pooled < 1).float().mean()),
        **by_speed,
        "background": float(torch.cat([e for clip in clips for e in clip.background]).mean()),
        "clips": len(clips),
        "pixels": len(pooled),
    }
