"""attnzoo: temporal attention for video diffusion, compared under one roof.

Importing this package imports no torch: what stands here is looked up when it is first asked for.
It also installs the import hook of `attnzoo._torchvision`, which acts only when somebody imports
a torchvision that cannot load beside the present torch.
"""

from __future__ import annotations

import importlib
import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

from attnzoo import _torchvision

if TYPE_CHECKING:
    from attnzoo import attention as attention
    from attnzoo import report as report
    from attnzoo import results as results
    from attnzoo import testing as testing
    from attnzoo.errors import UserError
    from attnzoo.models.attach import attach, detach
    from attnzoo.models.published import load_animatediff, load_tune_a_video
    from attnzoo.models.storage import load_modules, save_modules
    from attnzoo.motion import Motion
    from attnzoo.motion import following as motion
    from attnzoo.registry import (
        Entry,
        Kind,
        cost,
        create,
        get,
        list_variants,
        load_plugin,
        register,
        schema,
        show,
    )
    from attnzoo.testing.receptive_field import receptive_field, slot_receptive_field

    __version__: str

__all__ = [
    "Entry",
    "Kind",
    "Motion",
    "UserError",
    "__version__",
    "attach",
    "cost",
    "create",
    "detach",
    "get",
    "list_variants",
    "load_animatediff",
    "load_modules",
    "load_plugin",
    "load_tune_a_video",
    "motion",
    "receptive_field",
    "register",
    "save_modules",
    "schema",
    "show",
    "slot_receptive_field",
]

_HOMES = {
    "Motion": "attnzoo.motion",
    "UserError": "attnzoo.errors",
    "attach": "attnzoo.models.attach",
    "detach": "attnzoo.models.attach",
    "load_animatediff": "attnzoo.models.published",
    "load_modules": "attnzoo.models.storage",
    "load_tune_a_video": "attnzoo.models.published",
    "receptive_field": "attnzoo.testing.receptive_field",
    "save_modules": "attnzoo.models.storage",
    "slot_receptive_field": "attnzoo.testing.receptive_field",
}

_ROOMS = ("attention", "report", "results", "testing")
"""Packages and modules that need not be imported by themselves."""

_torchvision.install()


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import PackageNotFoundError, version

        try:
            return version("attnzoo")
        except PackageNotFoundError:  # imported from a source tree that is not installed
            return "0+source"
    if name in _ROOMS:
        return importlib.import_module(f"attnzoo.{name}")
    if name == "motion":  # the module itself, which can be called
        return importlib.import_module("attnzoo.motion")
    if name in __all__:
        return getattr(importlib.import_module(_HOMES.get(name, "attnzoo.registry")), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, *_ROOMS})


class _Package(ModuleType):
    """Keeps public names when a submodule of the same name is imported.

    `attnzoo.show` is a function; the command `attnzoo/show.py` must not take its place, as
    Python's import would have it.
    """

    def __setattr__(self, name: str, value: object) -> None:
        if not (name in __all__ and isinstance(value, ModuleType)):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package
