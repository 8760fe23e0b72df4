"""Structural similarity: DisCo's on grey bytes, and the original's on each channel."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attnzoo.metrics.registry import (
    Better,
    Context,
    Kind,
    Metric,
    NoValue,
    Profile,
    register,
)

if TYPE_CHECKING:
    from torch import Tensor

WINDOW = 7


def grey_ssim(real: Tensor, fake: Tensor, context: Context | None = None) -> Tensor:
    """Per frame `[f]` float64: `skimage.metrics.structural_similarity` of grey uint8 pictures.

    OpenCV's grey, a uniform window of 7x7, covariances divided by n - 1, constants 0.01 and 0.03
    at a data range of 255, mean over all windows inside the picture.

    Raises:
        NoValue: a picture is smaller than the window.
    """
    import torch
    from torch.nn import functional as F

    if min(real.shape[-2:]) < WINDOW:
        raise NoValue(f"SSIM needs at least {WINDOW} pixels a side, not {tuple(real.shape[-2:])}")
    x, y = (_grey(images) for images in (real, fake))
    pixels = WINDOW**2
    mean_x, mean_y, xx, yy, xy = (
        F.avg_pool2d(images, WINDOW, stride=1) for images in (x, y, x * x, y * y, x * y)
    )
    unbiased = pixels / (pixels - 1)
    variance_x = unbiased * (xx - mean_x * mean_x)
    variance_y = unbiased * (yy - mean_y * mean_y)
    covariance = unbiased * (xy - mean_x * mean_y)
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    above = (2 * mean_x * mean_y + c1) * (2 * covariance + c2)
    below = (mean_x**2 + mean_y**2 + c1) * (variance_x + variance_y + c2)
    return torch.as_tensor((above / below).mean(dim=(-3, -2, -1)))


def _grey(images: Tensor) -> Tensor:
    """`[f, 3, H, W]` in [0, 1] to `[f, 1, H, W]` float64 of whole numbers 0..255."""
    import cv2
    import numpy as np
    import torch

    pictures = (255 * images).round().to(torch.uint8).permute(0, 2, 3, 1).cpu().numpy()
    grey = [cv2.cvtColor(np.ascontiguousarray(p), cv2.COLOR_RGB2GRAY) for p in pictures]
    return torch.from_numpy(np.stack(grey)).to(images.device).double().unsqueeze(1)


def gaussian_ssim(real: Tensor, fake: Tensor, context: Context | None = None) -> Tensor:
    """Per frame `[f]` float64, mean over channels; see `attnzoo.metrics.ssim`."""
    from attnzoo.metrics.ssim import ssim

    return ssim(real.unsqueeze(1), fake.unsqueeze(1))


_EVERY_FRAME = "every frame; mean over frames"

register(
    Metric(
        name="ssim",
        label="SSIM",
        title="grey, uniform 7x7 window, sample covariance (scikit-image's default)",
        profiles=(Profile.disco,),
        unit="1",
        better=Better.higher,
        kind=Kind.frame,
        input_range="grey uint8 0..255",
        resize="none",
        crop="a border of 3 pixels, where the window does not fit",
        clip_rule=_EVERY_FRAME,
        source="DisCo tool/metrics",
        compute=grey_ssim,
    )
)

register(
    Metric(
        name="ssim",
        label="SSIM",
        title="per RGB channel, Gaussian 11x11 window of sigma 1.5, constants 0.01 and 0.03",
        profiles=(Profile.strict,),
        unit="1",
        better=Better.higher,
        kind=Kind.frame,
        input_range="RGB float [0, 1]",
        resize="none",
        crop="a border of 5 pixels, where the window does not fit",
        clip_rule=_EVERY_FRAME,
        source="Wang, Bovik, Sheikh and Simoncelli 2004",
        compute=gaussian_ssim,
    )
)
