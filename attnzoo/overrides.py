"""What is typed as overrides: Hydra's grammar, plug-ins, short forms, and the names of variants."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import ChoiceSweep, Override, RangeSweep

from attnzoo import config, registry
from attnzoo.errors import UserError

PLUGINS = "plugins"
PLUGIN_FORM = "+plugins=[FILE.py,MODULE]"


def parsed(overrides: Sequence[str]) -> list[Override]:
    """Overrides by Hydra's grammar.

    Raises:
        UserError: one has more digits or brackets than its parser can follow.
        OverrideParseException: one is none.
    """
    parser = OverridesParser.create()
    return [_parsed(text, parser) for text in overrides]


def _parsed(text: str, parser: OverridesParser) -> Override:
    try:
        (override,) = parser.parse_overrides([text])
    except ValueError as error:
        raise UserError(f"{_short(text)}: cannot be read ({error})") from error
    except RecursionError as error:
        raise UserError(
            f"{_short(text)}: brackets lie too deep inside one another to be read"
        ) from error
    value = override.value()
    if isinstance(value, RangeSweep):
        _check_range(text, value)
    return override


def _check_range(text: str, value: RangeSweep) -> None:
    """UserError for a range without end, or with one that nobody would wait for."""
    start, stop, step = value.start or 0, value.stop or 0, value.step
    try:
        few = bool(step) and abs(stop - start) <= MOST_VALUES * abs(step)
    except OverflowError:
        few = False
    if not few:
        raise UserError(f"{text}: a range of more than {MOST_VALUES} values, or without end")


MOST_VALUES = 10_000
"""Of a range that is swept over."""


def _short(text: str) -> str:
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."


_SHOWN = 100
"""Characters of an override that an error shows where it is too long to be read."""


def leaves(override: Override) -> Iterator[tuple[str, object]]:
    """The values that an override gives, all of a sweep, each under its whole key."""
    yield from leaves_of(override.key_or_group, override.value())


def leaves_of(key: str, value: object) -> Iterator[tuple[str, object]]:
    """The values in what stands under a key, each under its whole key."""
    if isinstance(value, ChoiceSweep):
        for one in value.list:
            yield from leaves_of(key, one)
    elif isinstance(value, dict):
        for below, one in value.items():
            yield from leaves_of(f"{key}.{below}" if key else str(below), one)
    elif isinstance(value, list):
        for place, one in enumerate(value):
            yield from leaves_of(f"{key}[{place}]", one)
    else:
        yield key, value


def check_text(text: str, value: object) -> None:
    """UserError if the grammar takes a name or a path in `text` for another, as 1_0 for 10."""
    if is_other(text, value):
        raise UserError(
            f"{text}: would be read as {value}; put text that looks like a number in quotes "
            "inside the shell's, \"key='...'\""
        )


def is_other(text: str, value: object) -> bool:
    """Whether `value` is a number or truth value that reads otherwise in `text`."""
    return isinstance(value, int | float) and str(value) not in re.split(r"[\s,=:()\[\]{}]", text)


def quoted(text: object) -> str:
    """As one value of Hydra's grammar: anything goes inside quotes, but for the quote itself."""
    return "'" + str(text).replace("\\", "\\\\").replace("'", "\\'") + "'"


def plugins_of(overrides: Sequence[str]) -> list[str]:
    """What `plugins=` names, the last of several counts; files with their whole paths.

    Raises:
        UserError: it names no list of files and modules.
    """
    named: list[str] = []
    for text, override in zip(overrides, parsed(overrides), strict=True):
        if override.key_or_group == PLUGINS:
            value = None if override.is_delete() else override.value()
            several = [value] if isinstance(value, str) else value
            if not isinstance(several, list) or not all(isinstance(v, str) for v in several):
                raise UserError(f"{text}: a list is needed, the same for all jobs: {PLUGIN_FORM}")
            if not all(several):
                raise UserError(f"{text}: an empty name; right is {PLUGIN_FORM}")
            named = [_whole(v) for v in several]
    return named


def _whole(plugin: str) -> str:
    """A file's path from the root on: a run may be gone on with from another folder."""
    file = plugin.endswith(".py")
    return os.path.abspath(os.path.expanduser(plugin)) if file else plugin


def plugged(overrides: list[str]) -> list[str]:
    """Loads the plug-ins; in the place of all that names them one override with whole paths."""
    named = plugins_of(overrides)
    for plugin in named:
        registry.load_plugin(plugin)
    pairs = zip(overrides, parsed(overrides), strict=True)
    others = [text for text, override in pairs if override.key_or_group != PLUGINS]
    return [*others, f"{PLUGINS}=[{','.join(map(quoted, named))}]"] if named else others


def normalised(overrides: Sequence[str], sweep: bool) -> list[str]:
    """Overrides with short forms written out; unknown and several variants are refused."""
    short = {option.name for n in registry.list_variants() for option in registry.get(n).options}
    short -= set(config.settings())
    result = []
    for text, override in zip(overrides, parsed(overrides), strict=True):
        key = override.key_or_group
        if not key:
            raise UserError(f"{text}: names no setting; settings are given as key=value")
        if key == "attn" and not override.is_delete():
            _check_variants(text, override, sweep)
        plain = not (override.is_add() or override.is_delete() or override.package)
        result.append(f"attn.{text}" if plain and key in short else text)
    return result


def _check_variants(text: str, override: Override, sweep: bool) -> None:
    value = override.value()
    if isinstance(value, list | dict):
        several = [str(name) for name in value]
    elif isinstance(value, ChoiceSweep):
        several = list(override.sweep_string_iterator())
    else:
        if not override.is_sweep_override():  # globs and ranges are expanded by Hydra
            registry.get(override.get_value_element_as_str())
        return
    if not (sweep and override.is_sweep_override()):
        names = ",".join(several)
        raise UserError(f"{text}: a run has one variant; for a run of each: -m attn={names}")
    for name in several:
        registry.get(name)
