"""Mutation testing: do the tests notice when a line of the core is changed?

    pip install -e ".[test,quality]"
    python tests/mutation/run.py --sample 12 --out results/quality/mutation.json

Of each file in `targets.py` a random sample of mutants, the same for the same seed, is run against
the tests named there. Heavy libraries are imported once; each mutant is a process forked from
there, in which the changed text stands for the file; nothing on the disk is touched. A mutant is
killed when a test fails, when it cannot be imported, or when it takes ten times the processor time
of the tests without it. The result is written after each file, and a run that was stopped goes on;
a file that has changed since, or whose tests have, is done again.

`survivors.md` says of mutants that survive why no test can notice them. Those that it does not name
are printed. Exit status 1: fewer than `--least` percent were noticed, or, with `--strict`, a
survivor is not explained.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import re
import resource
import signal
import sys
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from importlib.abc import MetaPathFinder
from importlib.machinery import SourceFileLoader
from importlib.util import spec_from_file_location
from pathlib import Path
from types import CodeType
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

from mutants import Mutant, mutants
from targets import TARGETS, Target

ROOT = Path(__file__).parents[2]
SURVIVORS = Path(__file__).with_name("survivors.md")
LEAST_SECONDS = 20
TIMES = 10
"""A mutant may take so many times the processor time of the tests alone, and `LEAST_SECONDS`."""


@dataclass(frozen=True)
class Outcome:
    """What became of a mutant: killed, survived or endless."""

    file: str
    line: int
    operator: str
    before: str
    after: str
    outcome: str


class Changed(SourceFileLoader):
    """Loads a module from another text than that of its file."""

    text = ""

    def get_code(self, fullname: str) -> CodeType:
        return compile(self.text, self.path, "exec", dont_inherit=True)


class Instead(MetaPathFinder):
    """Finds one module, changed."""

    def __init__(self, target: Target, text: str) -> None:
        self.target = target
        self.text = text

    def find_spec(self, name: str, path: object, of: object = None) -> Any:
        if name != self.target.module:
            return None
        file = str(ROOT / "attnzoo" / self.target.file)
        loader = Changed(name, file)
        loader.text = self.text
        return spec_from_file_location(name, file, loader=loader)


def tested(target: Target, text: str, seconds: int) -> tuple[int | None, float]:
    """pytest's status with `text` for the target's file, None where it ran out; processor time."""
    child = os.fork()
    if child == 0:
        _test(target, text, seconds)
    _, status, used = os.wait4(child, 0)
    code = None if os.WIFSIGNALED(status) else os.waitstatus_to_exitcode(status)
    return code, used.ru_utime + used.ru_stime


def _test(target: Target, text: str, seconds: int) -> None:
    """In the child; does not return."""
    status = 3
    try:
        resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
        # What waits for ever takes no processor time.
        signal.alarm(60 * seconds)
        nothing = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nothing, 1)
        os.dup2(nothing, 2)
        import hypothesis
        import pytest

        hypothesis.settings.register_profile("mutation", database=None, derandomize=True)
        hypothesis.settings.load_profile("mutation")
        assert target.module not in sys.modules
        sys.meta_path.insert(0, Instead(target, text))
        # Plug-ins of pytest complain of libraries that are imported already.
        os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
        options = ["-x", "-q", "-p", "no:cacheprovider"]
        status = int(pytest.main([*options, *target.arguments]))
    finally:
        os._exit(status)


def judged(target: Target, mutant: Mutant, seconds: int) -> Outcome:
    """Runs the tests on one mutant."""
    status, _ = tested(target, mutant.text, seconds)
    if status == 5:
        raise SystemExit(f"{target.file}: no test was chosen")
    outcome = "endless" if status is None else "survived" if status == 0 else "killed"
    place = (target.file, mutant.line, mutant.operator, mutant.before, mutant.after)
    return Outcome(*place, outcome)


def of_target(target: Target, sample: int, seed: int) -> tuple[list[Outcome], int]:
    """A sample's outcomes, and how many mutants there are in all."""
    source = (ROOT / "attnzoo" / target.file).read_text()
    started = time.time()
    status, used = tested(target, source, 600)
    if status != 0:
        raise SystemExit(f"{target.file}: its tests fail without any change (status {status})")
    everything = mutants(source)
    chosen = random.Random(f"{seed} {target.file}").sample(everything, min(sample, len(everything)))
    seconds = max(LEAST_SECONDS, int(TIMES * used))
    found = [judged(target, mutant, seconds) for mutant in chosen]
    counts = Counter(one.outcome for one in found)
    print(
        f"{target.file}: {dict(counts)}, {len(found)} of {len(everything)} mutants; the tests take "
        f"{used:.1f} s of the processor; {time.time() - started:.0f} s in all",
        flush=True,
    )
    return found, len(everything)


def preloaded() -> None:
    """Imports what every child needs and no mutant changes."""
    sys.path[:0] = [str(ROOT), str(ROOT / "tests")]
    os.chdir(ROOT)
    # Its import hook comes first: see tests/conftest.py.
    import attnzoo  # noqa: F401

    # isort: split
    import einops  # noqa: F401
    import hypothesis  # noqa: F401
    import pandas  # noqa: F401
    import pytest  # noqa: F401
    import scipy.stats  # noqa: F401
    import skimage.metrics  # noqa: F401
    import torch
    from diffusers import UNet2DConditionModel  # noqa: F401

    torch.set_num_threads(1)


def sha256_of(target: Target) -> str:
    """Of the file and of the tests that are named for it: what its outcomes depend on."""
    named = [ROOT / test.partition("::")[0] for test in target.tests.split()]
    digest = hashlib.sha256(" ".join(target.arguments).encode())
    for path in (ROOT / "attnzoo" / target.file, *named):
        digest.update(path.read_bytes())
    return digest.hexdigest()


Survivor = tuple[str, str, str]
"""File, line as it was, line as it became."""
ANY = "any file"
"""The heading of what is said of a line wherever it stands."""


def explained(text: str) -> dict[Survivor, str]:
    """What `survivors.md` says; a heading names a file, an item below it a mutant."""
    found: dict[Survivor, str] = {}
    file = ""
    for line in text.splitlines():
        if line.startswith("## "):
            file = line.removeprefix("## ").strip("` ")
        elif item := re.fullmatch(r"- `(.+)` becomes `(.*)`: (.+)", line):
            found[file, item[1], item[2]] = item[3]
    return found


def judgement(
    tried: list[dict[str, Any]], known: Mapping[Survivor, str], least: float, strict: bool
) -> int:
    """Prints the score and the survivors that nobody has explained; the command's status."""
    survived = [one for one in tried if one["outcome"] == "survived"]
    open_ = [
        one
        for one in survived
        if not {(file, one["before"], one["after"]) for file in (one["file"], ANY)} & known.keys()
    ]
    for one in open_:
        print(f"not explained: {one['file']}:{one['line']}: `{one['before']}` becomes "
              f"`{one['after']}`")  # fmt: skip
    share = 100 * (1 - len(survived) / max(len(tried), 1))
    print(
        f"{len(tried) - len(survived)} of {len(tried)} mutants were noticed, {share:.1f} %; of "
        f"{len(survived)} survivors {len(survived) - len(open_)} are explained"
    )
    if share < least:
        print(f"fewer than {least:g} %", file=sys.stderr)
    return int(share < least or (strict and bool(open_)))


def earlier(path: Path, sample: int, seed: int) -> dict[str, Any]:
    """The result of an earlier run of the same sample: of each target that is as it was then."""
    content = json.loads(path.read_text()) if path.exists() else {}
    same = (content.get("sample"), content.get("seed")) == (sample, seed)
    stored = content["files"] if same else {}
    files = {
        target.file: stored[target.file]
        for target in TARGETS
        if stored.get(target.file, {}).get("sha256") == sha256_of(target)
    }
    return {"sample": sample, "seed": seed, "files": files}


def main() -> int:
    """The command's status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--sample", type=int, default=12, help="mutants a file, at most")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", default="", help="files whose path contains this")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--least", type=float, default=0.0, help="percent that must be noticed")
    parser.add_argument("--strict", action="store_true", help="every survivor must be explained")
    given = parser.parse_args()
    preloaded()
    content = earlier(given.out, given.sample, given.seed)
    for target in TARGETS:
        if given.only not in target.file or target.file in content["files"]:
            continue
        sha256 = sha256_of(target)
        found, total = of_target(target, given.sample, given.seed)
        content["files"][target.file] = {
            "sha256": sha256,
            "mutants": total,
            "tried": [asdict(one) for one in found],
        }
        given.out.parent.mkdir(parents=True, exist_ok=True)
        given.out.write_text(json.dumps(content, indent=1) + "\n")
    tried = [one for file in content["files"].values() for one in file["tried"]]
    return judgement(tried, explained(SURVIVORS.read_text()), given.least, given.strict)


if __name__ == "__main__":
    sys.exit(main())
