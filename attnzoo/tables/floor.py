"""The floor of distances of sets: what real clips are away from other real clips."""

from __future__ import annotations

from pathlib import Path
from statistics import fmean

import torch
from torch import Tensor

from attnzoo.data.source import Source
from attnzoo.metrics.frechet import frechet_distance, gaussian
from attnzoo.tables.folder import write_json
from attnzoo.tables.protocol import Protocol

FLOOR = "floor.json"
METHOD = (
    "a seed's real clips against as many of another seed, the mean over the other seeds; generated "
    "clips share person and dance with the real ones that they are held against, these do not, so "
    "that a row may be below"
)


def write_floor(folder: Path, protocol: Protocol, source: Source) -> None:
    """Writes `floor.json`; nothing for one seed, which has no other clips, or one clip of each."""
    if len(protocol.seeds) > 1 and protocol.clips > 1:
        found = floor({seed: _clips(protocol, source, seed) for seed in protocol.seeds})
        write_json(folder / FLOOR, {"schema": 1, "seeds": found, "method": METHOD})


def floor(clips: dict[int, Tensor]) -> dict[str, dict[str, float]]:
    """Each seed's distances by their names in a record, of its clips `[n, f, 3, H, W]`."""
    from attnzoo.metrics.features import features, load_features

    network = load_features()
    known = {seed: features(network, videos) for seed, videos in clips.items()}
    found = {}
    for seed, (frames, videos) in known.items():
        others = [own for other, own in known.items() if other != seed]
        found[str(seed)] = {
            "fd_embedded_frame": fmean(_distance(frames, other) for other, _ in others),
            "fd_embedded_video": fmean(_distance(videos, other) for _, other in others),
        }
    return found


def _distance(one: Tensor, other: Tensor) -> float:
    """Of features whose last axis they are."""
    return frechet_distance(*(gaussian(part.flatten(0, -2)) for part in (one, other)))


def _clips(protocol: Protocol, source: Source, seed: int) -> Tensor:
    first = seed * protocol.clips
    return torch.stack([source.test[i].video for i in range(first, first + protocol.clips)])
