"""Mutation testing: do the tests notice when a line of the core is changed?

    pip install -e ".[test,quality]"
    python tests/mutation/run.py --sample 12 --out results/quality/mutation.json

Of each file in `targets.py` a random sample of mutants, the same for the same seed, is run against
the tests named there. Heavy libraries are imported once; each mutant is a process forked from
there, in which the changed text stands for the file; nothing on the disk is touched. A mutant is
killed when a test fails, when it cannot be imported, or when it takes ten times the processor time
of the tests without it. The result is written after each file, and a run that was stopped goes on.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import signal
import sys
import time
from collections import Counter
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


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--sample", type=int, default=12, help="mutants a file, at most")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", default="", help="files whose path contains this")
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    preloaded()
    content: dict[str, Any] = {"sample": given.sample, "seed": given.seed, "files": {}}
    if given.out.exists():
        before = json.loads(given.out.read_text())
        if {k: before[k] for k in ("sample", "seed")} == {
            "sample": given.sample,
            "seed": given.seed,
        }:
            content = before
    for target in TARGETS:
        if given.only not in target.file or target.file in content["files"]:
            continue
        found, total = of_target(target, given.sample, given.seed)
        content["files"][target.file] = {"mutants": total, "tried": [asdict(one) for one in found]}
        given.out.parent.mkdir(parents=True, exist_ok=True)
        given.out.write_text(json.dumps(content, indent=1) + "\n")
    tried = [one for file in content["files"].values() for one in file["tried"]]
    killed = sum(one["outcome"] != "survived" for one in tried)
    print(f"{killed} of {len(tried)} mutants were noticed")


if __name__ == "__main__":
    main()
