"""The digest of a plug-in with the files beside it that it imports: all of them are its code.

Part of the registry: imports the standard library only.
"""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterator
from pathlib import Path

from attnzoo._imports import digest

INSTALLED = ("site-packages", "dist-packages")


def code_digest(file: str) -> str | None:
    """SHA-256 of a file, and of those beside it, or in its package, that it imports, if any.

    What is found is read and not run, so that it does not depend on what else is imported. Files
    elsewhere, as of installed libraries, do not count.
    """
    own, path = digest(file), Path(file)
    if own is None or not path.is_file():
        return own
    others = sorted(_reached(path.resolve()))
    if not others:
        return own
    parts = [own, *(str(digest(str(other))) for other in others)]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def _reached(first: Path) -> set[Path]:
    seen, left = {first}, [first]
    while left:
        for found in _imported(left.pop()):
            if found not in seen:
                seen.add(found)
                left.append(found)
    return seen - {first}


def _imported(path: Path) -> Iterator[Path]:
    try:
        tree = ast.parse(path.read_bytes())
    except (OSError, SyntaxError, ValueError):
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield from _files(_places(path, alias.name), alias.name)
        elif isinstance(node, ast.ImportFrom):
            module = node.module or ""
            places = [path.parents[node.level - 1]] if node.level else _places(path, module)
            for alias in node.names:
                yield from _files(places, f"{module}.{alias.name}")


def _places(path: Path, name: str) -> list[Path]:
    """Where a whole name may begin: beside the file, or at the package that it lies in."""
    top = path.parent
    while (top / "__init__.py").is_file():
        name_of_package, top = top.name, top.parent
    if top != path.parent:
        return [top] if name.partition(".")[0] == name_of_package else []
    # All that is installed lies there, and this package beside what is written in its checkout.
    return [] if top.name in INSTALLED or name.partition(".")[0] == "attnzoo" else [top]


def _files(places: list[Path], name: str) -> Iterator[Path]:
    """Of `a.b`: `a/__init__.py` and `a/b.py` or `a/b/__init__.py`, where they are."""
    for place in places:
        for part in filter(None, name.split(".")):
            place = place / part
            for file in (place.with_suffix(".py"), place / "__init__.py"):
                if file.is_file():
                    yield file.resolve()
