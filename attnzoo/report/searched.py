"""What the search on the validation part can have found: how many tries, and at which end."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from attnzoo.errors import UserError
from attnzoo.report.folder import Folder
from attnzoo.train.record import check_json

Try = Mapping[str, Any]


def tries(folder: Path) -> list[Try]:
    """The log of the search, a line a try; empty if there was none.

    Raises:
        UserError: a line is not JSON, or names no cell.
    """
    log = folder / "search" / "log.jsonl"
    if not log.is_file():
        return []
    found = []
    for number, line in enumerate(log.read_bytes().splitlines(), 1):
        try:
            tried = json.loads(line.decode())
            check_json(tried, "line")
            tried["cell"] = str(tried["cell"])
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise UserError(f"{log}, line {number}: not a line of the search: {error}") from error
        found.append(tried)
    return found


def searched(folder: Folder, protocol: Mapping[str, Any]) -> str:
    """Whose tries were fewer than they look, and whose choice is the end of its grid, in words."""
    of: dict[str, list[Try]] = {}
    for tried in tries(folder.path):
        if tried["cell"] in folder.cells:
            of.setdefault(tried["cell"], []).append(tried)
    told = []
    for cell, found in of.items():
        different = len({json.dumps(one.get("scores", i)) for i, one in enumerate(found)})
        if different < len(found):
            told.append(f"{folder.cells[cell].label} has {different} different of {len(found)}")
    parts = []
    if told:
        parts.append(
            f"Tries of the search that score exactly alike are one run: {', '.join(told)}."
        )
    ends = [
        folder.cells[c].label for c, found in of.items() if _lowest(found, _chosen(protocol, c))
    ]
    if ends:
        parts.append(
            f"The lowest rate that was tried was chosen for {', '.join(ends)}: a lower one may be "
            "better still."
        )
    return " ".join(parts)


def _chosen(protocol: Mapping[str, Any], cell: str) -> Mapping[str, Any]:
    return protocol["cells"][cell].get("chosen") or {}


def _lowest(found: Sequence[Try], chosen: Mapping[str, Any]) -> bool:
    """Whether a rate was chosen than which only higher ones were tried."""
    for key in (key for key in chosen if key.endswith("learning_rate")):
        rates = [rate for one in found if (rate := _rate(one, key)) is not None]
        own = _number(chosen[key])
        if own is not None and rates and own == min(rates) < max(rates):
            return True
    return False


def _rate(tried: Try, key: str) -> float | None:
    settings = tried.get("setting")
    for setting in settings if isinstance(settings, list) else ():
        name, _, value = str(setting).partition("=")
        if name == key:
            return _number(value)
    return None


def _number(value: Any) -> float | None:
    try:
        return float(value)
    except (TypeError, ValueError):
        return None
