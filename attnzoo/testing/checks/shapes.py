"""What goes in and comes out."""

from __future__ import annotations

import random

import torch

from attnzoo.testing.subject import CHANNELS, SHAPE, Subject, clip

_EXTREMES = ((1, 1, 1, 1), (1, 1, 7, 9), (2, 9, 1, 1), (1, 2, 8, 3))
_SIZES = 8


def shapes(subject: Subject) -> None:
    """Any number of clips, frames, rows and columns comes out as it went in, finite."""
    draw = random.Random(0)
    odd = [(draw.randint(1, 3), *(draw.randint(1, 9) for _ in range(3))) for _ in range(_SIZES)]
    for case in subject.cases:
        module = case.module(torch.float32)
        for b, f, h, w in (SHAPE, *_EXTREMES, *odd):
            shape = (b, max(f, subject.entry.min_frames), h, w)
            x, motion = clip(shape, dtype=torch.float32), case.motion(shape)
            delta = module(x, flow=motion)
            if delta.shape != x.shape or delta.dtype != x.dtype:
                raise case.fail(f"{x.dtype} {list(x.shape)}", f"{delta.dtype} {list(delta.shape)}")
            if not delta.isfinite().all():
                raise case.fail(f"finite numbers for {list(x.shape)}", "NaN or infinity")
            strided = x.transpose(2, 3).contiguous().transpose(2, 3)
            if not torch.allclose(module(strided, flow=motion), delta, rtol=1e-4, atol=1e-5):
                raise case.fail("the same for tokens that lie otherwise in memory", "another delta")


def wrong_shapes(subject: Subject) -> None:
    """Tokens of other channels or of too few axes are refused by a ValueError."""
    for case in subject.plain:
        module = case.module(torch.float32)
        for shape in ((*SHAPE, CHANNELS + 1), (*SHAPE[1:], CHANNELS)):
            try:
                module(torch.zeros(shape), flow=case.motion())
            except ValueError:
                continue
            except Exception as error:
                came = f"{type(error).__name__}: {error}"
            else:
                came = "a delta"
            raise case.fail(
                f"a ValueError for x of shape {list(shape)} (`self.check(x)` raises it)", came
            )


def input_untouched(subject: Subject) -> None:
    """The tokens are as they were after a forward."""
    for case in subject.cases:
        x = clip()
        with torch.no_grad():
            case.module()(x, flow=case.motion())
        if not torch.equal(x, clip()):
            raise case.fail("x as it was", "an x that forward has changed in place")
