"""Where published weights lie: folders, hub ids and DisCo's file, looked for and not read.

A hub id is looked up in the local cache; the network is asked only where `download` says so.
"""

from __future__ import annotations

import json
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

_NAMES = "|".join(WEIGHTS)
_FILE = re.compile(rf"(?:{_NAMES})(?:\.(?P<kind>(?!index\b)\w+))?\.(?:safetensors|bin)")
_INDEX = re.compile(rf"(?:{_NAMES})\.(?:safetensors|bin)\.index(?:\.(?P<kind>\w+))?\.json")
"""What stands for `kind` tells apart files that hold the same tensors otherwise, as `fp16`."""

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

    @property
    def inside(self) -> Path:
        """The folder that holds the part's own files, for what lies on this machine."""
        return self.root / self.folder if self.folder else self.root

    def missing(self, config: str, *, weights: bool = True) -> str | None:
        """What is not there, in words, or None; reads no weights and asks no network."""
        if not self.root.is_dir():
            return self._missing_in_cache(config, weights)
        if not (self.inside / config).is_file():
            return f"{self}: no {config} there"
        return self._missing_weights() if weights else None

    def _missing_weights(self) -> str | None:
        kinds = self.kinds()
        if not kinds:
            return f"{self}: no weights there, such as {' or '.join(WEIGHTS[:2])}.safetensors"
        if self.kind() is None:
            return (
                f"{self}: weights of several kinds there ({', '.join(map(repr, kinds))}) and none "
                "without a word before its ending; give the one to be read its plain name"
            )
        shards = {shard for index in self._indices() for shard in _shards(index)}
        gone = sorted(name for name in shards if not (self.inside / name).is_file())
        if gone:
            return f"{self}: {gone[0]} is not there, of {len(shards)} files of weights"
        return None

    def kinds(self) -> list[str]:
        """What stands before the endings of the weights' files, as `fp16`; plain ones have "".

        Of a folder on this machine. Plain files count alone where there are any.
        """
        found = set()
        for path in self.inside.glob("*"):
            match = _FILE.fullmatch(path.name) or _INDEX.fullmatch(path.name)
            if match is not None and path.is_file():
                found.add(match["kind"] or "")
        return [""] if "" in found else sorted(found)

    def kind(self) -> str | None:
        """The kind of files that is read, "" for plain ones; None where it is not clear."""
        kinds = self.kinds()
        return kinds[0] if len(kinds) == 1 else None

    def _indices(self) -> list[Path]:
        """The index that is read of weights in several files, safetensors before pickles."""
        kind = self.kind()
        for ending in ("safetensors", "bin"):
            for name in WEIGHTS:
                whole = f"{name}.{kind}.{ending}" if kind else f"{name}.{ending}"
                if (self.inside / whole).is_file():
                    return []
            index = f".{ending}.index" + (f".{kind}" if kind else "") + ".json"
            found = [self.inside / f"{name}{index}" for name in WEIGHTS]
            there = [path for path in found if path.is_file()]
            if there:
                return there[:1]
        return []

    def _missing_in_cache(self, config: str, weights: bool) -> str | None:
        if self.root.is_file():
            return (
                f"{self.setting}={self.where}: a file; a folder in diffusers' layout is needed, as "
                "StableDiffusionPipeline.from_single_file(FILE).save_pretrained(FOLDER) writes it"
            )
        if not _HUB_ID.fullmatch(self.where):
            return f"{self.setting}={self.where}: no such folder, and no hub id (OWNER/NAME)"
        if self.download:
            return None
        files = [f"{name}{suffix}" for name in WEIGHTS for suffix in SUFFIXES]
        inside = f"{self.folder}/" if self.folder else ""
        absent = None
        if not self._cached(config):
            absent = f"{inside}{config}"
        elif weights and not any(map(self._cached, files)):
            absent = f"a file of weights of {inside or 'it'}"
        if absent is None:
            return None
        return (
            f"{self.setting}={self.where}: no such folder, and {absent} is not in the local cache "
            "of the hub; model.download=true fetches it"
        )

    def _cached(self, name: str) -> bool:
        from huggingface_hub import try_to_load_from_cache

        inside = f"{self.folder}/{name}" if self.folder else name
        return isinstance(try_to_load_from_cache(self.where, inside), str)

    def arguments(self) -> dict[str, Any]:
        """For `from_pretrained` and `load_config`."""
        found: dict[str, Any] = {"local_files_only": not self.download}
        if self.folder:
            found["subfolder"] = self.folder
        return found

    def weights(self) -> dict[str, Any]:
        """For `from_pretrained`: which kind of files is read, where it is not the plain one."""
        kind = self.kind() if self.root.is_dir() else None
        return {"variant": kind} if kind else {}


def _shards(index: Path) -> set[str]:
    """The files that an index names; what is no index is said where it is read."""
    try:
        return set(map(str, json.loads(index.read_text())["weight_map"].values()))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return set()


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
