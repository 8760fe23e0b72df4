"""Where published weights lie: folders, hub ids and DisCo's file, looked for and not read.

A hub id is looked up in the local cache; the network is asked only where `download` says so.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from attnzoo.errors import UserError
from attnzoo.paths import typed

WEIGHTS = ("diffusion_pytorch_model", "model", "pytorch_model")
"""Names of weights' files, before what tells shards and formats apart."""
SUFFIXES = (".safetensors", ".safetensors.index.json", ".bin", ".bin.index.json")

DISCO = "mp_rank_00_model_states.pt"
"""The file that DeepSpeed wrote of DisCo's network."""

_HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")


@dataclass(frozen=True)
class Place:
    """Where one part lies: a folder or hub id, and the folder inside it, if any.

    setting: what names it on the command line; folder: in place of a `model.path` that holds all
    parts under their names; download: whether a hub id may be fetched.
    """

    setting: str
    where: str
    folder: str | None = None
    download: bool = False

    @property
    def root(self) -> Path:
        """As a path, for what lies on this machine."""
        return typed(self.where, f"{self.setting}={self.where}")

    @property
    def source(self) -> str:
        """What the libraries' loaders take: the path where there is one, else the hub id."""
        return str(self.root) if self.root.is_dir() else self.where

    def __str__(self) -> str:
        inside = f" ({self.folder}/)" if self.folder else ""
        return f"{self.setting}={self.where}{inside}"

    def missing(self, config: str, *, weights: bool = True) -> str | None:
        """What is not there, in words, or None; reads no weights and asks no network."""
        if not self.root.is_dir():
            return self._missing_in_cache(config)
        folder = self.root / self.folder if self.folder else self.root
        if not (folder / config).is_file():
            return f"{self}: no {config} there"
        if weights and not any((folder / f"{n}{s}").is_file() for n in WEIGHTS for s in SUFFIXES):
            return f"{self}: no weights there, such as {' or '.join(WEIGHTS[:2])}.safetensors"
        return None

    def _missing_in_cache(self, config: str) -> str | None:
        if not _HUB_ID.fullmatch(self.where):
            return f"{self.setting}={self.where}: no such folder, and no hub id (OWNER/NAME)"
        if self.download:
            return None
        from huggingface_hub import try_to_load_from_cache

        name = f"{self.folder}/{config}" if self.folder else config
        if isinstance(try_to_load_from_cache(self.where, name), str):
            return None
        return (
            f"{self.setting}={self.where}: no such folder, and {name} is not in the local cache of "
            "the hub; model.download=true fetches it"
        )

    def arguments(self) -> dict[str, Any]:
        """For `from_pretrained` and `load_config`."""
        inside = {"subfolder": self.folder} if self.folder else {}
        return {"local_files_only": not self.download, **inside}


def disco_file(path: str) -> Path:
    """DisCo's checkpoint: given as the file itself, or as DeepSpeed's folder.

    Raises:
        UserError: there is none.
    """
    given = typed(path, f"model.disco={path}")
    found = given / DISCO if given.is_dir() else given
    if not found.is_file():
        raise UserError(f"model.disco={path}: no such file; give DisCo's {DISCO} or its folder")
    return found
