"""Tensors in a file of safetensors: whole or not there, and to be read by whoever may."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from safetensors.torch import save_file
from torch import Tensor

from attnzoo.files import remove, replacing


def write_tensors(
    path: Path, tensors: Mapping[str, Tensor], texts: Mapping[str, str] | None = None
) -> None:
    """Writes tensors of any device, and a few texts about them, beside `path` and renames them.

    Equal tensors and texts give equal bytes. The file may be read by whom the user's umask lets;
    the library alone writes files for their owner, and beside the one it is told of, so that it is
    given a folder.

    Raises:
        OSError: it cannot be written.
        SafetensorError: as well, for a reason that the library does not tell.
    """
    with replacing(path) as beside:
        # Still `replacing`'s by name, so that a dead process's is found.
        room = beside.with_name(f"{beside.stem}-room{beside.suffix}")
        try:
            room.mkdir()
            beside.touch()
            written = room / path.name
            held = {name: tensor.detach().contiguous() for name, tensor in tensors.items()}
            save_file(held, written, dict(texts or {}) or None)
            if texts:
                _sort_texts(written)
            written.chmod(beside.stat().st_mode)
            written.replace(beside)
        finally:
            remove(room)


def _sort_texts(path: Path) -> None:
    """Puts the texts of a file in order: the library leaves that to chance."""
    with path.open("r+b") as file:
        length = int.from_bytes(file.read(8), "little")
        header = json.loads(file.read(length))
        header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
        text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
        file.seek(8)
        file.write(text.ljust(length))  # spaces at its end belong to the format
