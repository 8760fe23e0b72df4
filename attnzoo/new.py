"""`python -m attnzoo new NAME`: a mechanism of one's own and its test, to start from."""

from __future__ import annotations

import importlib.util
import keyword
import re
from collections.abc import Sequence
from pathlib import Path

from attnzoo import commands, registry
from attnzoo.errors import UserError
from attnzoo.paths import typed

TEMPLATE = Path(__file__).parent / "template"
_NAME, _CLASS = "my_attention", "MyAttention"
"""What the template calls itself."""


def command(arguments: Sequence[str]) -> None:
    """Writes NAME.py and test_NAME.py into the current folder."""
    parser = commands.Parser(
        "attnzoo new", description="Write a mechanism of your own and its test, to start from."
    )
    parser.add_argument("name", help="of the variant and its file, such as my_attention")
    name = parser.parse_args(arguments).name
    _check_name(name)
    files = [Path(f"{name}.py"), Path(f"test_{name}.py")]
    for file in files:
        typed(file, str(file))
        if file.exists() or file.is_symlink():
            raise UserError(f"{file} exists already; take another name, or another folder")
    _check_free(name)
    _write({file: _text(file, name) for file in files})
    print(
        f"{files[0]} and {files[1]} are written. Next:\n"
        f"  python -m attnzoo check {files[0]}\n"
        f"  python -m pytest {files[1]}\n"
        f"  python -m attnzoo.run '+plugins=[{files[0]}]' attn={name}"
    )


def _check_name(name: str) -> None:
    """UserError unless it can name a Python module and a Hydra choice."""
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", name) or keyword.iskeyword(name):
        raise UserError(
            f"{name!r} cannot be a variant's name: letters, digits and underscores are right, "
            "a letter first, as in my_attention"
        )


def _check_free(name: str) -> None:
    """UserError if a variant or an importable module is called so."""
    if name in registry.list_variants():
        raise UserError(f"{name!r} is taken by {registry.get(name).place}; take another name")
    if importlib.util.find_spec(name) is not None:
        raise UserError(f"{name}.py would hide the module {name!r} here; take another name")


def _text(file: Path, name: str) -> str:
    # With the ending no class takes the name of something imported, as that of `tensor` would.
    ended = name if name.endswith("attention") else f"{name}_attention"
    words = "".join(part[:1].upper() + part[1:] for part in ended.split("_"))
    text = (TEMPLATE / file.name.replace(name, _NAME)).read_text()
    return text.replace(_NAME, name).replace(_CLASS, words)


def _write(texts: dict[Path, str]) -> None:
    """All files or none."""
    written: list[Path] = []
    try:
        for path, text in texts.items():
            with path.open("x") as file:
                written.append(path)
                file.write(text)
    except OSError as error:
        for whole in written:
            whole.unlink()
        raise UserError(f"{path} cannot be written: {error.strerror}") from error


def main(arguments: Sequence[str] | None = None) -> None:
    """The command, with its exit status."""
    commands.execute(command, arguments)


if __name__ == "__main__":
    main()
