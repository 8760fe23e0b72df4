"""Scores of what holds from frame to frame, of clips whose body, reference and sign are known."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Protocol

from torch import Tensor

from attnzoo.metrics.features import FeatureNetwork
from attnzoo.metrics.ghosting import ghosting
from attnzoo.metrics.identity import identity
from attnzoo.metrics.logo import track


class KnownClip(Protocol):
    """What these scores ask of a clip; `attnzoo.data.clip.Clip` is one."""

    @property
    def body(self) -> Tensor:
        """`[f, 1, H, W]`, 1 where the person is; zeros where unknown."""

    @property
    def foreground(self) -> Tensor:
        """The reference picture `[3, H, W]`."""

    @property
    def mask(self) -> Tensor:
        """Where the person is in it, `[1, H, W]`."""

    @property
    def logo(self) -> Tensor | None:
        """`[f, 1, H, W]`, 1 where a sign on the clothes is seen; None where none is known."""


def ghosts(real: Tensor, fake: Tensor, clips: Sequence[KnownClip]) -> list[float]:
    """Ghosting of each clip of `[n, f, 3, H, W]`; NaN where no body is known."""
    triples = zip(real.cpu(), fake.cpu(), clips, strict=True)
    return [ghosting(a, b, clip.body.cpu()) for a, b, clip in triples]


def likenesses(network: FeatureNetwork, videos: Tensor, clips: Sequence[KnownClip]) -> list[float]:
    """Likeness of each clip's person to its reference picture.

    NaN where no body is known, or the reference picture does not show its person alone: it shows
    nobody, or nobody has cut the person out, so that the mask is everywhere 1 and the body is not.
    """
    found = []
    for video, clip in zip(videos.cpu(), clips, strict=True):
        if not _alone(clip.body > 0.5, clip.mask > 0.5):
            found.append(math.nan)
            continue
        body, mask = clip.body.cpu(), clip.mask.cpu()
        rows = identity(network, video, body, clip.foreground.cpu(), mask)
        found.append(float(rows.nanmean()))
    return found


def _alone(body: Tensor, mask: Tensor) -> bool:
    """Whether the mask cuts out a person whose body is known."""
    uncut = bool(mask.all()) and not body.all()
    return bool(body.any() and mask.any()) and not uncut


def signs(real: Tensor, fake: Tensor, clips: Sequence[KnownClip]) -> dict[str, list[float]]:
    """Place, trembling, shape and colour of each clip's sign; NaN where none is known or seen."""
    names = ("logo_position", "logo_jitter", "logo_shape", "logo_colour")
    rows = []
    for a, b, clip in zip(real.cpu(), fake.cpu(), clips, strict=True):
        if clip.logo is None:
            rows.append((math.nan,) * len(names))
            continue
        one = track(a, b, clip.logo.cpu())
        rows.append((one.position_error, one.jitter, one.shape_error, one.colour_error))
    return {name: [row[i] for row in rows] for i, name in enumerate(names)}
