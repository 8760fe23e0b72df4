"""Wrong and unusual input of every kind: `python tests/faults/bad_input.py [PATTERN ...]`.

Runs the committed list of cases, each in a folder of its own, and prints what came of them as a
table; with `-v` what each one says. Exit status 1 if any is not as it should be.
"""

from __future__ import annotations

import fnmatch
import importlib
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from bad_input_case import Case, judged, run


def _kinds() -> dict[str, list[Case]]:
    """Those of all files beside this one that have `CASES`: a new command brings a file."""
    found: dict[str, list[Case]] = {}
    for file in sorted(Path(__file__).parent.glob("bad_input_*.py")):
        found |= getattr(importlib.import_module(file.stem), "CASES", {})
    return found


KINDS = _kinds()


def cases() -> list[Case]:
    """All, with different names."""
    every = [case for several in KINDS.values() for case in several]
    twice = [name for name, count in Counter(case.name for case in every).items() if count > 1]
    assert not twice, twice
    return every


def prepare() -> None:
    """Imports what cases may import: they are timed."""
    for name in IMPORTED:
        importlib.import_module(name)


IMPORTED = (
    "attnzoo.run", "attnzoo.train.experiment", "attnzoo.data.tiktok", "attnzoo.data.video",
    "attnzoo.bench.run", "attnzoo.bench.goals", "attnzoo.tables.run", "attnzoo.report.tables",
    "attnzoo.report.page", "attnzoo.scoring.measure", "attnzoo.scoring.report",
    "attnzoo.scoring.sensitivity", "attnzoo.testing.alignment", "attnzoo.testing.flow_sources",
    "attnzoo.planning.plan", "attnzoo.planning.measured", "attnzoo.models.embedded",
    "attnzoo.sample", "attnzoo.mixing.making", "attnzoo.mixing.trained", "attnzoo.prepare",
    "attnzoo.preparation.prepare", "attnzoo.preparation.attach",
)  # fmt: skip


def main(arguments: list[str]) -> int:
    """Runs the cases that match any of the patterns and says how they ended."""
    said = "-v" in arguments
    patterns = [text for text in arguments if text != "-v"] or ["*"]
    prepare()
    counts: dict[str, Counter[str]] = {}
    wrong = []
    began, longest = time.process_time(), (0.0, "")
    with tempfile.TemporaryDirectory() as place:
        for kind, several in KINDS.items():
            for number, case in enumerate(several):
                if not any(fnmatch.fnmatch(case.name, pattern) for pattern in patterns):
                    continue
                ran = run(case, Path(place) / f"{kind}{number}")
                fault = judged(case, ran)
                longest = max(longest, (ran.seconds, case.name))
                ended = "not as it should be" if fault else OUTCOMES.get(ran.status, "other")
                counts.setdefault(kind, Counter())[ended] += 1
                if fault:
                    wrong.append(case.name)
                    print(f"WRONG {case.name}: {case.line}\n    {fault}", flush=True)
                elif said:
                    print(f"{case.name} ({ran.seconds:.2f} s): {ran.err.strip() or 'right'}")
    print(table(counts))
    seconds = time.process_time() - began
    print(f"{seconds:.0f} s of processor time, the longest {longest[0]:.1f} s: {longest[1]}")
    return 1 if wrong else 0


OUTCOMES = {0: "a right result", 2: "one line, status 2"}


def table(counts: dict[str, Counter[str]]) -> str:
    """A row for each kind of input."""
    heads = [*OUTCOMES.values(), "not as it should be"]
    lines = [["input", "cases", *heads]]
    total: Counter[str] = Counter()
    for kind, found in counts.items():
        total += found
        lines.append([kind, str(found.total()), *(str(found[head]) for head in heads)])
    lines.append(["all", str(total.total()), *(str(total[head]) for head in heads)])
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join(f"{cell:<{width}}" for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
