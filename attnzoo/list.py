"""`python -m attnzoo list [PATTERN]`: the variants there are, one a line."""

from __future__ import annotations

from collections.abc import Sequence

from attnzoo import commands, registry
from attnzoo.errors import UserError


def command(arguments: Sequence[str]) -> None:
    """Prints name and title of every variant that matches."""
    parser = commands.Parser("attnzoo list", description="List the variants and what they are.")
    parser.add_argument("pattern", nargs="?", default="*", help="a glob such as 'crossframe*'")
    parser.add_argument("--names", action="store_true", help="names alone, one a line")
    parser.add_plugins()
    given = parser.parse_args(arguments)
    names = registry.list_variants(given.pattern)
    if not names:
        known = ", ".join(registry.list_variants())
        raise UserError(f"no variant matches {given.pattern!r}; there are: {known}")
    width = max(map(len, names))
    for name in names:
        print(name if given.names else f"{name:<{width}}  {registry.get(name).title}")


def main(arguments: Sequence[str] | None = None) -> None:
    """The command, with its exit status."""
    commands.execute(command, arguments)


if __name__ == "__main__":
    main()
