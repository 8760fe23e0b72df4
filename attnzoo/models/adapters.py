"""peft's adapters (LoRA) on layers that slots take over, and files without them.

peft wraps a layer in one that holds it as `base_layer` beside the adapter's own weights. It is
known by that attribute, so that nothing here needs peft. An adapter is the user's: it goes on in
the layer that stands for the adapted one, and what happens to it there is not undone.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

from torch import Tensor, nn

_MODULES_OWN = frozenset(nn.Module().__dict__)


def wrapped(module: nn.Module) -> Iterator[tuple[str, Any]]:
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


def merged(module: nn.Module) -> dict[str, list[str]]:
    """The adapters that are merged into the layers inside `module`, where there are any."""
    found = {path: list(getattr(layer, "merged_adapters", ())) for path, layer in wrapped(module)}
    return {path: adapters for path, adapters in found.items() if adapters}


def plain_state(module: nn.Module) -> dict[str, Tensor]:
    """The state of `module` as if nothing were adapted: base layers alone, under their own names.

    Tensors are those of the module, not copies.
    """
    state: dict[str, Tensor] = dict(module.state_dict())
    for path, layer in wrapped(module):
        prefix = path + "." if path else ""
        for key in [key for key in state if key.startswith(prefix)]:
            del state[key]
        state.update({prefix + key: value for key, value in layer.base_layer.state_dict().items()})
    return state


def share(module: nn.Module, original: nn.Module) -> None:
    """Puts the adapters of `original` on the layers of `module` too, the very same weights."""
    for path, layer in list(wrapped(original)):
        twin = copy.copy(layer)
        # Merging happens in the base layer, which is not shared, so its record is not either.
        twin.merged_adapters = list(layer.merged_adapters)
        twin.__dict__["_modules"] = {**layer._modules, "base_layer": module.get_submodule(path)}
        module.set_submodule(path, twin)


def follow(original: nn.Module, module: nn.Module) -> None:
    """What has happened to adapters that are shared so: switched, scaled, taken off."""
    for path, layer in list(wrapped(original)):
        twin = module.get_submodule(path)
        if isinstance(getattr(twin, "base_layer", None), nn.Module):
            new = {key: value for key, value in vars(twin).items() if key not in _MODULES_OWN}
            layer.__dict__.update(new)
        else:
            original.set_submodule(path, layer.base_layer)
