"""Stops the trainings of the package's own weights at numbers that are none."""

from __future__ import annotations

import math

from torch import Tensor

from attnzoo.models.finite import NotFinite


def check_finite(step: int, steps: int, loss: Tensor, norm: Tensor) -> None:
    """Before a step changes any weight, so that what was saved and what will be are numbers.

    step: counted from 1; norm: of the gradient.

    Raises:
        NotFinite: one of them is NaN or infinite.
    """
    for what, value in (("loss", float(loss.detach())), ("gradient's norm", float(norm))):
        if not math.isfinite(value):
            raise NotFinite(
                f"step {step} of {steps}: the {what} is {value}; what was saved is of a step "
                "before; try a smaller learning rate"
            )
