"""Attached modules in a folder: weights, what they are, and a card; ready to be put on the Hub."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from attnzoo import __version__, registry
from attnzoo.attention import Backend
from attnzoo.errors import UserError
from attnzoo.files import replacing
from attnzoo.models import adapters
from attnzoo.models.attach import Attachment, attach, attachment_of, detach, unet_of
from attnzoo.models.card import card
from attnzoo.models.slots import ReplaceSlot
from attnzoo.tensors import write_tensors

WEIGHTS, DESCRIPTION, CARD = "modules.safetensors", "modules.json", "README.md"
FORMAT = 1
"""Of the description; raised when its meaning changes."""

_SHOWN = 8
_CONFIG = (
    "in_channels", "out_channels", "block_out_channels", "layers_per_block", "attention_head_dim",
    "num_attention_heads", "cross_attention_dim", "transformer_layers_per_block",
)  # fmt: skip


def save_modules(model: Any, folder: str | Path) -> Path:
    """Writes what is attached to `model` into `folder`, which is made if it is not there.

    `modules.safetensors` has the modules' weights by their names in the model (without adapters
    such as LoRA, which have files of their own), `modules.json` the variant, its options, frames,
    slots and the base model's shape, `README.md` a model card, unless there is one. Each file is
    written beside its place and renamed, the description last. The folder can be given to
    `huggingface_hub.upload_folder` as it is.

    Raises:
        UserError: nothing is attached, or its weights are offloaded layer by layer.
    """
    unet, present = unet_of(model), attachment_of(model)
    if present is None:
        raise UserError(f"nothing is attached to this {type(unet).__name__}")
    weights = {
        key: value.detach().contiguous().cpu() for key, value in _state(present).items()
    }  # fmt: skip
    if any(value.is_meta for value in weights.values()):
        raise UserError("the model is offloaded layer by layer: call remove_all_hooks() first")
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    write_tensors(folder / WEIGHTS, weights, {"format": "pt"})
    description = _description(unet, present) | {"weights_sha256": _digest(folder / WEIGHTS)}
    if not (folder / CARD).exists():
        _write(folder / CARD, card(description, registry.get(present.variant)))
    _write(folder / DESCRIPTION, json.dumps(description, indent=2) + "\n")
    return folder


def load_modules(model: Any, folder: str | Path) -> Attachment:
    """Attaches what `save_modules` wrote, with its weights, and returns what `attach` returns.

    If the same is attached already only the weights are loaded. Weights take the device and dtype
    of the model. For a repository on the Hub give what `huggingface_hub.snapshot_download`
    returns; only data is read, no code.

    Raises:
        UserError: no such files or not of this kind; the modules do not fit the model, with a list
            of what differs. The model is as it was then.
    """
    folder, unet = Path(folder), unet_of(model)
    found = _read(folder)
    weights = _weights(folder, found)
    present = attachment_of(model)
    if present is not None:
        _refuse(folder, unet, _differences(found, unet, present, weights))
        _fill(present, weights)
        return present
    try:
        registry.get(found["variant"])
    except UserError as error:
        raise UserError(
            f"{folder / DESCRIPTION}: {error}; if it is yours: attnzoo.load_plugin"
        ) from error
    try:
        made = attach(
            model,
            found["variant"],
            frames=found["frames"],
            slots=found["slots"],
            stack=found["stack"],
            **found["options"],
        )
    except UserError as error:
        raise UserError(f"{folder / DESCRIPTION}: {error}") from error
    try:
        _refuse(folder, unet, _differences(found, unet, made, weights))
        _fill(made, weights)
    except BaseException:
        detach(model)
        raise
    return made


def _state(present: Attachment) -> dict[str, Tensor]:
    """The modules' own tensors by their names in the model."""
    return {
        f"{path}.{key}": value
        for path, slot in present.inflation.slots().items()
        for key, value in adapters.plain_state(slot).items()
    }


def _description(unet: Any, present: Attachment) -> dict[str, Any]:
    config = getattr(unet, "config", {})
    return {
        "format": FORMAT,
        "attnzoo": __version__,
        "variant": present.variant,
        "options": _options(present),
        "frames": present.frames,
        "slots": present.slots.name,
        "stack": present.stack.name,
        "base": {
            "class": type(unet).__name__,
            "config": {key: config[key] for key in _CONFIG if key in config},
            "slots": _shape(present),
        },
    }


def _options(present: Attachment) -> dict[str, Any]:
    """Those that say what the modules are. What computes them is the loading machine's matter."""
    free = registry.get(present.variant).free
    return {o.name: present.options[o.name] for o in free if o.annotation is not Backend}


def _shape(present: Attachment) -> dict[str, dict[str, int]]:
    """Channels and heads at each slot: what modules need of the model that carries them."""
    shape = {}
    for path, slot in present.inflation.slots().items():
        holders: Any = [slot] if isinstance(slot, ReplaceSlot) else slot.layers
        for holder in list(holders)[:1]:  # a slot that silences a motion module has none
            mechanism = holder.mechanism
            shape[path] = {"channels": mechanism.channels, "heads": mechanism.heads}
    return shape


def _differences(
    found: Mapping[str, Any], unet: nn.Module, present: Attachment, weights: Mapping[str, Tensor]
) -> list[str]:
    """What of a description and its weights is other than in the model, one line each."""
    ours = _description(unet, present)
    lines = [
        f"{key} {found[key]} there, {ours[key]} here"
        for key in ("variant", "options", "frames", "slots", "stack")
        if found[key] != ours[key]
    ]
    there, here = found["base"]["slots"], ours["base"]["slots"]
    for path in [*there, *(p for p in here if p not in there)]:
        if there.get(path) != here.get(path):
            lines.append(f"{path} {_said(there.get(path))} there, {_said(here.get(path))} here")
    if lines:
        return lines
    state = _state(present)
    for key in sorted({*state, *weights}):
        shapes = [list(s[key].shape) if key in s else "absent" for s in (weights, state)]
        if shapes[0] != shapes[1]:
            lines.append(f"{key} {shapes[0]} there, {shapes[1]} here")
    return lines


def _said(place: Mapping[str, int] | None) -> str:
    return "absent" if place is None else f"{place['channels']} channels in {place['heads']} heads"


def _refuse(folder: Path, unet: nn.Module, differences: list[str]) -> None:
    if not differences:
        return
    more = len(differences) - _SHOWN
    listed = "; ".join(differences[:_SHOWN]) + (f"; and {more} more" if more > 0 else "")
    raise UserError(f"{folder} does not fit this {type(unet).__name__}: {listed}")


def _fill(present: Attachment, weights: Mapping[str, Tensor]) -> None:
    with torch.no_grad():
        for key, value in _state(present).items():
            value.copy_(weights[key])


def _read(folder: Path) -> dict[str, Any]:
    path = folder / DESCRIPTION
    if not path.is_file():
        raise UserError(f"{path}: no such file; attnzoo.save_modules writes it")
    try:
        found = json.loads(path.read_text())
        absent = [key for key in _KEYS if found[key] is None]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise UserError(f"{path} is no description of modules: {error}") from error
    if absent or found["format"] != FORMAT:
        raise UserError(f"{path} is of format {found['format']}, right is {FORMAT}")
    for key, kind in _KEYS.items():
        if not isinstance(found[key], kind) or isinstance(found[key], bool):
            raise UserError(f"{path}: {key} is {found[key]!r:.60}, must be of type {kind.__name__}")
    places = found["base"].get("slots")
    numbers = ("channels", "heads")
    if not isinstance(places, dict) or not all(
        isinstance(one, dict) and all(type(one.get(n)) is int for n in numbers)
        for one in places.values()
    ):
        raise UserError(f"{path}: base.slots must give channels and heads of each slot")
    return dict(found)


_KEYS = {
    "format": int, "variant": str, "options": dict, "frames": int, "slots": str, "stack": str,
    "base": dict, "weights_sha256": str,
}  # fmt: skip
"""What a description holds, and of which type."""


def _weights(folder: Path, found: Mapping[str, Any]) -> dict[str, Tensor]:
    path = folder / WEIGHTS
    if not path.is_file():
        raise UserError(f"{path}: no such file")
    if _digest(path) != found["weights_sha256"]:
        raise UserError(f"{path} is not the file that {DESCRIPTION} was written with")
    try:
        return dict(load_file(path))
    except SafetensorError as error:
        raise UserError(f"{path} cannot be read: {error}") from error


def _digest(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while part := file.read(2**20):
            digest.update(part)
    return digest.hexdigest()


def _write(path: Path, text: str) -> None:
    with replacing(path) as beside:
        beside.write_text(text)
