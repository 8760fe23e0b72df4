"""What somebody sees who looks at a run on its way: curves over training and denoising steps."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from torch import Tensor

from attnzoo.data.clip import Clip


@dataclass(frozen=True)
class Look:
    """A run at some point, with its averaged weights in the model.

    stage, step: steps of that stage done; clips: those that will be scored; made: `made(n, steps)`
    samples the first n of them with so many denoising steps, `[n, f, 3, H, W]` in [0, 1], from the
    noise of the run itself.
    """

    stage: int
    step: int
    clips: Sequence[Clip]
    made: Callable[[int, int], Tensor]


class Watch(Protocol):
    """Somebody who looks; a run that goes on after a kill shows again only what comes after.

    What is seen must be on the disk when `look` and `finished` return.
    """

    def due(self, stage: int, step: int) -> bool:
        """Whether to look when so many steps of the stage are done."""
        ...

    def look(self, look: Look) -> None:
        """On the way, before the next checkpoint."""
        ...

    def finished(self, look: Look, generated: Tensor) -> None:
        """After both stages, with the clips that are scored, before the record is written."""
        ...
