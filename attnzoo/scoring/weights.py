"""Where the weights of published networks are on this machine."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from attnzoo._options import suggestion
from attnzoo._siblings import code_digest
from attnzoo.errors import UserError
from attnzoo.metrics.features import WEIGHTS as EMBEDDED
from attnzoo.metrics.networks.weights import sha256
from attnzoo.metrics.registry import Metric, Network, WeightFile
from attnzoo.paths import typed


@dataclass(frozen=True)
class Found:
    """A network's files and what to call it with them."""

    files: tuple[Path, ...]
    said: str
    key: str


@dataclass(frozen=True)
class Weights:
    """Files that were named, and folders to look for the others in."""

    named: Mapping[str, Path] = field(default_factory=dict)
    folders: Sequence[Path] = ()

    def of(self, network: Network) -> Found | str:
        """The files of a network, or what is missing."""
        files = [self._file(weights) for weights in network.weights]
        for weights, file in zip(network.weights, files, strict=True):
            if file is None:
                names = " or ".join(weights.names)
                return (
                    f"no weights of {network.title}: {names} ({weights.origin}); "
                    f"--weights FOLDER or --weights {weights.option}=FILE"
                )
        here = tuple(file for file in files if file is not None)
        if not here and (code := foreign_code(network.load)):
            return Found(here, f"{network.title}, whose code has the sha256 {code}", code)
        digests = [sha256(file) for file in here or (EMBEDDED,)]
        said = [
            _said(weights, digest)
            for weights, digest in zip(network.weights, digests, strict=False)
        ] or [f"sha256 {digests[0]}"]
        return Found(here, ", ".join([network.title, *said]), "+".join(digests))

    def _file(self, weights: WeightFile) -> Path | None:
        if weights.option in self.named:
            return self.named[weights.option]
        places = (folder / name for folder in self.folders for name in weights.names)
        return next((place for place in places if place.is_file()), None)


def foreign_code(*functions: Callable[..., Any] | None) -> str:
    """SHA-256 of the code of functions that are none of this package's, as a plug-in's are."""
    found = set()
    for function in functions:
        while isinstance(function, functools.partial):
            function = function.func
        module = inspect.getmodule(inspect.unwrap(function)) if function is not None else None
        if module is not None and module.__name__.partition(".")[0] != "attnzoo":
            found.add(str(code_digest(module.__file__ or "")))
    return "+".join(sorted(found))


def _said(weights: WeightFile, digest: str) -> str:
    text = f"sha256 {digest}"
    if weights.sha256 is not None and not digest.startswith(weights.sha256):
        text += f" (not the published file, whose digest begins with {weights.sha256})"
    return text


def parse(given: Sequence[str], metrics: Sequence[Metric]) -> Weights:
    """What `--weights` says: folders, and files as NAME=FILE.

    Raises:
        UserError: no such folder or file, or no network takes a file of that name.
    """
    options = sorted(
        {file.option for m in metrics if m.sight is not None for file in m.sight.weights}
    )
    named: dict[str, Path] = {}
    folders: list[Path] = []
    for text in given:
        name, equals, path = text.partition("=")
        if not equals:
            folder = typed(text, f"--weights {text}")
            if not folder.is_dir():
                raise UserError(f"--weights {text}: no such folder; a file is NAME=FILE")
            folders.append(folder)
            continue
        if name not in options:
            raise UserError(f"--weights {text}: no network {name!r}{suggestion(name, options)}")
        named[name] = typed(path, f"--weights {text}")
        if not named[name].is_file():
            raise UserError(f"--weights {text}: no such file")
    return Weights(named, [*folders, *_downloaded()])


def _downloaded() -> list[Path]:
    import torch

    return [Path(torch.hub.get_dir()) / "checkpoints"]
