"""An import hook that lets torchvision load beside a CPU build of torch.

PyPI's torchvision is built against the CUDA build of torch. Beside the CPU build its library
`_C.so` cannot be loaded, for want of CUDA's libraries; torchvision swallows that error, and its
import then fails at the first operator that the library would have declared
(`RuntimeError: operator torchvision::nms does not exist`), and with it that of whatever imports
torchvision when it is there, diffusers and transformers included (pytorch/vision#9077, #9085).

The hook acts once, when torchvision is first imported (not when somebody only looks whether it is
installed): it loads the library, and where that fails on a CPU build of torch it declares the two
operators that the import needs, by their signature only. No operator is faked: calling one still
raises torchvision's own "Couldn't load custom C++ ops". Where the library loads, and where torch
has CUDA, nothing is changed.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any

_LOG = logging.getLogger(__name__)

OPERATORS = (
    "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
)
"""What torchvision's import looks up: their schemas, as torchvision declares them."""

_declared: list[Any] = []  # the declaration lives only as long as its Library object


def install() -> None:
    """Puts the hook in front of the import system; once, and not if torchvision is there."""
    known = any(isinstance(finder, _Finder) for finder in sys.meta_path)
    if not known and "torchvision" not in sys.modules:
        sys.meta_path.insert(0, _Finder())


def repair(folder: Path) -> bool:
    """Declares the operators if the library in torchvision's `folder` cannot load; True if so."""
    import torch

    library = next((file for file in sorted(folder.glob("_C*")) if file.suffix != ".py"), None)
    if library is None or torch.version.cuda is not None or hasattr(torch.ops.torchvision, "nms"):
        return False
    try:
        torch.ops.load_library(str(library))
    except OSError as error:
        _LOG.info("torchvision's %s does not load (%s): operators declared", library, error)
    else:
        return False
    fragment = torch.library.Library("torchvision", "FRAGMENT")
    for operator in OPERATORS:
        fragment.define(operator)
    _declared.append(fragment)
    return True


class _Finder(MetaPathFinder):
    """Finds torchvision where the others find it, and puts `_Loader` before its loader."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname != "torchvision":
            return None
        for finder in sys.meta_path:
            if finder is self or not hasattr(finder, "find_spec"):
                continue
            spec = finder.find_spec(fullname, path, target)
            if spec is not None:
                if spec.loader is not None:
                    spec.loader = _Loader(spec.loader)
                return spec
        return None


class _Loader(Loader):
    """Runs the repair, hands the module back to its own loader and is gone."""

    def __init__(self, loader: Loader) -> None:
        self._loader = loader

    def __getattr__(self, name: str) -> Any:
        if name == "_loader":  # not set yet, as in a copy
            raise AttributeError(name)
        return getattr(self._loader, name)

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        spec = module.__spec__
        if spec is not None:
            spec.loader = module.__loader__ = self._loader
            folders = spec.submodule_search_locations or []
            for folder in list(folders)[:1]:
                repair(Path(folder))
        sys.meta_path[:] = [finder for finder in sys.meta_path if not isinstance(finder, _Finder)]
        self._loader.exec_module(module)
