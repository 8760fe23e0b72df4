"""How much two runs of the same settings differ: `python tests/quality/repeats.py --out FILE.md`.

A small run with one thread, and then again in other ways, each in a process of its own. The table
of docs/many_machines.md has the largest differences: of a step's loss, relative; of a weight; of a
pixel of the clips that were sampled, before they are rounded to 8 bits.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import platform
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from unittest.mock import patch

ROOT = Path(__file__).parents[2]
RUN = (
    "attn=stsa_flow", "data.size=32", "data.frames=4", "train.batch=2", "device=cpu",
    "train.stage1.steps=20", "train.stage2.steps=6",
)  # fmt: skip
KEPT = "kept.pt"


@dataclass(frozen=True)
class Way:
    """Of doing the same; threads: of torch."""

    said: str
    settings: tuple[str, ...] = ()
    threads: int = 1


FIRST = Way("once")
WAYS = (
    Way("again"),
    Way("`workers=1`", ("workers=1",)),
    Way("`workers=2`", ("workers=2",)),
    Way("`train.deterministic=true`", ("train.deterministic=true",)),
    Way("two threads instead of one", threads=2),
    Way("`train.batch=1 train.accumulate=2`", ("train.batch=1", "train.accumulate=2")),
)


def run(folder: Path, settings: list[str]) -> None:
    """The run itself, in this process; the clips that it samples are kept as they were made."""
    import torch

    from attnzoo.run import command
    from attnzoo.train import experiment

    pictures = experiment._pictures

    def keeping(folder: Path, progress: object, clips: object, made: object, fps: int) -> None:
        losses = [progress.histories[n].losses for n in (1, 2)]  # type: ignore[attr-defined]
        torch.save({"losses": losses, "made": made}, folder / KEPT)
        pictures(folder, progress, clips, made, fps)  # type: ignore[arg-type]

    with patch.object(experiment, "_pictures", keeping):
        command([*settings, f"hydra.run.dir={folder}"])


def done(way: Way, folder: Path) -> Path:
    """The folder of a run that went that way."""
    # A later value of a setting stands for an earlier one.
    named = {setting.split("=")[0]: setting for setting in (*RUN, *way.settings)}
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    environment |= {f"{name}_NUM_THREADS": str(way.threads) for name in ("OMP", "MKL")}
    command = [sys.executable, __file__, "--run", str(folder), *named.values()]
    ended = subprocess.run(command, env=environment, capture_output=True, text=True)
    if ended.returncode:
        raise SystemExit(f"{way.said}: {ended.stderr}")
    return folder


def row(way: Way, folder: Path, first: Path) -> str:
    """A line of the table."""
    import torch
    from safetensors.torch import load_file

    ours, theirs = (torch.load(one / KEPT, weights_only=True) for one in (folder, first))
    losses = max(
        abs(a - b) / abs(b)
        for one, other in zip(ours["losses"], theirs["losses"], strict=True)
        for a, b in zip(one, other, strict=True)
    )
    files = [one / "weights.safetensors" for one in (folder, first)]
    of, against = map(load_file, files)
    assert of.keys() == against.keys()
    weights = max(float((of[name] - against[name]).abs().max()) for name in of)
    digests = {hashlib.sha256(file.read_bytes()).hexdigest() for file in files}
    pixels = (ours["made"] - theirs["made"]).abs()
    same = ", the same bytes" if len(digests) == 1 else ""
    mean = f" ({float(pixels.mean()):.1g} in the mean)" if pixels.any() else ""
    largest = float(pixels.max())
    return f"| {way.said} | {losses:.1g} | {weights:.1g}{same} | {largest:.1g}{mean} |"


def page(rows: list[str]) -> str:
    """The file's text."""
    import torch

    code = ["git", "-C", str(ROOT), "describe", "--always", "--dirty"]
    commit = subprocess.run(code, capture_output=True, text=True).stdout.strip() or "unknown"
    lines = [
        "`python tests/quality/repeats.py --out results/quality/repeats.md`: "
        "a run with one thread, and again in other ways; the largest differences.",
        "",
        f"    {' '.join(RUN)}",
        "",
        f"Code {commit}, torch {torch.__version__}, Python {platform.python_version()}, "
        f"{os.cpu_count()} cores, {torch.backends.cpu.get_cpu_capability()}.",
        "",
        "| | loss, relative | weights | pixels of samples, 0 to 1 |",
        "| --- | --- | --- | --- |",
        *rows,
    ]
    return "\n".join(lines) + "\n"


def main() -> int:
    """The command's status."""
    if sys.argv[1:2] == ["--run"]:
        run(Path(sys.argv[2]), sys.argv[3:])
        return 0
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        first = done(FIRST, Path(place) / "first")
        rows = []
        for number, way in enumerate(WAYS):
            rows.append(row(way, done(way, Path(place) / str(number)), first))
            print(rows[-1], flush=True)
        given.out.parent.mkdir(parents=True, exist_ok=True)
        given.out.write_text(page(rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
