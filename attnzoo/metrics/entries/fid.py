"""Fréchet inception distance of frames: as pytorch-fid reads pictures, and as torch-fidelity."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attnzoo.metrics.distances import FRECHET
from attnzoo.metrics.registry import (
    Better,
    Extractor,
    Kind,
    Metric,
    Network,
    Profile,
    WeightFile,
    register,
)

if TYPE_CHECKING:
    import torch
    from torch import Tensor

BATCH = 8
_SIDE = 299


def load_inception(files: Sequence[Path], device: torch.device) -> Any:
    """torch-fidelity's Inception, whose loader gets weights that were read without unpickling."""
    import torch
    from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

    from attnzoo.errors import UserError
    from attnzoo.metrics.networks.weights import read_weights

    state = read_weights(files[0])
    buffer = io.BytesIO()
    torch.save(state, buffer)
    buffer.seek(0)
    try:
        network = FeatureExtractorInceptionV3(
            "inception-v3-compat", ["2048"], feature_extractor_weights_path=buffer
        )
    except RuntimeError as error:
        raise UserError(f"{files[0]}: not the weights of the FID's Inception") from error
    return network.to(device)


def fidelity_features(network: Any, video: Tensor) -> Tensor:
    """`[f, 2048]` as torch-fidelity has them: TensorFlow's bilinear resize, (x - 128) / 128."""
    import torch

    with torch.no_grad():
        rows = [network(part)[0].float().cpu() for part in video.split(BATCH)]
    return torch.cat(rows)


def pytorch_fid_features(network: Any, video: Tensor) -> Tensor:
    """`[f, 2048]` as pytorch-fid computes them: bilinear resize of x / 255, then 2 x - 1."""
    import torch
    from torch.nn import functional as F

    rows = []
    with torch.no_grad():
        for part in video.split(BATCH):
            x = F.interpolate(part.float() / 255, (_SIDE, _SIDE), mode="bilinear")
            x = 2 * x - 1
            for layer in list(network.children())[:-1]:  # in their order; the last classifies
                x = layer(x)
            rows.append(x.flatten(1).float().cpu())
    return torch.cat(rows)


INCEPTION = Network(
    title="Inception v3 of the FID (2015-12-05)",
    load=load_inception,
    weights=(
        WeightFile(
            "inception",
            (
                "weights-inception-2015-12-05-6726825d.pth",
                "pt_inception-2015-12-05-6726825d.pth",
            ),
            "torch-fidelity's release v0.2.0, or pytorch-fid's",
        ),
    ),
    packages=("torch_fidelity", "torchvision"),
)

for _profile, _name, _extract, _range, _resize, _source in (
    (
        Profile.disco,
        "inception-pytorch-fid",
        pytorch_fid_features,
        "RGB float [-1, 1]",
        "299x299 bilinear, without smoothing",
        "pytorch-fid, which DisCo reports",
    ),
    (
        Profile.strict,
        "inception-torch-fidelity",
        fidelity_features,
        "RGB uint8, (x - 128) / 128",
        "299x299 as TensorFlow 1",
        "Heusel et al. 2017, torch-fidelity",
    ),
):
    register(
        Metric(
            name="fid",
            label="FID",
            title="2048 pooled features of each frame",
            profiles=(_profile,),
            unit="1",
            better=Better.lower,
            kind=Kind.set,
            input_range=_range,
            resize=_resize,
            crop="none",
            clip_rule="every frame",
            source=_source,
            extractor=Extractor(_name, INCEPTION, 2048, _extract),
            distance=FRECHET,
            instead="fd_embedded",
        )
    )
