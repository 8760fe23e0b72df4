"""LPIPS with VGG16: in the range that the network was trained on, and in DisCo's half of it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attnzoo.metrics.registry import (
    Better,
    Context,
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


def _load(files: Sequence[Path], device: torch.device) -> Any:
    from attnzoo.metrics.perceptual import load_lpips

    return load_lpips(files[0]).to(device)


def lpips_unscaled(real: Tensor, fake: Tensor, context: Context) -> Tensor:
    """Per frame `[f]` float64, pictures given to the network in [0, 1]."""
    from attnzoo.metrics.perceptual import lpips_of_frames

    return lpips_of_frames(context.network, real, fake, scaled=False)


def lpips_scaled(real: Tensor, fake: Tensor, context: Context) -> Tensor:
    """Per frame `[f]` float64, pictures given to the network in [-1, 1], as it expects them."""
    from attnzoo.metrics.perceptual import lpips_of_frames

    return lpips_of_frames(context.network, real, fake, scaled=True)


VGG = Network(
    title="LPIPS v0.1, VGG16",
    load=_load,
    weights=(
        WeightFile("vgg16", ("vgg16-397923af.pth",), "torchvision's VGG16, ImageNet", "397923af"),
    ),
    packages=("lpips", "torchvision"),
)


for _profile, _range, _compute, _title in (
    (Profile.disco, "RGB float [0, 1]", lpips_unscaled, "network expects [-1, 1], gets [0, 1]"),
    (Profile.strict, "RGB float [-1, 1]", lpips_scaled, "Zhang et al., in its own range"),
):
    register(
        Metric(
            name="lpips",
            label="LPIPS",
            title=_title,
            profiles=(_profile,),
            unit="1",
            better=Better.lower,
            kind=Kind.frame,
            input_range=_range,
            resize="none",
            crop="none",
            clip_rule="every frame; mean over frames",
            source="Zhang, Isola, Efros, Shechtman and Wang 2018",
            compute=_compute,
            network=VGG,
        )
    )
