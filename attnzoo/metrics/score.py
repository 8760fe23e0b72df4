"""All scores of a set of generated clips, in the form in which a record keeps them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Protocol, TypedDict

import torch
from torch import Tensor

from attnzoo.errors import UserError
from attnzoo.metrics import registry
from attnzoo.metrics.consistency import KnownClip, ghosts, likenesses, signs
from attnzoo.metrics.features import (
    FEATURES,
    WEIGHTS,
    FeatureNetwork,
    features,
    load_features,
    perceptual_distance,
)
from attnzoo.metrics.flicker import flicker, tremor
from attnzoo.metrics.frechet import frechet_distance, gaussian
from attnzoo.metrics.l1 import l1
from attnzoo.metrics.networks.weights import sha256
from attnzoo.metrics.perceptual import lpips, lpips_missing
from attnzoo.metrics.psnr import psnr
from attnzoo.metrics.registry import Profile
from attnzoo.metrics.ssim import ssim
from attnzoo.metrics.statistics.frechet import influences
from attnzoo.metrics.warp_error import Correspondence, PairFlow, correspondence, warp_error

SPANS = (1, 4)
"""Frames between the two pictures of a warp error."""

HIGHER_IS_BETTER = frozenset({"ssim", "psnr", "identity_embedded"})
"""Of the scores; of all others lower is better (flicker, ghosting: nearer to zero)."""


class _Valued(TypedDict):
    value: float | None
    n: int
    clips: list[float | None]


class Score(_Valued, total=False):
    """One score, of plain JSON values.

    value: mean over the clips that have one, or the distance of the whole set; None if it cannot
    be had, and then `reason` says why. n: how many samples stand behind it: clips, or frames for
    `fd_embedded_frame`. clips: each clip's own value in the order of the clips, for comparisons
    pair by pair (empty for distances of sets). real: the same measure of the real clips, where
    that is not trivial. influence: of distances of sets, how much each clip moves the value: its
    derivative by the clip's weight, of sum zero (real and generated clip are one pair), from which
    standard errors and paired differences come (`attnzoo.metrics.statistics.frechet`). note: what
    to mind when reading the value. statement: all that defines it, of scores that are registered
    metrics too.
    """

    reason: str
    real: float | None
    influence: list[float]
    note: str
    statement: str


STATED = {
    "ssim": "ssim",
    "psnr": "psnr",
    "l1": "l1",
    "lpips": "lpips",
    "fd_embedded_frame": "fd_embedded",
    "fd_embedded_video": "fvd_embedded",
    "ghosting": "ghosting",
    "identity_embedded": "identity_embedded",
    "logo_position": "logo_position",
    "logo_jitter": "logo_jitter",
    "logo_shape": "logo_shape",
    "logo_colour": "logo_colour",
}
"""Scores that are metrics of the strict profile, and their names there."""


class ScoredClip(KnownClip, Protocol):
    """What scoring asks of a clip beside its pictures; `attnzoo.data.clip.Clip` is one."""

    @property
    def flow(self) -> PairFlow | None:
        """Flow and visibility between two frames, or None."""


def score(
    real: Tensor, fake: Tensor, clips: Sequence[ScoredClip], *, weights: Path = WEIGHTS
) -> dict[str, Score]:
    """Scores generated clips against real ones, both `[n, f, 3, H, W]` in [0, 1].

    `clips` gives each pair's body and flow; `weights` is the embedded feature network's file. The
    keys are always the same: ssim, psnr, l1, l1_body, lpips, embedded_perceptual,
    fd_embedded_frame, fd_embedded_video, warp_error_1, warp_error_4 (on the body),
    warp_error_1_picture, warp_error_4_picture, flicker, ghosting, identity_embedded, logo_position,
    logo_jitter, logo_shape, logo_colour.

    Raises:
        ValueError: if shapes or the number of clips differ, or a generated value is not finite.
    """
    if real.shape != fake.shape or len(clips) != len(real):
        raise ValueError(
            f"{tuple(real.shape)} real, {tuple(fake.shape)} generated and {len(clips)} clips"
        )
    if not fake.isfinite().all():
        raise ValueError("a generated clip holds values that are not finite")
    body = torch.stack([clip.body for clip in clips]).to(real.device)
    return _stated(
        {
            "ssim": _attempt(lambda: ssim(real, fake)),
            "psnr": _attempt(lambda: psnr(real, fake)),
            "l1": _attempt(lambda: l1(real, fake)),
            "l1_body": _attempt(lambda: l1(real, fake, body), missing="no clip's body is known"),
            "lpips": _lpips(real, fake),
            **_embedded(real, fake, weights),
            **_warp_errors(real, fake, clips),
            "flicker": _flicker(real, fake),
            **_consistency(real, fake, clips, weights),
        },
        len(real),
        weights,
    )


def _stated(found: dict[str, Score], videos: int, weights: Path) -> dict[str, Score]:
    """With the statements of registered metrics."""
    for name, registered in STATED.items():
        metric, n, network = registry.get(Profile.strict, registered), found[name]["n"], None
        if n and metric.extractor is not None:
            network = f"{metric.extractor.network.title}, sha256 {sha256(weights)}"
        found[name]["statement"] = metric.statement(network, videos if n else 0, n)
    return found


def _attempt(metric: Callable[[], Tensor], *, missing: str = "no clip has a value") -> Score:
    """Calls a metric of `[n]` values; what it refuses (size, frames) becomes the reason."""
    try:
        return _of_clips(metric().tolist(), missing)
    except ValueError as error:
        return _none(str(error))


def _of_clips(values: Sequence[float], missing: str) -> Score:
    """Mean over the clips with a value; NaN says that a clip has none."""
    known = [v for v in values if not math.isnan(v)]
    if not known:
        return _none(missing)
    listed = [None if math.isnan(v) else v for v in values]
    return Score(value=math.fsum(known) / len(known), n=len(known), clips=listed)


def _none(reason: str) -> Score:
    return Score(value=None, n=0, clips=[], reason=reason)


def _mean(values: Iterable[float]) -> float | None:
    known = [v for v in values if not math.isnan(v)]
    return math.fsum(known) / len(known) if known else None


def _lpips(real: Tensor, fake: Tensor) -> Score:
    reason = lpips_missing()
    return _none(reason) if reason else _attempt(lambda: lpips(real, fake))


def _embedded(real: Tensor, fake: Tensor, weights: Path) -> dict[str, Score]:
    names = ("embedded_perceptual", "fd_embedded_frame", "fd_embedded_video")
    try:
        network = load_features(weights)
    except UserError as error:
        return {name: _none(str(error)) for name in names}
    # The pictures go to the network, not it to them: it is shared by all callers.
    real, fake = real.cpu(), fake.cpu()
    return {
        names[0]: _attempt(lambda: perceptual_distance(network, real, fake)),
        **_distances(network, real, fake),
    }


def _distances(network: FeatureNetwork, real: Tensor, fake: Tensor) -> dict[str, Score]:
    real_frames, real_videos = features(network, real)
    fake_frames, fake_videos = features(network, fake)
    return {
        "fd_embedded_frame": _frechet(real_frames, fake_frames),
        "fd_embedded_video": _frechet(real_videos[:, None], fake_videos[:, None]),
    }


def _frechet(real: Tensor, fake: Tensor) -> Score:
    """The distance of features `[clips, rows of a clip, d]`, both of the same clips."""
    clips, real, fake = len(real), real.flatten(0, 1), fake.flatten(0, 1)
    n = len(real)
    try:
        value = frechet_distance(gaussian(real), gaussian(fake))
        moved = influences(real, fake)
    except ValueError as error:
        return _none(str(error))
    by_clip = (moved.real + moved.fake).unflatten(0, (clips, -1)).sum(dim=1)
    found = Score(value=value, n=n, clips=[], influence=by_clip.tolist())
    if n <= FEATURES:
        found["note"] = (
            f"{n} samples of {FEATURES} dimensions: biased upwards, compare at equal n only"
        )
    return found


def _warp_errors(real: Tensor, fake: Tensor, clips: Sequence[ScoredClip]) -> dict[str, Score]:
    found: dict[str, Score] = {}
    for span in SPANS:
        on_body, in_picture = f"warp_error_{span}", f"warp_error_{span}_picture"
        if span >= real.shape[1]:
            reason = f"clips of {real.shape[1]} frames have no two that are {span} apart"
            found[on_body] = found[in_picture] = _none(reason)
            continue
        # One clip's correspondences at a time: large ones fill memory.
        rows = [_warp_row(a, b, clip, span) for a, b, clip in zip(real, fake, clips, strict=True)]
        found[on_body] = _compared([row[:2] for row in rows], clips)
        found[in_picture] = _compared([row[2:] for row in rows], clips)
    return found


def _warp_row(
    real: Tensor, fake: Tensor, clip: ScoredClip, span: int
) -> tuple[float, float, float, float]:
    """Generated and real on the body, generated and real in the picture; NaN where none."""
    if clip.flow is None:
        return (math.nan,) * 4
    along: Correspondence = correspondence(clip.flow, real.shape[0], span)
    return (
        warp_error(fake, along, clip.body),
        warp_error(real, along, clip.body),
        warp_error(fake, along),
        warp_error(real, along),
    )


def _compared(rows: Sequence[tuple[float, float]], clips: Sequence[ScoredClip]) -> Score:
    missing = "no pixel whose motion is known counts (no body, or nothing stays visible)"
    if all(clip.flow is None for clip in clips):
        missing = "the data set knows no flow"
    found = _of_clips([row[0] for row in rows], missing)
    if found["value"] is not None:
        found["real"] = _mean(row[1] for row in rows)
    return found


def _consistency(
    real: Tensor, fake: Tensor, clips: Sequence[ScoredClip], weights: Path
) -> dict[str, Score]:
    missing = "no clip's body is known, or it leaves no pixel"
    found = {"ghosting": _of_clips(ghosts(real, fake, clips), missing)}
    missing = "no clip's body is known, or no reference picture shows its person alone"
    try:
        network = load_features(weights)
    except UserError as error:
        found["identity_embedded"] = _none(str(error))
    else:
        found["identity_embedded"] = likeness = _of_clips(likenesses(network, fake, clips), missing)
        if likeness["value"] is not None:
            likeness["real"] = _mean(likenesses(network, real, clips))
    missing = "no sign on the clothes is known, seen or found"
    return found | {
        name: _of_clips(values, missing) for name, values in signs(real, fake, clips).items()
    }


def _flicker(real: Tensor, fake: Tensor) -> Score:
    found = _attempt(lambda: flicker(real, fake))
    if found["value"] is not None:
        found["note"] = f"the real clips' own tremor: {float(tremor(real).mean()):.6f}"
    return found
