"""Flicker: what trembles from frame to frame beyond the real clip's own motion.

The tremor of a clip x is the mean, over inner frames k, pixels and RGB, of
`|x[k+1] - 2 x[k] + x[k-1]|`: zero for still pictures and for steady fades, large for values that
go to and fro. `flicker = tremor(fake) - tremor(real)`, in units of intensity. It is zero for the
real clip, positive for one that flickers, negative for one that is calmer than reality (smeared
or frozen). No pixel of one clip is compared with the other's, so a dancer who stands a little
aside costs nothing here; L1 and SSIM see that.
"""

from __future__ import annotations

from torch import Tensor


def tremor(clips: Tensor) -> Tensor:
    """Mean absolute second difference in time per clip, `[n]` float64, from `[n, f, 3, H, W]`.

    Raises:
        ValueError: for clips of fewer than three frames.
    """
    if clips.shape[1] < 3:
        raise ValueError(f"flicker needs at least 3 frames, not {clips.shape[1]}")
    second = clips[:, 2:].double() - 2 * clips[:, 1:-1].double() + clips[:, :-2].double()
    return second.abs().mean(dim=(1, 2, 3, 4))


def flicker(real: Tensor, fake: Tensor) -> Tensor:
    """Tremor of the generated clips less that of the real ones, `[n]` float64.

    Raises:
        ValueError: for clips of fewer than three frames or unequal shapes.
    """
    if real.shape != fake.shape:
        raise ValueError(f"shapes differ: {tuple(real.shape)} and {tuple(fake.shape)}")
    return tremor(fake) - tremor(real)
