"""Fréchet distance of frames' features in the embedded network, which is not Inception."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attnzoo.metrics.distances import FRECHET
from attnzoo.metrics.registry import Better, Extractor, Kind, Metric, Network, Profile, register

if TYPE_CHECKING:
    import torch
    from torch import Tensor

BATCH = 64


def load_embedded(files: Sequence[Path], device: torch.device) -> Any:
    """The network that comes with the package; on the CPU it is shared by all callers."""
    import copy

    from attnzoo.metrics.features import load_features

    network = load_features()
    return network if device.type == "cpu" else copy.deepcopy(network).to(device)


def frame_features(network: Any, video: Tensor) -> Tensor:
    """`[f, 64]` of frames `[f, 3, H, W]` uint8."""
    import torch

    from attnzoo.metrics.features import features

    rows = [features(network, part.unsqueeze(0) / 255)[0][0] for part in video.split(BATCH)]
    return torch.cat(rows).cpu()


EMBEDDED = Network(title="attnzoo's embedded feature network", load=load_embedded)

register(
    Metric(
        name="fd_embedded",
        label="FD-embedded",
        title="64 features of each frame; not the FID",
        profiles=(Profile.disco, Profile.strict),
        unit="1",
        better=Better.lower,
        kind=Kind.set,
        input_range="RGB float [-1, 1]",
        resize="64x64 bilinear with smoothing",
        crop="none",
        clip_rule="every frame",
        source="this package",
        extractor=Extractor("embedded-frame", EMBEDDED, 64, frame_features),
        distance=FRECHET,
    )
)
