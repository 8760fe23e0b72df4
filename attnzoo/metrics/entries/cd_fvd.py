"""Content-debiased FVD (Ge et al., CVPR 2024): VideoMAE-v2 fine-tuned on SSv2 in I3D's place."""

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


def load_videomae(files: Sequence[Path], device: torch.device) -> Any:
    """VideoMAE-v2, pooled before its classifier."""
    from attnzoo.errors import UserError
    from attnzoo.metrics.networks.video_transformer import VideoMae
    from attnzoo.metrics.networks.weights import fill, read_weights

    state = read_weights(files[0])
    try:
        network = VideoMae(state)
    except KeyError as error:
        raise UserError(f"{files[0]}: not a fine-tuned VideoMAE-v2: no {error}") from error
    return fill(network, state, files[0]).to(device)


def clip_features(network: Any, video: Tensor) -> Tensor:
    """`[f // 16, 1408]` of clips of 16 frames that share none."""
    from torch.nn import functional as F

    from attnzoo.metrics.clips import in_batches, separate

    def small(clip: Tensor) -> Tensor:
        # In [0, 1] and not normalised further: so the published tool feeds it.
        return F.interpolate(clip.float() / 255, (SIDE, SIDE), mode="bilinear")

    return in_batches(network, map(small, separate(video)), size=1)


register(
    Metric(
        name="cd_fvd",
        label="CD-FVD",
        title="1408 features of VideoMAE-v2, mean of the tokens",
        profiles=(Profile.strict,),
        unit="1",
        better=Better.lower,
        kind=Kind.set,
        input_range="RGB [0, 1]",
        resize=f"{SIDE}x{SIDE} bilinear, without smoothing",
        crop="none",
        clip_rule="16 frames that share none",
        source="Ge et al. 2024, arXiv 2404.12391, package cd-fvd",
        min_frames=16,
        extractor=Extractor(
            "videomae-ssv2",
            Network(
                "VideoMAE-v2 ViT-g/14, SSv2",
                load_videomae,
                (
                    WeightFile(
                        "videomae",
                        ("vit_g_hybrid_pt_1200e_ssv2_ft.pth",),
                        "OpenGVLab/InternVideoMAE_models, mae-g",
                    ),
                ),
            ),
            1408,
            clip_features,
        ),
        distance=FRECHET,
    )
)
