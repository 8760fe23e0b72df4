"""Imports of other people's mechanisms, with errors that say whose.

Part of the registry: imports the standard library only.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

from attnzoo._options import RegistrationError
from attnzoo.errors import UserError


def imported(what: str, load: Callable[[], Any]) -> Any:
    """What `load()` gives; if it fails, a RegistrationError that begins with `what`."""
    try:
        return load()
    except UserError:
        raise
    except Exception as error:
        raise RegistrationError(
            f"{what} does not import: {type(error).__name__}: {error}"
        ) from error


def import_file(path: Path) -> ModuleType:
    """The module of a `.py` file anywhere, run now."""
    # The whole path makes the module's name, so that two files of one name do not collide.
    name = "attnzoo_plugin_" + "".join(c if c.isalnum() else "_" for c in str(path.with_suffix("")))
    spec = importlib.util.spec_from_file_location(name, path)
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
