"""`python -m attnzoo show NAME`: all that a variant declares about itself."""

from __future__ import annotations

from collections.abc import Sequence

from attnzoo import commands, registry


def command(arguments: Sequence[str]) -> None:
    """Prints source, kind, needs, options and attention cost of the variants named."""
    parser = commands.Parser("attnzoo show", description="Show what a variant is and takes.")
    parser.add_argument("name", nargs="+", help="a variant; `attnzoo list` lists them")
    parser.add_plugins()
    given = parser.parse_args(arguments)
    print("\n\n".join([registry.show(name) for name in given.name]))


def main(arguments: Sequence[str] | None = None) -> None:
    """The command, with its exit status."""
    commands.execute(command, arguments)


if __name__ == "__main__":
    main()
