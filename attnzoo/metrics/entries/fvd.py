"""FVD: Fréchet distance of I3D's 400 logits, with DisCo's clips and with separate ones."""

from __future__ import annotations

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

SIDE = 224


def load_i3d(files: Sequence[Path], device: torch.device) -> Any:
    """I3D in the layout of pytorch-i3d, for clips in [-1, 1]."""
    from attnzoo.metrics.networks.i3d import I3D
    from attnzoo.metrics.networks.weights import fill, read_weights

    return fill(I3D(), read_weights(files[0]), files[0]).to(device)


def load_registered(files: Sequence[Path], device: torch.device) -> Any:
    """I3D of either layout as torch-fidelity's feature extractor, which takes clips in bytes."""
    from attnzoo.metrics.networks.fidelity import I3D_LOGITS, created

    return created(I3D_LOGITS, files[0], device)


def sliding_features(network: Any, video: Tensor) -> Tensor:
    """`[f - 15, 400]`: every 16 consecutive frames."""
    from attnzoo.metrics.clips import in_batches, sliding
    from attnzoo.metrics.networks.inputs import i3d_input

    return in_batches(network, sliding(i3d_input(video)))


def whole_features(network: Any, video: Tensor) -> Tensor:
    """`[1, 400]`: the whole video at once, as DisCo's tool takes video files."""
    from attnzoo.metrics.clips import in_batches
    from attnzoo.metrics.networks.inputs import i3d_input

    return in_batches(network, iter([i3d_input(video)]))


def separate_features(network: Any, video: Tensor) -> Tensor:
    """`[f // 16, 400]`: clips of 16 frames that share none."""
    from attnzoo.metrics.clips import in_batches, separate

    return in_batches(network, separate(video))


_LAYOUTS = ("i3d_pretrained_400.pt", "rgb_imagenet.pt")

register(
    Metric(
        name="fvd",
        label="FVD",
        title="400 logits of each clip, averaged over time",
        profiles=(Profile.disco,),
        unit="1",
        better=Better.lower,
        kind=Kind.set,
        input_range="RGB x / 127.5 - 1",
        resize=f"{SIDE}x{SIDE} Pillow bicubic",
        crop="none",
        clip_rule="folders of frames: every 16 consecutive frames; files: the whole video",
        source="DisCo tool/metrics, FVD-3DInception",
        min_frames=16,
        extractor=Extractor(
            "i3d-sliding",
            Network(
                "I3D, Kinetics 400, layout of pytorch-i3d",
                load_i3d,
                (WeightFile("i3d", _LAYOUTS, "pytorch-i3d's rgb_imagenet (DisCo's eval_fvd)"),),
            ),
            400,
            sliding_features,
            whole_features,
        ),
        distance=FRECHET,
        instead="fvd_embedded",
    )
)

register(
    Metric(
        name="fvd",
        label="FVD",
        title="400 logits of each clip",
        profiles=(Profile.strict,),
        unit="1",
        better=Better.lower,
        kind=Kind.set,
        input_range="RGB x / 127.5 - 1",
        resize=f"{SIDE}x{SIDE}: inside the TorchScript network, else bilinear",
        crop="none",
        clip_rule="16 frames that share none",
        source="Unterthiner et al. 2018, StyleGAN-V's TorchScript file",
        min_frames=16,
        extractor=Extractor(
            "i3d-separate",
            Network(
                "I3D, Kinetics 400",
                load_registered,
                (
                    WeightFile(
                        "i3d_torchscript",
                        ("i3d_torchscript.pt", *_LAYOUTS),
                        "StyleGAN-V's TorchScript file, or pytorch-i3d's rgb_imagenet",
                    ),
                ),
                ("torch_fidelity", "torchvision"),
            ),
            400,
            separate_features,
        ),
        distance=FRECHET,
        instead="fvd_embedded",
    )
)
