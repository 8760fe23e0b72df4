"""Correctness first: whether what a cell runs computes what it should."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

import torch
from torch import Tensor, nn

from attnzoo import registry
from attnzoo.bench.cell import Cell, What
from attnzoo.bench.module_peers import module_peers
from attnzoo.bench.subject import made_module
from attnzoo.bench.unet_peers import unet_peers
from attnzoo.bench.unets import LATENTS, TEXT_TOKENS, UNETS, Form, levels
from attnzoo.testing.checks.numerics import reference_of_entry

SMALL = (1, 5, 6, 5)
"""Clips, frames, rows and columns: no axis divides a common window, and loops are still quick."""

EXACT = 1e-9
"""Largest error in float64, relative to the largest value of the reference."""

TOLERANCE = {"fp32": 1e-4, "bf16": 0.05, "fp16": 0.01}
"""The same in the cell's own precision."""


class Disagreement(Exception):
    """What runs is not what it is called; its speed means nothing."""


@dataclass(frozen=True)
class Agreement:
    """With what an output was compared, and its largest error relative to the largest value."""

    reference: str
    error: float = 0.0
    compared: bool = True

    def __str__(self) -> str:
        return f"{self.reference} {self.error:.0e}" if self.compared else self.reference


NO_MODULE = Agreement("has no module", compared=False)


def agreement(cell: Cell) -> Agreement:
    """Runs the cell's module on a small clip, in float64 and in its own precision.

    Compared are the delta and, with backward, the gradient of the input, with the entry's plain
    reference in float64, or where it has none with the module's own eager run in float64. A U-Net
    is right if its modules are; a peer is compared with itself in float64 at small widths.

    Raises:
        Disagreement: an error that rounding does not explain.
        UserError: what the variant refuses.
    """
    if cell.what is What.flow:
        return Agreement("", compared=False)
    if cell.peer and cell.mirrors:
        return _module_peer(cell)
    if cell.peer:
        return _peer(cell.name, cell.dtype, cell.device)
    backward = cell.backward or cell.what is What.training
    found = [
        _module(registry.get(cell.name), _frozen({**cell.options, **fixed}), *form, cell.dtype,
                cell.device, backward)
        for fixed, form in _forms(cell)
    ]  # fmt: skip
    return max(found, key=lambda one: one.error, default=NO_MODULE)


def check_compiled(eager: Any, compiled: Any, dtype: str) -> None:
    """Disagreement unless the outputs of a module and of its compiled form are near."""
    if isinstance(eager, Tensor) and isinstance(compiled, Tensor):
        error = _error([compiled], [eager.double()])
        if not error <= TOLERANCE[dtype]:
            raise Disagreement(f"compiled, it differs from itself by {error:.1e}")


def _forms(cell: Cell) -> list[tuple[dict[str, Any], tuple[int, int]]]:
    """Fixed options, channels and heads of the modules that a cell runs."""
    if cell.channels:
        return [({}, (cell.channels, cell.heads))]
    entry = registry.get(cell.name)
    finest = levels(UNETS[cell.unet], entry)[0]
    distinct = {_frozen(fixed): dict(fixed) for fixed in entry.modules}
    return [(fixed, (finest.channels, finest.heads)) for fixed in distinct.values()]


def _frozen(options: Any) -> tuple[Any, ...]:
    fixed = ((k, tuple(v) if isinstance(v, list) else v) for k, v in sorted(options.items()))
    return tuple(fixed)


@cache
def _module(
    entry: registry.Entry,
    options: tuple[Any, ...],
    channels: int,
    heads: int,
    dtype: str,
    device: str,
    backward: bool,
) -> Agreement:
    frames = max(SMALL[1], entry.min_frames)
    cell = Cell(
        What.module, entry.name, frames, *SMALL[2:], channels=channels, heads=heads,
        options=dict(options), dtype=dtype, device=device,
    )  # fmt: skip
    mine = made_module(cell)
    # A backend need not know float64; what it computes is held against the others' result.
    plain = {key: value for key, value in cell.options.items() if key != "backend"}
    exact = made_module(cell.at(options=plain)).double()
    plainly = reference_of_entry(entry)
    said = "reference"
    if plainly is None:
        plainly, said = _itself, "own float64 run"
    flow = None
    generator = torch.Generator().manual_seed(1)
    if entry.needs_flow:
        flow = 1.5 * torch.randn(1, frames, 2, *SMALL[2:], generator=generator)
    x = torch.randn(*cell.shape, channels, generator=generator).to(cell.torch_dtype)
    on_cpu = copy.deepcopy(exact).cpu()
    expected = _results(lambda t: plainly(on_cpu, t, flow), x.double(), backward)
    flow = None if flow is None else flow.to(device)
    for module, given, tolerance in (
        (exact, x.double(), EXACT),
        (mine, x, TOLERANCE[dtype]),
    ):
        came = _results(partial(module, flow=flow), given.to(device), backward)
        error = _error(came, expected)
        if not error <= tolerance:
            raise Disagreement(
                f"in {given.dtype} it differs from its {said} by {error:.1e}, "
                f"more than {tolerance:.0e}"
            )
    return Agreement(said, error)


def _itself(module: nn.Module, x: Tensor, flow: Tensor | None) -> Tensor:
    found: Tensor = module(x, flow=flow)
    return found


def _results(run: Callable[[Tensor], Tensor], x: Tensor, backward: bool) -> list[Tensor]:
    """The delta and, with backward, the gradient of the input for a fixed weight."""
    x = x.detach().requires_grad_(backward)
    with torch.set_grad_enabled(backward):
        delta = run(x)
    found = [delta.detach()]
    if backward and delta.requires_grad:
        generator = torch.Generator().manual_seed(2)
        weight = torch.randn(delta.shape, generator=generator)
        (delta * weight.to(delta)).sum().backward()
        assert x.grad is not None
        found.append(x.grad)
    return found


def _error(came: Sequence[Tensor], expected: Sequence[Tensor]) -> float:
    """Largest difference, relative to the largest value; inf where it is no number."""
    if len(came) != len(expected):
        return float("inf")
    errors = []
    for mine, right in zip(came, expected, strict=True):
        scale = max(right.abs().max().item(), 1e-12)
        difference = (mine.double().cpu() - right.double().cpu()).abs().max().item()
        errors.append(difference / scale if difference == difference else float("inf"))
    return max(errors)


def _module_peer(cell: Cell) -> Agreement:
    """Against our module with the same weights in float64, where windows divide the clip."""
    window = cell.options.get("size", (4, 4, 4))
    frames = 1 if module_peers()[cell.name].one_frame else 2 * window[0]
    small = cell.at(batch=1, frames=frames, height=2 * window[1], width=2 * window[2])
    ours = made_module(small.at(name=cell.mirrors, mirrors="", peer=False))
    peer, exact = made_module(small), copy.deepcopy(ours).double()
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(*small.shape, cell.channels, generator=generator).to(cell.torch_dtype)
    x = x.to(cell.device)
    came = _results(peer, x, cell.backward)
    error = _error(came, _results(exact, x.double(), cell.backward))
    if not error <= TOLERANCE[cell.dtype]:
        raise Disagreement(f"it differs from {cell.mirrors} in float64 by {error:.1e}")
    return Agreement(f"{cell.mirrors} in float64", error)


@cache
def _peer(name: str, dtype: str, device: str) -> Agreement:
    peer, widths = unet_peers()[name], UNETS["small"]
    cell = Cell(What.unet, name, 2, 8, 8, peer=True, unet="small", dtype=dtype)
    form = Form(cell.torch_dtype, torch.device(device))
    unet = peer.build(widths, form)
    exact = copy.deepcopy(unet).double()
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(2, LATENTS, 8, 8, generator=generator).to(form.device, form.dtype)
    text = torch.randn(2, TEXT_TOKENS, widths.cross_attention_dim, generator=generator)
    text = text.to(images)
    t = torch.tensor(500, device=device)
    with torch.no_grad():
        came = peer.call(unet, images, t, text, 2)
        expected = peer.call(exact, images.double(), t, text.double(), 2)
    error = _error([came], [expected])
    if not error <= TOLERANCE[dtype]:
        raise Disagreement(f"it differs from its own float64 run by {error:.1e}")
    return Agreement("own float64 run", error)
