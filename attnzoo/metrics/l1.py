"""Mean absolute error of RGB values in [0, 1], over the picture or over the body.

Not DisCo's L1, which is the same in 8-bit steps divided by the number of pixels, and so depends
on the resolution.
"""

from __future__ import annotations

from torch import Tensor


def l1(real: Tensor, fake: Tensor, weight: Tensor | None = None) -> Tensor:
    """Mean absolute error per clip, `[n]` float64, from clips `[n, f, 3, H, W]`.

    `weight` `[n, f, 1, H, W]` says how much each pixel counts (the body: 1 on it, 0 elsewhere),
    pooled over the clip's frames; a clip whose weights are all zero gives NaN.

    Raises:
        ValueError: for shapes that do not fit.
    """
    if real.shape != fake.shape:
        raise ValueError(f"shapes differ: {tuple(real.shape)} and {tuple(fake.shape)}")
    errors = (real.double() - fake.double()).abs().mean(dim=2)
    if weight is None:
        return errors.mean(dim=(1, 2, 3))
    if weight.shape != (*real.shape[:2], 1, *real.shape[3:]):
        raise ValueError(f"weight {tuple(weight.shape)} does not fit clips {tuple(real.shape)}")
    weights = weight.double().squeeze(2)
    return (errors * weights).sum(dim=(1, 2, 3)) / weights.sum(dim=(1, 2, 3))
