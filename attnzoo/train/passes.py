"""One forward pass of training, which can be made again to see where a number went wrong."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from accelerate import Accelerator
from torch import Tensor, nn

from attnzoo.data.clip import Batch
from attnzoo.models.finite import finite, first_not_finite, layers_in_order
from attnzoo.train.objective import Objective

Loss = Callable[[Batch, int], Tensor]


@dataclass(frozen=True)
class Pass:
    """A batch with the number of its first clip, on the model's device; seed: of dropout."""

    objective: Objective
    accelerator: Accelerator
    batch: Batch
    first: int
    seed: int

    @contextmanager
    def seeded(self) -> Iterator[None]:
        """Dropout, where a model has any, draws from the global state: seeded, and put back."""
        device = self.accelerator.device
        with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
            torch.manual_seed(self.seed)
            yield

    def loss(self, of: Loss) -> Tensor:
        """The loss by the objective, or by what wraps it."""
        with self.accelerator.autocast():
            return of(self.batch, self.first)

    def origin(self) -> str | None:
        """What first was not finite in this pass: something of the clips, or a layer's output."""
        for name, value in vars(self.batch).items():
            if isinstance(value, Tensor) and not finite(value):
                each = zip(self.batch.names, value, strict=True)
                return f"{name} of the clip {', '.join(n for n, v in each if not finite(v))}"
        return first_not_finite(self.objective.model, self._again)

    def gradients_origin(self, parameters: Mapping[str, nn.Parameter]) -> str | None:
        """The parameter whose gradient was the first that is not finite: of the latest layer."""
        with self.seeded():
            loss = self.loss(self.objective)
            # Not `backward`: gradients that are there were clipped by a norm that is no number.
            found = torch.autograd.grad(loss, list(parameters.values()), allow_unused=True)
        each = zip(parameters, found, strict=True)
        bad = [name for name, grad in each if grad is not None and not finite(grad)]
        if not bad:
            return None
        layers = layers_in_order(self.objective.model, self._again)
        latest = {layer: place for place, layer in enumerate(layers)}
        bad.sort(key=lambda name: latest.get(name.rpartition(".")[0], -1))
        return f"{bad[-1]} (and {len(bad) - 1} more)"

    def _again(self) -> None:
        with self.seeded():
            self.loss(self.objective)
