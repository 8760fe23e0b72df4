"""Imports of other people's mechanisms, with errors that say whose.

Part of the registry: imports the standard library only.
"""

from __future__ import annotations

import functools
import hashlib
import importlib
import importlib.util
import linecache
import sys
import traceback
from collections.abc import Callable
from importlib.machinery import SourceFileLoader
from importlib.metadata import EntryPoint
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

from attnzoo._options import RegistrationError
from attnzoo.errors import UserError
from attnzoo.paths import typed

loaded_files: dict[Path, ModuleType] = {}
"""The modules of the files that `plugin_module` has run."""


def imported(what: str, load: Callable[[], Any], file: Path | None = None) -> Any:
    """What `load()` gives; if it fails, a RegistrationError that begins with `what`.

    With `file` the message ends with the line of that file in which it happened.
    """
    try:
        return load()
    except UserError:
        raise
    except (Exception, SystemExit) as error:
        frames = traceback.extract_tb(error.__traceback__)
        lines = [frame.lineno for frame in frames if frame.filename == str(file)]
        where = f" (line {lines[-1]})" if lines else ""
        raise RegistrationError(
            f"{what} does not import: {type(error).__name__}: {error}{where}"
        ) from error


def plugin_module(text: str) -> ModuleType:
    """The module of a `.py` file, run once, or of a module's name.

    Raises:
        UserError: no such file, or an import that fails.
    """
    if not text.endswith(".py"):
        module: ModuleType = imported(text, functools.partial(importlib.import_module, text))
        return module
    path = typed(text, f"plugin {text!r}").resolve()
    if path not in loaded_files:
        if not path.is_file():
            raise UserError(f"plugin {text!r}: no such file")
        loaded_files[path] = imported(text, functools.partial(import_file, path), path)
    return loaded_files[path]


def entry_point_fault(point: EntryPoint, registers: Callable[[], bool], what: str) -> str | None:
    """Imports what an entry point names; None, or in one line why it gives nothing.

    `registers` says afterwards whether any `what` came of it.
    """
    package = f" of {point.dist.name} {point.dist.version}" if point.dist else ""
    name = f"entry point {point.name} = {point.value}{package}"
    try:
        imported(name, point.load)
    except UserError as error:
        text = " ".join(str(error).split())
        return text if text.startswith(name) else f"{name}: {text}"
    return None if registers() else f"{name} {what}"


class _Uncached(SourceFileLoader):
    """Runs the file's text, of which digests are: what Python keeps compiled may be of another that
    had as many bytes in the same second.
    """

    def get_code(self, fullname: str) -> CodeType:
        """Compiled anew."""
        return self.source_to_code(self.get_data(self.path), self.path)


def import_file(path: Path) -> ModuleType:
    """The module of a `.py` file anywhere, run now."""
    # The whole path makes the module's name, so that two files of one name do not collide.
    name = "attnzoo_plugin_" + "".join(c if c.isalnum() else "_" for c in str(path.with_suffix("")))
    loader = _Uncached(name, str(path))
    spec = importlib.util.spec_from_file_location(name, path, loader=loader)
    if spec is None or spec.loader is None:
        raise ImportError(f"no loader for {path}")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # typing.get_type_hints and pickle look the module up here
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def digest(file: str) -> str | None:
    """SHA-256 of a file's bytes, or of the text that Python keeps for a notebook's cell."""
    try:
        content = Path(file).read_bytes()
    except OSError:
        content = "".join(linecache.getlines(file)).encode()
    return hashlib.sha256(content).hexdigest() if content else None


def place_of(file: str, line: int) -> str:
    """`file:line`, a file of the package from the package's folder on."""
    package = Path(__file__).parent
    path = Path(file)
    inside = path.is_relative_to(package)
    return f"{path.relative_to(package.parent) if inside else path}:{line}"


def is_typed_again(old: type, new: type) -> bool:
    """Whether a class statement is executed anew at a prompt, as a notebook's cell is."""
    names = {(cls.__module__, cls.__qualname__) for cls in (old, new)}
    return hasattr(sys, "ps1") and len(names) == 1 and new.__module__ == "__main__"
