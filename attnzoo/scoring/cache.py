"""Features kept by content: of the same frames, seen by the same network, they are the same."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from attnzoo.errors import UserError
from attnzoo.files import replacing

_KEY = "features"


def user_folder() -> Path:
    """Where features are kept unless told otherwise."""
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(base).expanduser() / "attnzoo" / "features"


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
        """Features under a key, or None."""
        path = self._path(key)
        if path is None or not path.is_file():
            return None
        try:
            found = load_file(path)[_KEY]
        except (OSError, SafetensorError, KeyError):
            return None  # of a process that was killed, or of a full disk: made again
        self.found += 1
        return found

    def put(self, features: Tensor, *key: str) -> None:
        """Keeps features under a key."""
        path = self._path(key)
        if path is not None:
            with replacing(path) as beside:
                save_file({_KEY: features.contiguous()}, beside)

    def _path(self, key: tuple[str, ...]) -> Path | None:
        if self._folder is None:
            return None
        name = hashlib.sha256("\n".join(key).encode()).hexdigest()
        return self._folder / f"{name}.safetensors"
