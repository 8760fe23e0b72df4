"""Whether the person stays the person of the reference picture.

The embedded network's 2-D layers look at the person alone, before grey, in the reference and in
every frame. At each layer the mean and the spread of each channel over the person say how it looks
whatever the pose; less what the layer says of an empty picture. The similarity is the cosine of
the two descriptions, mean over layers and frames.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from attnzoo.metrics.features import SIDE, FeatureNetwork

GREY = 0.5


@torch.no_grad()
def identity(
    network: FeatureNetwork, clip: Tensor, body: Tensor, reference: Tensor, mask: Tensor
) -> Tensor:
    """Cosine with the reference for each frame, `[f]` float64; NaN where nobody is.

    Args:
        network: the embedded one.
        clip: `[f, 3, H, W]` in [0, 1].
        body: `[f, 1, H, W]`, 1 where the person is (should be).
        reference: `[3, H, W]`.
        mask: `[1, H, W]`, its person.

    Raises:
        ValueError: for shapes that do not fit, or a reference without a person.
    """
    if body.shape != (clip.shape[0], 1, *clip.shape[2:]) or mask.shape[1:] != reference.shape[1:]:
        shapes = [tuple(x.shape) for x in (clip, body, reference, mask)]
        raise ValueError(f"clip, body, reference and mask do not fit: {shapes}")
    if not (mask > 0.5).any():
        raise ValueError("the reference picture shows no person")
    frames = _described(network, clip.float(), body.float())
    wanted = _described(network, reference.float()[None], mask.float()[None])
    cosines = [F.cosine_similarity(a, b) for a, b in zip(frames, wanted, strict=True)]
    found = torch.stack(cosines).mean(dim=0)
    empty = ~(body > 0.5).flatten(1).any(dim=1)
    return found.masked_fill(empty, torch.nan)


def _described(network: FeatureNetwork, images: Tensor, body: Tensor) -> list[Tensor]:
    """Per layer `[m, 2c]` float64: mean and spread of each channel over the person."""
    images = _resized(GREY + (images - GREY) * (body > 0.5))
    share = _resized((body > 0.5).float())
    nothing = network.layers(torch.full_like(images[:1], GREY))
    rows = []
    for layer, empty in zip(network.layers(images), nothing, strict=True):
        values = (layer - empty).double()
        height, width = values.shape[-2:]
        weight = F.adaptive_avg_pool2d(share, (height, width)).double()
        weight = weight / weight.sum(dim=(2, 3), keepdim=True).clamp(min=1e-6)
        mean = (values * weight).sum(dim=(2, 3))
        spread = ((values - mean[..., None, None]).square() * weight).sum(dim=(2, 3)).sqrt()
        rows.append(torch.cat([mean, spread], dim=1))
    return rows


def _resized(images: Tensor) -> Tensor:
    if images.shape[-2:] == (SIDE, SIDE):
        return images
    return F.interpolate(images, (SIDE, SIDE), mode="bilinear", antialias=True)
