"""The same cells in two commits, a process each, in turns."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from tqdm import tqdm

from attnzoo.bench.cell import Cell
from attnzoo.bench.compare import MEMORY_GROWTH, MEMORY_SLACK
from attnzoo.bench.environment import PACKAGE
from attnzoo.bench.measure import Candidate, Measurement, Spread, interval, measure
from attnzoo.bench.noise import halves
from attnzoo.bench.preparation import Ready, Refused
from attnzoo.bench.serving import There, Worker, WorkerDied
from attnzoo.bench.sweep import Plan
from attnzoo.bench.table import aligned, milliseconds
from attnzoo.errors import UserError


@contextmanager
def tree_of(ref: str) -> Iterator[Path]:
    """A work tree of a commit, that goes again.

    Raises:
        UserError: there is no such commit, or the package does not lie in a git repository.
    """
    root = PACKAGE.parent
    found = _git(root, "rev-parse", "--verify", "--quiet", f"{ref}^{{commit}}")
    if found.returncode:
        inside = _git(root, "rev-parse", "--git-dir").returncode == 0
        why = "no such commit" if inside else f"{root} is no git repository"
        raise UserError(f"base={ref}: {why}")
    with tempfile.TemporaryDirectory(prefix="attnzoo-base-") as folder:
        tree = Path(folder) / "tree"
        try:
            added = _git(root, "worktree", "add", "--detach", str(tree), found.stdout.strip())
            if added.returncode:
                raise UserError(f"base={ref}: {' '.join(added.stderr.split())}")
            yield tree
        finally:
            # Twice, since git locks one that it was stopped from making.
            _git(root, "worktree", "remove", "--force", "--force", str(tree))


def _git(root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["git", "-C", str(root), *arguments], capture_output=True, text=True)


@dataclass(frozen=True)
class Pair:
    """A cell in both commits: a reason if one of them has no speed; else ratios within rounds."""

    cell: Cell
    reason: str
    lost: bool = False
    base: Spread | None = None
    now: Spread | None = None
    ratio: Spread | None = None
    interval: tuple[float, float] = (1.0, 1.0)
    noise: float = 0.0
    memory: float | None = None
    memory_grew: bool = False

    @property
    def slower(self) -> bool:
        """Whether the ratio's interval lies above what noise explains."""
        return self.ratio is not None and self.interval[0] > 1 + self.noise

    @property
    def worse(self) -> bool:
        """Whether the new commit is slower, takes more memory, or has lost its speed."""
        return self.slower or self.memory_grew or self.lost


def against_commit(
    cells: Sequence[Cell], ref: str, plan: Plan, device: torch.device, plugins: Sequence[str]
) -> list[Pair]:
    """Measures every cell in this tree and in the commit, in turns, with this tree's bench."""

    def worker(tree: Path) -> Worker:
        return Worker(
            tree, device=device, longest=plan.longest, memory=plan.memory, plugins=plugins
        )

    with tree_of(ref) as tree, worker(tree) as old, worker(PACKAGE.parent) as new:
        found: dict[str, tuple[Ready | Refused, Ready | Refused]] = {}
        ordered = sorted(cells, key=lambda cell: cell.tokens)
        for cell in tqdm(ordered, unit="cell", desc="checked in both", disable=None):
            found[cell.digest] = (old.prepare(cell), new.prepare(cell))
        candidates: dict[str, Candidate] = {}
        for digest, pair in found.items():
            if all(isinstance(one, Ready) for one in pair):
                runs = [one.subject.run for one in pair if isinstance(one, Ready)]
                # Both sides in one manner, whichever of them lies above the bound.
                warm = any(isinstance(run, There) and run.warm for run in runs)
                for which, run in zip(("base", "now"), runs, strict=True):
                    assert isinstance(run, There)
                    candidates[f"{which} {digest}"] = replace(run, warm=warm)
        times = Measurement({})
        if candidates:
            with tqdm(total=plan.rounds, unit="round", desc="timed", disable=None) as bar:
                try:
                    times = measure(
                        candidates, rounds=plan.rounds, limit=plan.limit, device=device,
                        told=lambda _: bar.update(),
                    )  # fmt: skip
                except WorkerDied as died:
                    raise UserError(
                        f"base={ref}: a process died while cells were timed ({died}); take fewer "
                        "or smaller cells at once"
                    ) from died
    return [_pair(cell, *found[cell.digest], times) for cell in cells]


def _pair(cell: Cell, old: Ready | Refused, new: Ready | Refused, times: Measurement) -> Pair:
    if isinstance(old, Refused) or isinstance(new, Refused):
        said = [
            f"{which}: {one.status.value}, {one.reason}"
            for which, one in (("base", old), ("now", new))
            if isinstance(one, Refused)
        ]
        return Pair(cell, "; ".join(said), lost=isinstance(old, Ready))
    base, now = f"base {cell.digest}", f"now {cell.digest}"
    ratios = times.ratios(now, base)
    # How far the ratio's median moves between even and odd rounds is the noise of the pair.
    noise = halves(ratios) or 0.0
    before, after = old.facts.peak_memory, new.facts.peak_memory
    return Pair(
        cell, "", False, times.spread(base), times.spread(now), Spread.of(ratios),
        interval(ratios), noise, after / before if before and after else None,
        bool(before and after and after > MEMORY_GROWTH * before and after - before > MEMORY_SLACK),
    )  # fmt: skip


def pairs_table(pairs: Sequence[Pair]) -> str:
    """All cells with their ratios."""
    head = ("variant", "what", "sizes", "manner", "base [ms]", "now [ms]", "now/base", "memory", "")
    lines = [head]
    for pair in pairs:
        cell = pair.cell
        numbers = ("", "", "")
        if pair.base and pair.now and pair.ratio:
            low, high = pair.interval
            said = f"{pair.ratio.median:.3f} ({low:.3f} to {high:.3f})"
            numbers = (milliseconds(pair.base.median), milliseconds(pair.now.median), said)
        memory = "" if pair.memory is None else f"{pair.memory:.2f}"
        words = [pair.reason] if pair.reason else []
        words += ["SLOWER"] if pair.slower else []
        words += ["MORE MEMORY"] if pair.memory_grew else []
        end = ", ".join(words) or f"noise {pair.noise:.1%}"
        lines.append((cell.variant, cell.where, cell.sizes, cell.manner, *numbers, memory, end))
    return aligned(lines, {0, 1, 2, 3, 8})
