"""Where in a model the first value appeared that is no finite number.

A run looks only at its loss, or at the latents of a denoising step. If that is not finite the same
forward pass is made once more under hooks.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from attnzoo.errors import UserError


class NotFinite(UserError):
    """A loss, a gradient or an output is no finite number."""


def finite(*tensors: Tensor) -> bool:
    """Whether all numbers are finite."""
    return all(bool(torch.isfinite(tensor).all()) for tensor in tensors)


def first_not_finite(model: nn.Module, forward: Callable[[], Any]) -> str | None:
    """The first layer whose output is not finite when `forward` runs the model, with its class.

    None where all of them are. Gradients are off. What enters the layer is told from what it does:
    a layer that was given what is not finite, by no other layer, is said to have got it.
    """
    found: list[str] = []
    hooks: list[RemovableHandle] = []

    def watch(name: str, module: nn.Module) -> None:
        def look(module: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
            if not found and not _finite(output):
                got = "" if _finite(inputs) else ", which was given some already"
                found.append(f"{name} ({type(module).__name__}){got}")

        hooks.append(module.register_forward_hook(look))

    for name, module in model.named_modules():
        if name:
            watch(name, module)
    _under(hooks, forward)
    return found[0] if found else None


def layers_in_order(model: nn.Module, forward: Callable[[], Any]) -> list[str]:
    """The layers that `forward` runs, in the order in which they end. Gradients are off."""
    order: list[str] = []
    hooks = [
        module.register_forward_hook(lambda *_, name=name: order.append(name))
        for name, module in model.named_modules()
    ]
    _under(hooks, forward)
    return order


def _under(hooks: Sequence[RemovableHandle], forward: Callable[[], Any]) -> None:
    """Runs `forward` without gradients and removes the hooks."""
    try:
        with torch.no_grad():
            forward()
    finally:
        for hook in hooks:
            hook.remove()


def _finite(value: Any) -> bool:
    """Whether all floating-point numbers in tensors and sequences of them are finite."""
    if isinstance(value, Tensor):
        return not value.is_floating_point() or finite(value)
    if isinstance(value, list | tuple):
        return all(map(_finite, value))
    return True
