"""`python -m attnzoo.bench attn=stsa,temporal frames=8,16,32`: what variants cost.

Settings are given as key=value in Hydra's grammar; a comma makes a grid, which is expanded here.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

from hydra.core.override_parser.types import Glob, Override, QuotedString, Transformer
from hydra.errors import HydraException

from attnzoo import application, commands, registry
from attnzoo.bench.settings import Given, SuiteOptions, one_of, single
from attnzoo.errors import UserError

SUITES = ("grid", "mechanisms", "unet")

WORSE = 1
"""Exit status of a run that is worse than what it is compared with."""


def command(arguments: Sequence[str]) -> None:
    """Measures what the arguments describe."""
    given = dict(_given(arguments))
    suite = one_of("suite", single(given, "suite", "grid"), SUITES)
    given.pop("suite", None)
    if suite == "mechanisms":
        from attnzoo.bench import mechanisms

        mechanisms.run(SuiteOptions.of(given, suite))
        return
    if suite == "unet":
        from attnzoo.bench import goals

        goals.run(given)
        return
    from attnzoo.bench.run import run, settings_of

    if not run(settings_of(given, application.plugins_of(arguments))):
        sys.exit(WORSE)


def _given(arguments: Sequence[str]) -> Given:
    """All values of each key; plug-ins are loaded on the way.

    Raises:
        UserError: what cannot be read, or is given twice.
    """
    for text in arguments:
        if text.startswith("-"):
            raise UserError(f"{text}: no such flag; settings are given as key=value, see --help")
    given: dict[str, Sequence[Any]] = {}
    try:
        for plugin in application.plugins_of(arguments):
            registry.load_plugin(plugin)
        for text, override in zip(arguments, application.parsed(arguments), strict=True):
            key = override.key_or_group
            if override.is_delete() or override.package or key in given:
                raise UserError(f"{text}: each setting is given once, as key=value")
            if key != application.PLUGINS:
                given[key] = _values(override)
    except HydraException as error:
        text = " ".join(str(error).split())
        raise UserError(f"{text}; settings are key=value, lists as [1,2]") from error
    return given


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


def main(arguments: Sequence[str] | None = None) -> None:
    """The command, with its exit status."""
    commands.execute(command, arguments)


if __name__ == "__main__":
    main()
