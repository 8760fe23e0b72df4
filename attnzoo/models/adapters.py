"""peft's adapters (LoRA) on layers that slots hold: taken over with them, and left out of files.

peft wraps a layer in one that holds it as `base_layer` beside the adapter's own weights. It is
known by that attribute, so that nothing here needs peft.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator

from torch import Tensor, nn


def wrapped(module: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """The adapted layers inside `module` by their paths."""
    for path, layer in module.named_modules():
        if isinstance(getattr(layer, "base_layer", None), nn.Module):
            yield path, layer


def names(module: nn.Module) -> set[str]:
    """The adapters that layers inside `module` carry."""
    return {
        name
        for _, layer in wrapped(module)
        for kind in getattr(layer, "adapter_layer_names", ())
        for name in getattr(layer, kind, ())
    }


def plain_state(module: nn.Module) -> dict[str, Tensor]:
    """The state of `module` as if nothing were adapted: base layers alone, under their own names.

    Tensors are those of the module, not copies.
    """
    state: dict[str, Tensor] = dict(module.state_dict())
    for path, layer in wrapped(module):
        prefix = path + "." if path else ""
        for key in [key for key in state if key.startswith(prefix)]:
            del state[key]
        base: nn.Module = layer.base_layer  # type: ignore[assignment]
        state.update({prefix + key: value for key, value in base.state_dict().items()})
    return state


def take_over(mechanism: nn.Module, original: nn.Module) -> None:
    """Copies the weights of `original` into `mechanism`, and its adapted layers with adapters.

    Raises:
        RuntimeError: the names or shapes are not the same.
    """
    mechanism.load_state_dict(plain_state(original), strict=True)
    for path, layer in wrapped(original):
        mechanism.set_submodule(path, copy.deepcopy(layer))
