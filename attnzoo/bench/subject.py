"""What a cell runs, made ready before a clock starts; modules alone are made here."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any

import torch
from torch import Tensor, nn

from attnzoo import registry
from attnzoo.bench.cell import Cell
from attnzoo.bench.measure import Candidate
from attnzoo.bench.module_peers import module_peers
from attnzoo.errors import UserError
from attnzoo.motion import Motion

Run = Callable[[], object]


@dataclass(frozen=True, eq=False)
class Subject:
    """A cell made ready.

    run: what is timed; counting: the same, uncompiled, for counters to look at (None: nothing to
    count); forward: its forward alone; touched: tensors that have to be moved at least once;
    mechanisms: the variant's modules by their names in counters; drop: lets gradients go.
    """

    run: Candidate
    counting: Run | None = None
    forward: Run | None = None
    touched: Sequence[Any] = ()
    mechanisms: Mapping[str, nn.Module] | None = None
    drop: Callable[[], None] = lambda: None


def random(shape: tuple[int, ...], cell: Cell, seed: int = 0) -> Tensor:
    """Normal values in the cell's dtype, on its device; one tensor for all cells, to be read."""
    return _random(shape, cell.torch_dtype, cell.device, seed)


@lru_cache(maxsize=128)
def _random(shape: tuple[int, ...], dtype: torch.dtype, device: str, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator).to(device, dtype)


def made_module(cell: Cell) -> nn.Module:
    """The cell's module with weights that follow from its options; global randomness stays.

    A peer is made from the module of the variant that it computes.

    Raises:
        UserError: what the variant, its options, a backend or a peer refuse.
    """
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(0)
        module: nn.Module = registry.create(
            cell.mirrors or cell.name, cell.channels, cell.heads, **cell.options
        )
        module = module.to(cell.device, cell.torch_dtype).requires_grad_()
        return _peer_of(cell, module) if cell.peer else module


def _peer_of(cell: Cell, module: nn.Module) -> nn.Module:
    peer, device = module_peers()[cell.name], torch.device(cell.device)
    reason = peer.missing(device) or (peer.no_backward(device) if cell.backward else None)
    if reason is not None:
        raise UserError(reason)
    try:
        return peer.build(module)
    except ValueError as error:
        raise UserError(str(error)) from error


def module_subject(cell: Cell, module: nn.Module, runs: Any, motion: Motion | None) -> Subject:
    """One module on random tokens; `runs` is the module or what a compiler made of it.

    With backward the gradient goes to input and weights, and is dropped in the run.
    """
    x = random((*cell.shape, cell.channels), cell)
    gradient = torch.ones_like(x)

    def forward(module: Any) -> object:
        with torch.no_grad():
            return module(x, flow=motion)

    def both(called: Any) -> None:
        tokens = x.detach().requires_grad_()
        delta = called(tokens, flow=motion)
        if delta.requires_grad:
            delta.backward(gradient)
        drop()

    def drop() -> None:
        module.zero_grad(set_to_none=True)

    one = both if cell.backward else forward
    weights = list(module.parameters())
    # The delta is of the input's size; backward reads its gradient, and writes those of input
    # and weights.
    touched: list[Any] = [x, gradient, weights]
    if cell.backward:
        touched += [torch.empty_like(t, device="meta") for t in (x, x, *weights)]
    name = type(module).__name__
    return Subject(
        partial(one, runs), partial(one, module), partial(forward, module), touched,
        {name: module}, drop,
    )  # fmt: skip
