"""The configuration that lies in a run's folder, which may have come from elsewhere.

A run writes plain values, and where the plug-ins of its user lie. Whatever else stands there is
refused: reading it runs no code, looks nothing up and ends.
"""

from __future__ import annotations

import importlib.util
import os
import site
import sysconfig
from collections.abc import Iterator
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path

import yaml

from attnzoo import config
from attnzoo.errors import UserError
from attnzoo.overrides import PLUGINS, quoted
from attnzoo.paths import regular, typed
from attnzoo.yaml_files import UNREADABLE, why_not

CONFIG = "config.yaml"

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""Of libyaml, where it was built in: the other takes seconds for deep nesting."""

_LOOK_UP, _MISSING = "${", "???"
"""What OmegaConf takes for a look-up, and for a value that is missing."""


def read(folder: Path, said: str) -> str:
    """The text of a folder's configuration.

    Args:
        folder: of a run.
        said: how the folder was given, such as `resume=FOLDER`: errors begin with it.

    Raises:
        UserError: there is none that can be read, it is cut off, or it holds what no run writes.
    """
    if not folder.is_dir():
        raise UserError(f"{said}: no {CONFIG} there, no such folder; {_RIGHT}")
    text, whole = "", True
    try:
        text = regular(folder / CONFIG).read_text()
        whole = text.splitlines()[-1:] == [config.END.strip()]
        foreign = any(map(_is_foreign, yaml.scan(text, _LOADER)))
    except (OSError, *UNREADABLE) as error:
        if not whole:
            raise _cut(said) from error
        told = getattr(error, "strerror", None) or why_not(error)
        raise UserError(f"{said}: no {CONFIG} can be read there ({told}); {_RIGHT}") from error
    if foreign:
        raise UserError(
            f"{said}: its {CONFIG} holds aliases, ??? or ${{...}}, which no run writes; {_RIGHT}"
        )
    if not whole:
        raise _cut(said)
    return text


def _cut(said: str) -> UserError:
    return UserError(
        f"{said}: its {CONFIG} is cut off, or of an earlier version: its last line is not "
        f"{config.END.strip()!r}; if all is there, add it"
    )


_RIGHT = "give the folder of an earlier run"


def _is_foreign(token: yaml.Token) -> bool:
    """Whether it is no plain value; escapes are undone in a token, and not in the text."""
    if isinstance(token, yaml.ScalarToken):
        return _LOOK_UP in token.value or token.value == _MISSING
    return isinstance(token, yaml.AliasToken)


def overrides_of(text: str, folder: Path, said: str, *, anew: bool) -> list[str]:
    """The overrides under which Hydra composes what `read` gave again.

    Its plug-ins are among them unless they are named anew on the command line.

    Raises:
        UserError: it names no variant and data, or a plug-in whose code may have come with it.
    """
    try:
        groups = config.groups_of(text)
        stored = [] if anew else config.plugins_of(text)
    except UserError as error:
        raise UserError(f"{folder / CONFIG}: {error}") from error
    for plugin in stored:
        named = ",".join(Path(one).name if one == plugin else one for one in stored)
        check = _check_file if plugin.endswith(".py") else _check_module
        check(plugin, folder, said, f"{said} +{PLUGINS}=[{named}]")
    return [*groups, *([f"{PLUGINS}=[{','.join(map(quoted, stored))}]"] if stored else [])]


def _check_file(plugin: str, folder: Path, said: str, named: str) -> None:
    """UserError unless a stored plug-in is the file that a user of this machine named once.

    A folder may come from elsewhere, and code that comes with it runs only when it is named anew.
    """
    path = typed(plugin, f"{said}: its plug-in {plugin}")
    # A run stores whole paths; below these lie other words for the working directory.
    words = path.parts[1:2] == ("proc",) or path.parts[1:3] == ("dev", "fd")
    whole = os.path.abspath(plugin) == plugin and not words
    if not whole or _lies_in(path, folder):
        raise UserError(
            f"{said}: its plug-in {plugin} came with the folder, and code is run only "
            f"when it is named: {named}, if you trust it"
        )
    if not path.is_file():
        raise UserError(f"{said}: its plug-in {plugin} is gone; say where it is now, as in {named}")


def _check_module(plugin: str, folder: Path, said: str, named: str) -> None:
    """UserError for a stored module that may have come with the folder.

    In the working directory lies what was put there, unless it is where packages are installed.
    """
    if not all(part.isidentifier() for part in plugin.split(".")):
        raise UserError(f"{said}: its plug-in {plugin!r} is neither a file.py nor a module's name")
    here, installed = Path.cwd(), _installed()
    for place in _places(plugin):
        lies_here = (
            here != Path(here.anchor)  # where everything lies
            and _lies_in(place, here)
            and not any(_lies_in(place, one) for one in installed)
        )
        if _lies_in(place, folder) or lies_here:
            raise UserError(
                f"{said}: its plug-in {plugin} lies in {place}, which may have come with the "
                f"folder, and code is run only when it is named: {named}, if you trust it"
            )


def _lies_in(path: Path, folder: Path) -> bool:
    """By its name, or where its links lead."""
    named = path.absolute().is_relative_to(folder.absolute())
    return named or path.resolve().is_relative_to(folder.resolve())


def _places(module: str) -> Iterator[Path]:
    """The files and folders whose code importing a module would run; none is run."""
    top, *below = module.split(".")
    spec = _spec(top)
    while spec is not None:
        if spec.has_location and spec.origin is not None:
            yield Path(spec.origin)
        inside = list(spec.submodule_search_locations or ())
        yield from map(Path, inside)
        # By its last name: whoever looks for a whole one wants its package imported.
        spec = PathFinder.find_spec(below.pop(0), inside) if below else None


def _spec(top: str) -> ModuleSpec | None:
    """Where a name without dots would be imported from."""
    try:
        return importlib.util.find_spec(top)
    except (ImportError, ValueError):  # of what has no place, such as __main__
        return None


def _installed() -> list[Path]:
    """Where this interpreter has its packages."""
    known = sysconfig.get_paths()
    paths = [known[name] for name in ("stdlib", "platstdlib", "purelib", "platlib")]
    return [Path(path) for path in (*paths, *site.getsitepackages(), site.getusersitepackages())]
