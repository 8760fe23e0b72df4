"""What is timed: mechanisms and peers, each of which has shown before that it computes the same."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum
from functools import cached_property, partial
from typing import Any

import torch
from torch import Tensor, nn

from attnzoo import registry
from attnzoo.bench.agreement import TOLERANCE, Disagreement, agreement
from attnzoo.bench.cell import Cell, What
from attnzoo.bench.clip_subject import motion_of
from attnzoo.bench.measure import Candidate
from attnzoo.bench.mechanisms.setting import Setting
from attnzoo.bench.module_peers import module_peers
from attnzoo.bench.subject import made_module, random
from attnzoo.errors import UserError
from attnzoo.motion import Motion

Run = Callable[[], object]

LONGEST_REASON = 200
"""Characters; a compiler's complaint has thousands."""


@dataclass
class Candidates:
    """Runs by name, in the order of the table, and why others are not among them."""

    runs: dict[str, Candidate] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)

    def add(self, name: str, make: Callable[[], Candidate]) -> None:
        """Adds what `make` gives, or the reason that it raises.

        What is not available here, disagrees with what it should compute, or fails is refused:
        the fault of one is not the end of the others.
        """
        try:
            self.runs[name] = make()
        except (UserError, Disagreement) as error:
            self.refused[name] = _line(str(error))
        except Exception as error:
            self.refused[name] = _line(f"{type(error).__name__}: {error}")


class Modules:
    """Makes mechanisms and peers for one setting, with the same weights and on the same input."""

    def __init__(self, setting: Setting) -> None:
        """All random numbers follow from the setting."""
        self.setting = setting
        self._plain = Cell(
            What.module, "", setting.frames, setting.side, setting.side,
            channels=setting.channels, heads=setting.heads, dtype=setting.dtype,
            device=setting.device.type,
        )  # fmt: skip

    @cached_property
    def x(self) -> Tensor:
        """The clip's tokens."""
        return random(self.setting.shape, self._plain)

    @cached_property
    def motion(self) -> Motion:
        """The clip's motion."""
        return motion_of(self._plain)

    def cell(self, name: str, backward: bool = False, **options: Any) -> Cell:
        """The address of a mechanism at this setting."""
        return replace(self._plain, name=name, options=options, backward=backward)

    def mechanism(self, name: str, backward: bool = False, **options: Any) -> nn.Module:
        """A mechanism that agrees with its reference.

        Raises:
            Disagreement: it does not.
            UserError: what the variant, its options or a backend refuse.
        """
        cell = self.cell(name, backward, **options)
        agreement(cell)
        return made_module(cell)

    def flow(self, name: str) -> Motion | None:
        """The clip's motion, where the entry needs any."""
        return self.motion if registry.get(name).needs_flow else None

    def mechanism_run(self, name: str, backward: bool = False, **options: Any) -> Run:
        """A run of such a mechanism."""
        module = self.mechanism(name, backward, **options)
        return self.run(module, backward, self.flow(name))

    def backend_run(self, backend: str, name: str, backward: bool = False, **options: Any) -> Run:
        """A run of a mechanism with another backend, compared with its default.

        Raises:
            Disagreement: output, or with backward the input's gradient, is another one.
            UserError: why it cannot run here.
        """
        default = made_module(self.cell(name, **options))
        other = made_module(self.cell(name, backend=backend, **options))
        self._compare(self.x, default, other, backward)
        return self.run(other, backward, self.flow(name))

    def peer_run(self, peer: str, name: str, backward: bool = False, **options: Any) -> Run:
        """A run of a peer with the weights of a mechanism whose function it computes.

        Raises:
            Disagreement: output, or with backward the input's gradient, is another one.
            UserError: why it cannot run here.
        """
        found = module_peers()[peer]
        device = self.setting.device
        reason = found.missing(device) or (found.no_backward(device) if backward else None)
        if reason is not None:
            raise UserError(reason)
        mine = made_module(self.cell(name, **options))
        theirs = found.build(mine)
        self._compare(self.x[:, :1] if found.one_frame else self.x, mine, theirs, backward)
        return self.run(theirs, backward, None)

    def _compare(self, x: Tensor, mine: nn.Module, theirs: nn.Module, backward: bool) -> None:
        for a, b in zip(_results(theirs, x, backward), _results(mine, x, backward), strict=True):
            error = ((a - b).abs().max() / b.abs().max()).item()
            if not error <= TOLERANCE[self.setting.dtype]:
                raise Disagreement(f"it differs from {type(mine).__name__} by {error:.1e}")

    def run(self, module: nn.Module, backward: bool, flow: Motion | None) -> Run:
        """Forward without gradients, or forward and backward to input and weights."""
        if backward:
            return partial(_both, module, self.x, torch.ones_like(self.x), flow)
        return partial(_forward, module, self.x, flow)


def _line(said: str) -> str:
    return " ".join(said.split())[:LONGEST_REASON]


def _forward(module: nn.Module, x: Tensor, flow: Motion | None) -> object:
    with torch.no_grad():
        return module(x, flow=flow)


def _both(module: nn.Module, x: Tensor, gradient: Tensor, flow: Motion | None) -> None:
    tokens = x.detach().requires_grad_()
    module(tokens, flow=flow).backward(gradient)
    module.zero_grad(set_to_none=True)


def _results(module: nn.Module, x: Tensor, backward: bool) -> list[Tensor]:
    tokens = x.detach().requires_grad_(backward)
    with torch.set_grad_enabled(backward):
        delta = module(tokens)
    if not backward:
        return [delta]
    delta.backward(torch.ones_like(delta))
    module.zero_grad(set_to_none=True)
    assert tokens.grad is not None
    return [delta.detach(), tokens.grad]


def backends(name: str) -> Sequence[str]:
    """What an entry's option `backend` can be beside its default; nothing where it has none."""
    for option in registry.get(name).options:
        if option.name == "backend" and isinstance(option.default, Enum):
            return [member for member in type(option.default).__members__
                    if member != option.default.name]  # fmt: skip
    return []


def with_events(runs: Mapping[str, Candidate], device: torch.device) -> Mapping[str, Candidate]:
    """The same candidates, on CUDA timed by events on its stream."""
    if device.type != "cuda":
        return runs
    return {
        name: run if not callable(run) else EventTimed(run, device) for name, run in runs.items()
    }


@dataclass(frozen=True)
class EventTimed:
    """A run on a CUDA stream, timed on the device: launches that keep it waiting count."""

    run: Run
    device: torch.device

    def seconds(self) -> float:
        """Seconds between two events around the run."""
        with torch.cuda.device(self.device):
            start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
            start.record()
            self.run()
            end.record()
            end.synchronize()
        return 1e-3 * float(start.elapsed_time(end))
