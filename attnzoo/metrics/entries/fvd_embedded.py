"""Fréchet distance of clips' features in the embedded network, which is not I3D."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attnzoo.metrics.distances import FRECHET
from attnzoo.metrics.registry import Better, Extractor, Kind, Metric, Network, Profile, register

if TYPE_CHECKING:
    import torch
    from torch import Tensor


def _load(files: Sequence[Path], device: torch.device) -> Any:
    import copy

    from attnzoo.metrics.features import load_features

    network = load_features()
    return network if device.type == "cpu" else copy.deepcopy(network).to(device)


def clip_features(network: Any, video: Tensor) -> Tensor:
    """`[k, 64]` of a video `[f, 3, H, W]` uint8; one of fewer than 16 frames is one sample."""
    import torch

    from attnzoo.metrics.clips import FRAMES, separate
    from attnzoo.metrics.features import features

    samples = list(separate(video)) if len(video) >= FRAMES else [video]
    return torch.cat([features(network, part.unsqueeze(0) / 255)[1] for part in samples]).cpu()


register(
    Metric(
        name="fvd_embedded",
        label="FVD-embedded",
        title="64 features of each clip; not the FVD",
        profiles=(Profile.disco, Profile.strict),
        unit="1",
        better=Better.lower,
        kind=Kind.set,
        input_range="RGB float [-1, 1]",
        resize="64x64 bilinear with smoothing",
        crop="none",
        clip_rule="16 frames that share none; a shorter video is one clip",
        source="this package",
        extractor=Extractor(
            "embedded-video",
            Network(title="attnzoo's embedded feature network", load=_load),
            64,
            clip_features,
        ),
        distance=FRECHET,
    )
)
