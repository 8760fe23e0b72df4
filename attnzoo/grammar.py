"""Commands that take key=value in Hydra's grammar and expand nothing but what they say they do."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hydra.core.override_parser.types import Glob, Override, QuotedString, Transformer
from hydra.errors import HydraException

from attnzoo import registry
from attnzoo.bench.settings import Given
from attnzoo.errors import UserError
from attnzoo.overrides import PLUGINS, check_text, parsed, plugins_of

PATHS = ("out", "against", "plots", "protocol", "reuse", "base")
"""Settings that name a file, a folder or a commit."""


def given(arguments: Sequence[str]) -> Given:
    """All values of each key; plug-ins are loaded on the way.

    Raises:
        UserError: what cannot be read, or is given twice.
    """
    for text in arguments:
        if text.startswith("-"):
            raise UserError(f"{text}: no such flag; settings are given as key=value, see --help")
    found: dict[str, Sequence[Any]] = {}
    try:
        for plugin in plugins_of(arguments):
            registry.load_plugin(plugin)
        for text, override in zip(arguments, parsed(arguments), strict=True):
            key = override.key_or_group
            if override.is_delete() or override.package or key in found:
                raise UserError(f"{text}: each setting is given once, as key=value")
            if key in PATHS:
                check_text(text, override.value())
            if key != PLUGINS:
                found[key] = _values(override)
    except HydraException as error:
        text = " ".join(str(error).split())
        raise UserError(f"{text}; settings are key=value, lists as [1,2]") from error
    return found


def _values(override: Override) -> Sequence[Any]:
    value: Any = override.value()
    if isinstance(value, Glob):
        names = value.filter(registry.list_variants())
        if not names:
            raise UserError(f"{override.input_line}: no variant matches")
        return list(names)
    if override.is_sweep_override():
        swept = override.sweep_iterator(transformer=Transformer.identity)
        return [_plain(element) for element in swept]
    return [_plain(value)]


def _plain(value: Any) -> Any:
    if isinstance(value, QuotedString):
        return value.text
    return tuple(map(_plain, value)) if isinstance(value, list) else value
