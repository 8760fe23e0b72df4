"""JEDi (Luo et al., ICLR 2025): V-JEPA features read by its SSv2 probe, polynomial MMD."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attnzoo.metrics.distances import POLYNOMIAL_MMD
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

MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def load_vjepa(files: Sequence[Path], device: torch.device) -> Any:
    """Encoder and attentive pooler, one after the other."""
    from torch import nn

    from attnzoo.errors import UserError
    from attnzoo.metrics.networks.video_transformer import AttentivePooler, VJepa
    from attnzoo.metrics.networks.weights import fill, read_weights

    encoder = read_weights(files[0], drop=("module.", "backbone."))
    probe = read_weights(files[1])
    pooler = {
        name.removeprefix("pooler."): value
        for name, value in probe.items()
        if name.startswith("pooler.")
    }
    try:
        transformer = VJepa(encoder)
        hidden = len(pooler["cross_attention_block.mlp.fc1.bias"])
        reader = AttentivePooler(pooler["query_tokens"].shape[-1], hidden)
    except KeyError as error:
        raise UserError(f"{files[0]}, {files[1]}: not V-JEPA and its probe: no {error}") from error
    parts = fill(transformer, encoder, files[0]), fill(reader, pooler, files[1])
    return nn.Sequential(*parts).to(device)


def clip_features(network: Any, video: Tensor) -> Tensor:
    """`[f // 16, 1280]` of clips of 16 frames that share none."""
    import torch
    from torch.nn import functional as F

    from attnzoo.metrics.clips import in_batches, separate

    mean, deviation = (
        torch.tensor(v, device=video.device).view(3, 1, 1) for v in (MEAN, DEVIATION)
    )
    patch, tokens = network[0].patch_embed.proj, network[0].pos_embed.shape[1]
    # 224 for the published weights, which know that many positions for 16 frames.
    side = round((tokens / (16 // patch.kernel_size[0])) ** 0.5) * patch.kernel_size[1]

    def small(clip: Tensor) -> Tensor:
        x = F.interpolate(clip.float() / 255, (side, side), mode="bilinear", antialias=True)
        return (x - mean) / deviation

    return in_batches(network, map(small, separate(video)), size=1)


register(
    Metric(
        name="jedi",
        label="JEDi",
        title="1280 features of V-JEPA, read by the attentive probe for SSv2",
        profiles=(Profile.strict,),
        unit="1",
        better=Better.lower,
        kind=Kind.set,
        input_range="RGB [0, 1], ImageNet's mean and deviation",
        resize="224x224 bilinear with smoothing",
        crop="none",
        clip_rule="16 frames that share none",
        source="Luo et al. 2025, arXiv 2410.05203, package videojedi",
        min_frames=16,
        extractor=Extractor(
            "vjepa-ssv2",
            Network(
                "V-JEPA ViT-H/16 with SSv2 probe",
                load_vjepa,
                (
                    WeightFile("vjepa", ("vith16.pth.tar",), "dl.fbaipublicfiles.com/jepa/vith16"),
                    WeightFile(
                        "vjepa_probe", ("ssv2-probe.pth.tar",), "dl.fbaipublicfiles.com/jepa/vith16"
                    ),
                ),
            ),
            1280,
            clip_features,
        ),
        distance=POLYNOMIAL_MMD,
    )
)
