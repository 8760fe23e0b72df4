"""What the embedded feature network learns: to describe clips, and to see blur and noise.

Descriptions are made from a clip's own annotations: where which part of the body is and how it is
turned (pose image), how it moves (flow), and its colours (video on the body). Blur and noise are
the only corruptions it is taught; that it orders others as well (shuffled frames, jitter, ghosts,
flicker) is a finding and not a lesson.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from attnzoo.damage.blur import blurred
from attnzoo.data.clip import Clip
from attnzoo.metrics.features import FEATURES, FeatureNetwork

COMPONENTS = 24
"""Principal components kept of each description."""
CLASSES = 3
"""Untouched, blurred, noisy."""
GRID = 6
"""Places a side at which pose and colour are described."""
BLUR = (0.4, 2.0)
"""Least and greatest standard deviation of the blur, in pixels."""
NOISE = (0.01, 0.15)
"""Least and greatest standard deviation of the noise, in units of intensity."""


@dataclass(frozen=True)
class Pool:
    """Clips in memory: videos `[n, f, 3, H, W]` uint8; appearance and pose of frames
    `[n, f, 2 * COMPONENTS]`; the same averaged over time, and motion, of videos
    `[n, 3 * COMPONENTS]`. Descriptions have mean 0 and mean variance about 1.
    """

    videos: Tensor
    frame_targets: Tensor
    video_targets: Tensor

    def to(self, device: torch.device) -> Pool:
        """The same on `device`."""
        return Pool(*(part.to(device) for part in vars(self).values()))


def make_pool(clips: Iterable[Clip]) -> Pool:
    """Renders and describes clips, one at a time."""
    videos, poses, colours, motions = [], [], [], []
    for clip in clips:
        videos.append((clip.video * 255).round().to(torch.uint8))
        poses.append(F.adaptive_avg_pool2d(clip.pose, GRID).flatten(1))
        colours.append(F.adaptive_avg_pool2d(clip.video * clip.body, GRID).flatten(1))
        motions.append(_motion(clip))
    n, f = len(videos), len(poses[0])
    frames = torch.cat([_components(torch.cat(part)) for part in (poses, colours)], dim=1)
    frame_targets = frames.view(n, f, -1)
    means = frame_targets.mean(dim=1)
    video_targets = torch.cat([means, _components(torch.stack(motions))], dim=1)
    return Pool(torch.stack(videos), frame_targets, video_targets)


def _motion(clip: Clip) -> Tensor:
    """Mean and mean size of the body's flow to the next frame in 4x4 places, `[96]` pixels."""
    if clip.flow is None:
        raise ValueError(f"clip {clip.name} has no flow to learn from")
    flows = torch.stack([clip.flow(k, k + 1)[0] for k in range(len(clip.video) - 1)])
    flows = flows * clip.body[:-1]
    speed = flows.square().sum(dim=1, keepdim=True).sqrt()
    parts = torch.cat([flows, flows.abs(), speed, speed.square() / 8], dim=1)
    return F.adaptive_avg_pool2d(parts.mean(dim=0), 4).flatten()


def _components(values: Tensor) -> Tensor:
    """The first principal components `[m, COMPONENTS]` of `[m, d]`, together of mean variance 1.

    Each keeps its share of the variance: whitened, the faint ones would be most of the loss. Of
    equal sign on every machine; zero beyond the rank (small pools).
    """
    centred = (values - values.mean(dim=0)).double()
    variances, axes = torch.linalg.eigh(centred.T @ centred / max(len(values) - 1, 1))
    variances, axes = variances.flip(0)[:COMPONENTS], axes.flip(1)[:, :COMPONENTS]
    axes = axes * axes.gather(0, axes.abs().argmax(dim=0, keepdim=True)).sign()
    found = (centred @ axes / variances.mean().sqrt().clamp(min=1e-6)).float()
    return F.pad(found, (0, COMPONENTS - found.shape[1]))


def corrupt(videos: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """A third of the clips `[n, f, 3, H, W]` blurred, a third noisy; and each clip's class `[n]`.

    Strength is drawn per clip; the generator is a CPU one, so that every device sees the same.
    """
    n = len(videos)
    classes = torch.randint(CLASSES, (n,), generator=generator)
    strengths = torch.rand(n, generator=generator)
    corrupted = []
    for video, kind, strength in zip(videos, classes.tolist(), strengths.tolist(), strict=True):
        if kind == 1:
            video = blurred(video, BLUR[0] + strength * (BLUR[1] - BLUR[0]))
        elif kind == 2:
            # Evenly in the logarithm: faint noise must be seen too.
            sigma = NOISE[0] * (NOISE[1] / NOISE[0]) ** strength
            noise = torch.randn(video.shape, generator=generator).to(video.device)
            video = (video + sigma * noise).clamp(0, 1)
        corrupted.append(video)
    return torch.stack(corrupted), classes.to(videos.device)


class FeatureTask(nn.Module):
    """The network with the heads that it is trained through; the heads are not kept."""

    def __init__(self) -> None:
        """Heads for descriptions and corruption, of frames and of videos."""
        super().__init__()
        self.network = FeatureNetwork()
        self.frame_head = nn.Linear(FEATURES, 2 * COMPONENTS + CLASSES)
        self.video_head = nn.Linear(FEATURES, 3 * COMPONENTS + CLASSES)

    def forward(self, videos: Tensor, pool: Pool, rows: Tensor, classes: Tensor) -> Tensor:
        """The loss: squared errors of descriptions and cross-entropies of corruption, summed."""
        frames, clips = self.network(videos)
        frame_loss = _loss(
            self.frame_head(frames).flatten(0, 1),
            pool.frame_targets[rows].flatten(0, 1),
            classes.repeat_interleave(frames.shape[1]),
        )
        return frame_loss + _loss(self.video_head(clips), pool.video_targets[rows], classes)


def _loss(found: Tensor, targets: Tensor, classes: Tensor) -> Tensor:
    described, classified = found[:, :-CLASSES], found[:, -CLASSES:]
    return F.mse_loss(described, targets) + F.cross_entropy(classified, classes)
