"""How bytes, JSON and code are put into a page that needs nothing beside it."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
from typing import Any
from urllib.parse import quote

from markupsafe import Markup

_TYPES = {
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".mp4": "video/mp4",
    ".csv": "text/csv;charset=utf-8",
    ".md": "text/markdown;charset=utf-8",
    ".tex": "text/plain;charset=utf-8",
}


def media_type(suffix: str) -> str:
    """The MIME type of a file by its suffix."""
    return _TYPES.get(suffix, "application/octet-stream")


def base64_text(content: bytes) -> str:
    """Bytes as text."""
    return base64.b64encode(content).decode("ascii")


def data_address(content: bytes, suffix: str) -> str:
    """A `data:` address that holds the content."""
    return f"data:{media_type(suffix)};base64,{base64_text(content)}"


def packed_json(content: Any) -> str:
    """A JSON value, compressed, as text; the same value gives the same text."""
    text = json.dumps(content, separators=(",", ":"), ensure_ascii=False)
    # Halves of letters, as of paths that are no Unicode, have the same escapes in JSON.
    return base64_text(gzip.compress(text.encode(errors="backslashreplace"), 9, mtime=0))


def script_json(content: Any) -> Markup:
    """A JSON value that can stand inside a `script` element: no `<` can end it."""
    text = json.dumps(content, separators=(",", ":"), ensure_ascii=True)
    return Markup(text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026"))


def script_hash(code: str) -> str:
    """The source expression by which a content security policy allows exactly this script."""
    return f"'sha256-{base64_text(hashlib.sha256(code.encode()).digest())}'"


def svg_address(text: str) -> Markup:
    """A `data:` address of an SVG, readable by browsers and shorter than by base64.

    Whatever could end an attribute or means something in HTML is escaped in it.
    """
    return Markup("data:image/svg+xml," + quote(text, safe=" =:/;,().-+*!?@_~$"))
