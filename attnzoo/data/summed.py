"""Plain values as JSON with a checksum, so that what a disk has changed is found."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from attnzoo.errors import passing
from attnzoo.files import replacing
from attnzoo.paths import regular

_LOG = logging.getLogger(__name__)

SUM = "sha256"


def write(path: Path, content: Mapping[str, Any]) -> None:
    """Writes values whole or not at all; the folder is made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as beside:
        beside.write_text(json.dumps({**content, SUM: _sum(content)}))


def notice(path: Path) -> None:
    """Tells of a damaged file that is to be made anew."""
    _LOG.warning("%s is damaged, its checksum does not fit: it counts as not there", path)


def read(path: Path, damaged: Callable[[Path], None] = notice) -> dict[str, Any] | None:
    """What `write` has written there; None if nothing is there, or what is there is damaged.

    Args:
        path: the file.
        damaged: is told of it if its checksum does not fit, or it has none.

    Raises:
        OSError: the machine lacks something, which says nothing of the file.
    """
    try:
        content = json.loads(regular(path).read_text())
        if isinstance(content, dict) and content.pop(SUM, None) == _sum(content):
            return content
    except OSError as error:
        if passing(error):
            raise
        return None
    except (ValueError, RecursionError):
        pass
    damaged(path)
    return None


def _sum(content: Mapping[str, Any]) -> str:
    text = json.dumps(json.loads(json.dumps(content)), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()
