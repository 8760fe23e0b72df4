"""JSON as people and programs leave it in files of results: read strictly.

Part of the registry: imports the standard library only.
"""

from __future__ import annotations

import json
from typing import Any


def decoded(content: bytes) -> Any:
    """The value that a file of JSON holds; a byte order mark in front of it is let pass.

    Raises:
        ValueError: it is not JSON in UTF-8, holds NaN or an infinity, or has one key twice, of
            which a reader would silently take the last.
        RecursionError: brackets lie too deep.
    """
    return _DECODER.decode(content.decode("utf-8-sig"))


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"it has {twice!r:.60} twice")
    return found


def _refused(name: str) -> float:
    raise ValueError(f"it holds {name}, which is no JSON number")


_DECODER = json.JSONDecoder(parse_constant=_refused, object_pairs_hook=_once)
