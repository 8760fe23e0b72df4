"""The share of branches that tests go through, room by room, from coverage's JSON report.

    python -m pytest -n 2 --cov --cov-report=json:coverage.json
    python tests/quality/branches.py coverage.json --least 90

A branch is one way out of a line that has several. Ends with status 1 below `--least` percent of
all branches of the package.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import defaultdict
from pathlib import Path


def rooms(report: dict) -> dict[str, tuple[int, int, int, int]]:
    """By room: branches gone through, branches, lines gone through, lines; `commands` at the top.

    A room is a folder of the package; its own files count as one.
    """
    found: dict[str, list[int]] = defaultdict(lambda: [0, 0, 0, 0])
    for name, file in report["files"].items():
        parts = Path(name).parts
        inside = parts[parts.index("attnzoo") + 1 :]
        room = inside[0] if len(inside) > 1 else "(top)"
        totals = file["summary"]
        keys = ("covered_branches", "num_branches", "covered_lines", "num_statements")
        for i, key in enumerate(keys):
            found[room][i] += totals[key]
    return {room: tuple(found[room]) for room in sorted(found)}


def main(arguments: list[str] | None = None) -> int:
    """The command's status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("report", type=Path)
    parser.add_argument("--least", type=float, default=0.0, help="percent of all branches")
    given = parser.parse_args(arguments)
    found = rooms(json.loads(given.report.read_text()))
    if not found:
        print(f"{given.report}: no file of the package in it", file=sys.stderr)
        return 1
    total = tuple(sum(part) for part in zip(*found.values(), strict=True))
    for room, (taken, branches, hit, lines) in {**found, "all": total}.items():
        share = f"{taken / branches:.1%}" if branches else "-"
        print(f"{room:12} {share:>6} of {branches:5} branches, {hit / max(lines, 1):.1%} of lines")
    reached = 100 * total[0] / max(total[1], 1)
    if reached < given.least:
        print(f"{reached:.2f} % of the branches, less than {given.least:g} %", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
