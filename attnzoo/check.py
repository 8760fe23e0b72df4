"""`python -m attnzoo check FILE.py`: whether a mechanism holds to what it declares.

One line a check: pass, FAIL with what was expected, what came and where to look, or an expected
failure with its reason. Exits with 1 if a check fails.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from attnzoo import commands, registry
from attnzoo._options import suggestion
from attnzoo.errors import UserError

FAILED = 1


def command(arguments: Sequence[str]) -> None:
    """Makes all checks of the mechanisms that are named or that the files register."""
    parser = commands.Parser("attnzoo check", description="Check mechanisms, built-in or yours.")
    parser.add_argument(
        "what", nargs="+", metavar="FILE|NAME", help="a file of your own mechanisms, or a variant"
    )
    parser.add_argument(
        "--only", action="append", metavar="CHECK", help="this check alone; may be given again"
    )
    parser.add_plugins()
    given = parser.parse_args(arguments)
    names = [name for what in given.what for name in _names(what)]
    failed = [name for name in dict.fromkeys(names) if not _holds(name, given.only)]
    if failed:
        sys.exit(FAILED)


def _names(what: str) -> list[str]:
    return registry.load_plugin(what) if what.endswith(".py") else [registry.get(what).name]


def _holds(name: str, only: Sequence[str] | None) -> bool:
    """Makes the checks of one entry; whether none of them failed."""
    from attnzoo.testing import Verdict, check_attention

    checks = check_attention(name)
    known = [check.name for check in checks]
    for wanted in only or ():
        if wanted not in known:
            raise UserError(f"--only {wanted}: no check of {name}{suggestion(wanted, known)}")
    chosen = [check for check in checks if only is None or check.name in only]
    width = max(len(check.name) for check in chosen)
    counts = dict.fromkeys(Verdict, 0)
    for check in chosen:
        outcome = check.run()
        counts[outcome.verdict] += 1
        line = f"{name}  {check.name:<{width}}  {outcome.verdict.value}  {outcome.message}"
        print(" ".join(line.split("\n")).rstrip(), flush=True)
    words = ("passed", "failed", "failed as expected")
    said = [f"{n} {word}" for n, word in zip(counts.values(), words, strict=True) if n]
    print(f"{name}: {len(chosen)} check{'s' * (len(chosen) > 1)}, {', '.join(said)}")
    return not counts[Verdict.failed]


def main(arguments: Sequence[str] | None = None) -> None:
    """The command, with its exit status."""
    commands.execute(command, arguments)


if __name__ == "__main__":
    main()
