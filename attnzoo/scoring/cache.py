"""Features kept by content: of the same frames, seen by the same network, they are the same.

Each entry carries the SHA-256 of its numbers, so that one that a disk has changed is not believed.
Several processes may use a folder at once.
"""

from __future__ import annotations

import hashlib
import logging
import os
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from attnzoo.errors import UserError
from attnzoo.tensors import write_tensors

_LOG = logging.getLogger(__name__)
_KEY, _SUM = "features", "sha256"
_LAYOUT = "2"
"""Part of every key: entries of before had no checksum."""


def user_folder() -> Path | None:
    """Where features are kept unless told otherwise; None, with a notice, for who has no home."""
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    try:
        return Path(base).expanduser() / "attnzoo" / "features"
    except RuntimeError:
        _LOG.warning("no home folder here, so features are not kept; --cache FOLDER keeps them")
        return None


def content(video: Tensor) -> str:
    """SHA-256 of frames `[f, 3, H, W]` uint8 and their shape; file names and formats are none."""
    digest = hashlib.sha256(repr(tuple(video.shape)).encode())
    digest.update(video.contiguous().cpu().numpy().tobytes())
    return digest.hexdigest()


class Features:
    """A folder of features; without a folder nothing is kept."""

    def __init__(self, folder: Path | None) -> None:
        """Raises UserError if the folder cannot be written to."""
        self._folder = folder
        self.found = 0
        self._full = False
        if folder is None:
            return
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UserError(
                f"--cache {folder}: cannot be written ({error.strerror}); "
                "name another folder, or --cache none"
            ) from error

    def get(self, *key: str) -> Tensor | None:
        """Features under a key, or None; of a damaged entry too, with a notice that names it."""
        path = self._path(key)
        if path is None or not path.is_file():
            return None
        try:
            found = _read(path)
        except (OSError, SafetensorError, ValueError) as error:
            _LOG.warning(
                "%s: this entry of the cache is damaged (%s) and is made again", path, error
            )
            return None
        self.found += 1
        return found

    def put(self, features: Tensor, *key: str) -> None:
        """Keeps features under a key; where that is not possible, a notice says so once."""
        path = self._path(key)
        if path is None:
            return
        features = features.contiguous()
        try:
            write_tensors(path, {_KEY: features}, {_SUM: _digest(features)})
        except (OSError, SafetensorError) as error:
            if not self._full:
                _LOG.warning("%s: nothing can be kept there (%s)", self._folder, error)
            self._full = True

    def _path(self, key: tuple[str, ...]) -> Path | None:
        if self._folder is None:
            return None
        name = hashlib.sha256("\n".join((_LAYOUT, *key)).encode()).hexdigest()
        return self._folder / f"{name}.safetensors"


def _read(path: Path) -> Tensor:
    """ValueError unless the entry is as it was written."""
    with safe_open(path, framework="pt") as file:
        if list(file.keys()) != [_KEY]:
            raise ValueError(f"it holds no {_KEY}")
        found: Tensor = file.get_tensor(_KEY)
        wanted = (file.metadata() or {}).get(_SUM)
    if _digest(found) != wanted:
        raise ValueError("its checksum is another")
    return found


def _digest(features: Tensor) -> str:
    about = f"{features.dtype} {tuple(features.shape)}"
    raw = features.cpu().contiguous().flatten().view(torch.uint8).numpy()
    return hashlib.sha256(about.encode() + raw.tobytes()).hexdigest()
