"""`python -m attnzoo show NAME`: all that a variant declares about itself."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from attnzoo import commands, registry
from attnzoo.errors import UserError
from attnzoo.paths import check_folder


def command(arguments: Sequence[str]) -> None:
    """Prints source, kind, needs, options and attention cost of the variants named."""
    parser = commands.Parser("attnzoo show", description="Show what a variant is and takes.")
    parser.add_argument("name", nargs="+", help="a variant; `attnzoo list` lists them")
    parser.add_plugins()
    parser.add_argument(
        "--picture",
        type=commands.path,
        metavar="FOLDER",
        help="also draw which tokens a token attends to, as NAME.png into this folder",
    )
    given = parser.parse_args(arguments)
    if given.picture is not None:
        check_folder(given.picture, f"--picture {given.picture}")
    print("\n\n".join([registry.show(name) for name in given.name]))
    if given.picture is not None:
        _draw(given.name, given.picture)


def _draw(names: Sequence[str], folder: Path) -> None:
    # Only a picture needs torch.
    from attnzoo.testing.receptive_field import draw

    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name in names:
            draw(name, folder / f"{name}.png")
            print(folder / f"{name}.png")
    except OSError as error:
        raise UserError(f"--picture {folder}: {error.strerror or error}") from error


def main(arguments: Sequence[str] | None = None) -> None:
    """The command, with its exit status."""
    commands.execute(command, arguments)


if __name__ == "__main__":
    main()
