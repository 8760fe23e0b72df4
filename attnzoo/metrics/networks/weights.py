"""Weights from a user's files: read without unpickling code, with the digest of what was read."""

from __future__ import annotations

import functools
import hashlib
import pickle
import warnings
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from attnzoo.errors import DAMAGED, UserError

UNREADABLE: tuple[type[Exception], ...] = (SafetensorError, *DAMAGED)

_WRAPPERS = ("state_dict", "model", "module", "target_encoder", "encoder", "classifier")
"""Keys under which published checkpoints keep the weights."""


def sha256(path: Path) -> str:
    """SHA-256 of a file, computed once while it stays the same."""
    stat = path.stat()
    return _digest(path, stat.st_size, stat.st_mtime_ns)


@functools.lru_cache(maxsize=64)
def _digest(path: Path, size: int, modified: int) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def read_weights(path: Path, *, drop: Iterable[str] = ("module.",)) -> dict[str, Tensor]:
    """The tensors of a `.safetensors` file or of a checkpoint of `torch.save`, by name.

    A checkpoint's own wrapper (`state_dict`, `model`, ...) is opened, and the parts of names in
    `drop` are taken out.

    Raises:
        UserError: it cannot be read, holds more than tensors and plain values, or no weights.
    """
    try:
        if path.suffix == ".safetensors":
            content: Any = load_file(path)
        else:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", UserWarning)  # of other pickle protocols
                content = torch.load(path, map_location="cpu", weights_only=True)
    except UNREADABLE as error:
        raise UserError(f"{path}: no weights can be read ({_line(error)})") from error
    except pickle.UnpicklingError as error:
        # torch's own text advises to run what is in the file.
        raise UserError(
            f"{path}: no weights can be read; a file of weights alone is needed, since code in a "
            "file is not run"
        ) from error
    for _ in _WRAPPERS:
        if not isinstance(content, Mapping) or _is_state(content):
            break
        inner = next((content[key] for key in _WRAPPERS if key in content), None)
        if inner is None:
            raise UserError(f"{path}: holds no weights under {', '.join(_WRAPPERS)}")
        content = inner
    if not isinstance(content, Mapping) or not _is_state(content):
        raise UserError(f"{path}: holds a {type(content).__name__}, not weights by name")
    return {_without(name, drop): value for name, value in content.items()}


def _is_state(content: Mapping[str, Any]) -> bool:
    texts = all(isinstance(name, str) for name in content)
    return bool(content) and texts and all(isinstance(v, Tensor) for v in content.values())


def _without(name: str, parts: Iterable[str]) -> str:
    for part in parts:
        name = name.replace(part, "")
    return name


def fill(network: nn.Module, state: Mapping[str, Tensor], path: Path) -> nn.Module:
    """Loads all weights of `network`, ready for use: evaluation mode, no gradients.

    Counters of batch normalisation may be missing, as in old files.

    Raises:
        UserError: names or shapes are not the network's.
    """
    own = network.state_dict()
    needed = {name for name in own if not name.endswith("num_batches_tracked")}
    foreign = sorted(set(state) - set(own))
    missing = sorted(needed - set(state))
    if missing or foreign:
        what = f"lacks {missing[0]}" if missing else f"has {foreign[0]}"
        raise UserError(f"{path}: not the weights of {type(network).__name__}: {what}")
    for name, value in state.items():
        if value.shape != own[name].shape:
            raise UserError(
                f"{path}: not the weights of {type(network).__name__}: {name} is "
                f"{tuple(value.shape)}, not {tuple(own[name].shape)}"
            )
    network.load_state_dict(state, strict=False)
    return network.eval().requires_grad_(False)


def is_torchscript(path: Path) -> bool:
    """Whether a file is a TorchScript archive rather than weights."""
    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        return any(name.endswith("/constants.pkl") for name in archive.namelist())


def _line(error: BaseException) -> str:
    return (" ".join(str(error).split()) or type(error).__name__)[:120]
