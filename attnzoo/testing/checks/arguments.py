"""What the constructor refuses."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from attnzoo import registry
from attnzoo.errors import UserError
from attnzoo.testing.subject import CHANNELS, HEADS, Subject

_UNKNOWN = "no_such_option"


def unknown_options(subject: Subject) -> None:
    """An option that the signature has not is refused, by the registry and by the class."""
    entry = subject.entry
    (case, *_) = subject.plain
    options: dict[str, Any] = {**case.options, _UNKNOWN: 1}
    ways: dict[str, Callable[..., Any]] = {
        "registry": partial(registry.create, entry.name),
        "class": entry.cls,
    }
    for who, make in ways.items():
        try:
            make(CHANNELS, HEADS, **options)
        except (UserError, TypeError):
            continue
        raise case.fail(
            f"the {who} to refuse the option {_UNKNOWN!r}", "a module without it", "__init__"
        )


def wrong_heads(subject: Subject) -> None:
    """Channels that the heads do not divide, and no heads, are refused by a UserError."""
    (case, *_) = subject.plain
    for channels, heads in ((10, 4), (8, 0)):
        try:
            subject.entry.cls(channels, heads, **case.options)
        except UserError:
            continue
        except Exception as error:
            came = f"{type(error).__name__}: {error}"
        else:
            came = "a module"
        raise case.fail(
            f"a UserError for channels={channels}, heads={heads} (Mechanism's constructor raises "
            "it)",
            came,
            "__init__",
        )
