"""The licences of everything that is installed for the package, as docs/licences.md.

    python tests/quality/licences.py > docs/licences.md
    python tests/quality/licences.py --check docs/licences.md

What pip-licenses reads from installed metadata, restricted to the dependencies of attnzoo and, in
a second table, of its extras. Fails where a licence is not known, or asks for what Apache-2.0
cannot go along with; `--check` also where the file is not what is installed, in either direction.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, requires
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

NEVER = re.compile(r"AGPL|Affero|Proprietary|Commons Clause|SSPL|UNKNOWN", re.I)
"""Licences that a dependency may not have; the GPL proper is looked at by hand."""
EXTRAS = frozenset({"test", "browser", "quality", "wandb"})
ELSEWHERE = {"xformers": ("BSD-3-Clause", "https://github.com/facebookresearch/xformers")}
"""Of extras that a machine without a GPU need not install; read from their own pages."""


def needed(name: str, extras: frozenset[str] = frozenset()) -> set[str]:
    """The names of all that a package needs, with some of its extras."""
    found: set[str] = set()
    todo = [(name, extras)]
    done = set()
    while todo:
        package, chosen = todo.pop()
        if (package, chosen) in done:
            continue
        done.add((package, chosen))
        try:
            lines = requires(package) or []
        except PackageNotFoundError:
            continue  # of another platform, or an extra that is not installed
        for requirement in map(Requirement, lines):
            marker = requirement.marker
            if marker is None or any(marker.evaluate({"extra": e}) for e in ("", *chosen)):
                child = canonicalize_name(requirement.name)
                found.add(child)
                todo.append((child, frozenset(requirement.extras)))
    return found - {canonicalize_name(name)}


def licences() -> dict[str, tuple[str, str]]:
    """Licence and address of each installed package, by its canonical name."""
    command = [sys.executable, "-m", "piplicenses", "--format=json", "--with-urls", "--from=mixed"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return {
        canonicalize_name(one["Name"]): (one["License"], one["URL"])
        for one in json.loads(done.stdout)
    }


def page() -> str:
    """The file's text."""
    known = licences()
    base = needed("attnzoo")
    extras = needed("attnzoo", EXTRAS) - base
    lines = [
        "# Licences of dependencies",
        "",
        "Made by `python tests/quality/licences.py > docs/licences.md` from the metadata of what",
        f"is installed with `.[{','.join(sorted(EXTRAS))}]`; attnzoo itself is under Apache-2.0.",
        "Nothing of these is shipped with it.",
    ]
    for title, names in (("Needed", base), ("Optional, and of the tests", extras)):
        lines += table(title, {name: known[name] for name in names & set(known)})
    lines += table("Not installed there", ELSEWHERE)
    return "\n".join(lines) + "\n"


def table(title: str, packages: Mapping[str, tuple[str, str]]) -> list[str]:
    """Lines of a heading and a row for each package."""
    lines = ["", f"## {title}", "", "| package | licence |", "| --- | --- |"]
    for name, (licence, url) in sorted(packages.items()):
        # Some packages give their licence's whole text.
        said = licence.splitlines()[0][:60].replace("|", "/") if licence else "UNKNOWN"
        shown = f"[{name}]({url})" if url.startswith("http") else name
        lines.append(f"| {shown} | {said} |")
    return lines


def rows(text: str) -> set[tuple[str, str]]:
    """Package and licence of each line of a table; the addresses do not count."""
    pattern = re.compile(r"^\| (?:\[([^\]]+)\]\([^)]*\)|([^|\[]+)) \| (.*) \|$", re.M)
    return {((m[1] or m[2]).strip(), m[3]) for m in pattern.finditer(text)} - {
        ("package", "licence"),
        ("---", "---"),
    }


def main() -> int:
    """The command's status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--check", type=Path, metavar="FILE")
    given = parser.parse_args()
    text = page()
    bad = [f"{name}: {licence}" for name, licence in rows(text) if NEVER.search(licence)]
    if bad:
        print(f"unknown, or do not go with Apache-2.0: {', '.join(bad)}", file=sys.stderr)
        return 1
    if given.check is None:
        print(text, end="")
        return 0
    installed, listed = rows(text), rows(given.check.read_text())
    for name, licence in sorted(installed - listed):
        print(f"{given.check}: lacks {name}, {licence}", file=sys.stderr)
    for name, licence in sorted(listed - installed):
        print(f"{given.check}: has {name}, {licence}, which is not installed", file=sys.stderr)
    return int(installed != listed)


if __name__ == "__main__":
    sys.exit(main())
