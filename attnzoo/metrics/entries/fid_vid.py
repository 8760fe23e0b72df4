"""FID-VID: Fréchet distance of 3D-ResNet-50 features, with DisCo's clips and with separate ones."""

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

SIDE = 112


def load_resnet(files: Sequence[Path], device: torch.device) -> Any:
    """3D-ResNet-50 for mean-subtracted clips."""
    from attnzoo.metrics.networks.resnet3d import ResNet3D
    from attnzoo.metrics.networks.weights import fill, read_weights

    return fill(ResNet3D(), read_weights(files[0]), files[0]).to(device)


def load_registered(files: Sequence[Path], device: torch.device) -> Any:
    """The same as torch-fidelity's feature extractor, which takes clips in bytes."""
    from attnzoo.metrics.networks.fidelity import RESNET3D, created

    return created(RESNET3D, files[0], device)


def sliding_features(network: Any, video: Tensor) -> Tensor:
    """`[f - 15, 2048]`: every 16 consecutive frames; of fewer frames one sample, see below."""
    from attnzoo.metrics.clips import FRAMES, in_batches, sliding
    from attnzoo.metrics.networks.inputs import resnet_input

    if len(video) < FRAMES:
        return averaged_features(network, video)
    return in_batches(network, sliding(resnet_input(video)))


def averaged_features(network: Any, video: Tensor) -> Tensor:
    """`[1, 2048]`: the mean over segments of 16 frames, the last frame repeated to fill them."""
    import torch

    from attnzoo.metrics.clips import FRAMES, in_batches, separate
    from attnzoo.metrics.networks.inputs import resnet_input

    lacking = -len(video) % FRAMES
    whole = torch.cat([video, video[-1:].expand(lacking, -1, -1, -1)])
    return in_batches(network, separate(resnet_input(whole))).mean(dim=0, keepdim=True)


def separate_features(network: Any, video: Tensor) -> Tensor:
    """`[f // 16, 2048]`: segments of 16 frames that share none."""
    from attnzoo.metrics.clips import in_batches, separate

    return in_batches(network, separate(video))


WEIGHTS = WeightFile(
    "resnet3d", ("resnet-50-kinetics.pth",), "Kinetics, shortcut B (DisCo's eval_fvd folder)"
)
_TITLE = "3D-ResNet-50, Kinetics"

register(
    Metric(
        name="fid_vid",
        label="FID-VID",
        title="2048 pooled features of each clip",
        profiles=(Profile.disco,),
        unit="1",
        better=Better.lower,
        kind=Kind.set,
        input_range="RGB 0..255 less (114.7748, 107.7354, 99.4750)",
        resize=f"{SIDE}x{SIDE} Pillow bicubic",
        crop="none",
        clip_rule="folders of frames: every 16 consecutive frames; files, and videos of fewer: "
        "mean over segments of 16, the last frame repeated",
        source="DisCo tool/metrics, FVD-3DRN50",
        extractor=Extractor(
            "resnet3d-sliding",
            Network(_TITLE, load_resnet, (WEIGHTS,)),
            2048,
            sliding_features,
            averaged_features,
        ),
        distance=FRECHET,
        instead="fvd_embedded",
    )
)

register(
    Metric(
        name="fid_vid",
        label="FID-VID",
        title="2048 pooled features of each clip",
        profiles=(Profile.strict,),
        unit="1",
        better=Better.lower,
        kind=Kind.set,
        input_range="RGB 0..255 less (114.7748, 107.7354, 99.4750)",
        resize=f"{SIDE}x{SIDE} Pillow bicubic",
        crop="none",
        clip_rule="16 frames that share none",
        source="as DisCo's, clips made independent",
        min_frames=16,
        extractor=Extractor(
            "resnet3d-separate",
            Network(_TITLE, load_registered, (WEIGHTS,), ("torch_fidelity", "torchvision")),
            2048,
            separate_features,
        ),
        distance=FRECHET,
        instead="fvd_embedded",
    )
)
