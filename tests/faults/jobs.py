"""The commands that faults are done to: small, whole, and each with what it must leave.

A job is one dataclass. To add a command, add one to `JOBS`: its arguments, those by which it goes
on, the files that it needs, and the globs of what may differ between two runs of the same (clocks).
Whatever it writes below `out` is checked by its suffix (`checking.py`); a suffix that is not known
there is a failure, so that no file goes unchecked.
"""

from __future__ import annotations

import importlib
import io
import json
import multiprocessing
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cache, partial
from hashlib import sha256
from pathlib import Path
from typing import Any

import av
import numpy as np
import yaml
from PIL import Image

from attnzoo.files import PARTIAL

Arguments = tuple[str, ...]
OUT, CACHE, GIVEN = "out", "cache", "given"
"""Inside a round's folder: what a job writes, its caches, and what another job has made."""

LEAST = (
    "data.size=32", "data.frames=2", "data.clips=2", "train.stage1.warmup=1",
    "train.stage2.warmup=1", "train.stage2.steps=1", "sample.steps=1", "sample.clips=1",
    "device=cpu",
)  # fmt: skip
"""The embedded model on the least data."""
DATA = (*LEAST, "train.checkpoint_seconds=0")
"""The same with a checkpoint after every step."""


def _nothing(folder: Path) -> None:
    """No files are needed."""


def _no_records(out: Path) -> Mapping[str, str]:
    return {}


@dataclass(frozen=True)
class Job:
    """A command.

    arguments: of `python -m attnzoo`, in the round's folder; again: those by which it goes on, in
    the same folder (None: the same); inputs: writes what it reads; clocks: globs below `out` of
    files that hold times, so that only their form is checked; recorded: what stands in `out` as
    done, by names, all of which must be there unchanged at the end; resumes: whether it goes on
    where it was, and says how when it is stopped once it has printed `at_work`; checkpoints: globs
    below `out` of what it goes on from until something is recorded (if one stood there before it
    was gone on with, and nothing was damaged since, its `record.json` has to count that it was
    resumed); workers: whether it has worker processes; entries: a glob below the round's folder of
    what it keeps under checksums, None if nothing; given: the job whose results it finds in the
    folder `GIVEN`; everyday: all faults are done to it, and not those alone that ask for it; share:
    of a fault's rounds, less for what takes long.
    """

    name: str
    arguments: Arguments
    again: Callable[[Path], Arguments] | None = None
    inputs: Callable[[Path], None] = _nothing
    clocks: tuple[str, ...] = ()
    recorded: Callable[[Path], Mapping[str, str]] = _no_records
    resumes: bool = True
    at_work: str = ""
    checkpoints: tuple[str, ...] = ()
    workers: bool = False
    entries: str | None = None
    given: str | None = None
    everyday: bool = True
    share: float = 1.0
    environment: Mapping[str, str] = field(default_factory=dict)

    def go_on(self, folder: Path) -> Arguments:
        """What a user types after the command has stopped."""
        return self.arguments if self.again is None else self.again(folder)

    def has_checkpoint(self, out: Path) -> bool:
        """Whether it goes on from a checkpoint there: none is read once all is done."""
        found = any(any(out.glob(pattern)) for pattern in self.checkpoints)
        return found and not self.recorded(out)


# Training, sampling, scores, profile: `attnzoo.run`


def _resumed(folder: Path, arguments: Arguments) -> Arguments:
    """A run goes on by its folder, once it has its settings there."""
    return ("run", f"resume={OUT}") if (folder / OUT / "config.yaml").exists() else arguments


def _files(out: Path, *patterns: str) -> Mapping[str, str]:
    """SHA-256 of finished files by their names; an error's record goes when its cell succeeds."""
    found = sorted(
        path
        for pattern in patterns
        for path in out.glob(pattern)
        if not path.name.startswith(PARTIAL) and not path.name.endswith(".error.json")
    )
    return {str(p.relative_to(out)): sha256(p.read_bytes()).hexdigest() for p in found}


def _training(
    name: str, *settings: str, attn: str = "stsa size=[2,4,4]", everyday: bool = True
) -> Job:
    arguments = ("run", *f"attn={attn}".split(), *settings, f"hydra.run.dir={OUT}")
    return Job(
        name,
        arguments,
        again=partial(_resumed, arguments=arguments),
        clocks=("log", ".hydra/*"),
        recorded=lambda out: _files(out, "record.json"),
        at_work="stage 1",
        checkpoints=("checkpoints/stage*",),
        everyday=everyday,
    )


TRAIN = _training("train", *DATA, "train.stage1.steps=4")

# The same with checkpoints where a stage ends alone, and when it is stopped

UNSAVED_STEPS = 30
UNSAVED = _training(
    "train-unsaved",
    *LEAST,
    "train.checkpoint_seconds=1e9",
    f"train.stage1.steps={UNSAVED_STEPS}",
    everyday=False,
)

# The same where a step takes long, if the surroundings say so

SLOW_S = 30.0
SLEEPS = "ATTNZOO_TRIAL_SLEEPS"
_SLOW = f'''
import os
import time

import torch

from attnzoo import Kind, register
from attnzoo.attention import Mechanism


@register("slow", title="slow", source="a test", kind=Kind.insert, cost="b*f*h*w*c")
class Slow(Mechanism):
    """Changes nothing, and takes its time for that while it trains."""

    def forward(self, x, *, flow=None):
        """`[b, f, h, w, c]` to the same."""
        if self.training and "{SLEEPS}" in os.environ:
            print("asleep", flush=True)
            time.sleep({SLOW_S})
        return x * 0

    def sees(self, query, shape):
        """Nothing."""
        return torch.zeros(shape, dtype=torch.bool)
'''


def _with_slow(folder: Path) -> None:
    (folder / "slow.py").write_text(_SLOW)


SLOW = replace(
    _training(
        "train-slow", *DATA, "train.stage1.steps=4", "+plugins=[slow.py]", attn="slow",
        everyday=False,
    ),
    inputs=_with_slow,
)  # fmt: skip

# Tables: cells in worker processes

_PROTOCOL = {
    "name": "tiny",
    "seeds": [0, 1],
    "clips": 1,
    "profile_rounds": 1,
    "settings": [
        *(setting for setting in DATA if not setting.startswith("sample.clips")),
        "train.stage1.steps=2",
        "data.frames=4",
    ],
    "cells": {
        "none": {"label": "VD", "overrides": ["attn=none"]},
        "stsa": {"label": "SA", "overrides": ["attn=stsa", "size=[2,4,4]"]},
    },
    "tables": {"table1": {"title": "One", "rows": ["stsa", "none"]}},
    "curves": {"cells": ["stsa"], "clips": 1, "denoising": [1], "training": [0.5]},
}


def _protocol(folder: Path, **changes: Any) -> None:
    (folder / "protocol.yaml").write_text(yaml.safe_dump({**_PROTOCOL, **changes}))


_TABLES = ("tables", "protocol=protocol.yaml", f"out={OUT}")
# Pictures, pages and tables to read show what the costs were, which are times.
_REPORT = ("report.html", "plots/*", "tables/table*.md", "tables/table*.tex", "protocol.json")
TABLES = Job(
    "tables",
    (*_TABLES, "workers=2"),
    inputs=_protocol,
    clocks=_REPORT,
    recorded=lambda out: _files(out, "records/*/seed*.json", "costs/*.json"),
    at_work="runs",
    workers=True,
    share=0.5,
)

# The same with a cell that needs much memory, all at once

HUNGRY_BYTES = 3 << 30
_PLUGIN = f'''
import torch

from attnzoo import Kind, register
from attnzoo.attention import Mechanism


@register("hungry", title="hungry", source="a test", kind=Kind.insert, cost="b*f*h*w*c")
class Hungry(Mechanism):
    """Asks for memory that it never touches, and changes nothing."""

    def forward(self, x, *, flow=None):
        """`[b, f, h, w, c]` to the same."""
        if x.device.type == "cpu":
            torch.empty({HUNGRY_BYTES}, dtype=torch.uint8)
        return x * 0

    def sees(self, query, shape):
        """Nothing."""
        return torch.zeros(shape, dtype=torch.bool)
'''


def _with_hungry(folder: Path) -> None:
    (folder / "hungry.py").write_text(_PLUGIN)
    cells = {**_PROTOCOL["cells"], "hungry": {"label": "much", "overrides": ["attn=hungry"]}}
    table = {"title": "One", "rows": ["stsa", "hungry", "none"]}
    _protocol(folder, cells=cells, tables={"table1": table}, seeds=[0, 1])


HUNGRY = replace(
    TABLES,
    name="tables-hungry",
    arguments=(*_TABLES, "workers=1", "+plugins=[hungry.py]"),
    inputs=_with_hungry,
    everyday=False,
)

# The bench: rows of a grid, by a journal


def _rounds(out: Path) -> Mapping[str, str]:
    """The seconds of every round, from the journal or from the rows."""
    found: dict[str, list[float]] = {}
    rows, journal = out / "rows.jsonl", out / "rows.jsonl.part"
    if rows.exists():
        for line in rows.read_text().splitlines():
            row = json.loads(line)
            found[row["key"]] = row["seconds"]
    elif journal.exists():
        for line in journal.read_text().splitlines(keepends=True)[1:]:
            entry = json.loads(line) if line.endswith("\n") else {}
            for key, seconds in entry.get("round", {}).items():
                if key != "copy" and not key.startswith("gemm "):
                    found.setdefault(key, []).append(seconds)
    return {f"{key}, round {i}": repr(s) for key, all_ in found.items() for i, s in enumerate(all_)}


BENCH = Job(
    "bench",
    (
        "bench", "channels=16", "heads=2", "peers=null", "what=module", "width=null", "threads=1",
        "attn=stsa,temporal", "frames=2", "resolution=4", "backward=false", "rounds=12",
        f"out={OUT}/rows.jsonl",
    ),
    clocks=("rows.csv",),
    recorded=_rounds,
    at_work="cells, rows to",
)  # fmt: skip

# Scores of folders, with a cache of features


def _videos(folder: Path) -> None:
    """Three pairs of small videos as folders of frames."""
    noise = np.random.default_rng(0)
    for name in ("a", "b", "c"):
        video = noise.integers(0, 256, (4, 32, 32, 3), np.uint8)
        for side, change in (("real", 0), ("fake", 20)):
            (folder / side / name).mkdir(parents=True, exist_ok=True)
            for number, frame in enumerate(video):
                path = folder / side / name / f"{number}.png"
                Image.fromarray(frame // 2 + np.uint8(change)).save(path)
    (folder / OUT).mkdir(exist_ok=True)


SCORE = Job(
    "score",
    (
        "score", "--real", "real", "--fake", "fake", "--cache", CACHE, "--csv", f"{OUT}/scores.csv",
        "--json", f"{OUT}/scores.json",
    ),
    inputs=_videos,
    resumes=False,
    entries=f"{CACHE}/*",
)  # fmt: skip

COVERAGE = Job(
    "coverage",
    ("coverage", "--out", OUT, "--simulations", "10"),
    resumes=False,
    everyday=False,  # it computes long and writes three files at the end
)

# What training needs, computed once: `attnzoo.prepare`


def _clip(folder: Path) -> None:
    """A video of ten frames, each of which can be told from the others."""
    (folder / "clip.mp4").write_bytes(_encoded())


@cache  # an encoder need not give the same bytes twice
def _encoded() -> bytes:
    noise = np.random.default_rng(0)
    written = io.BytesIO()
    with av.open(written, "w", format="mp4") as file:
        stream = file.add_stream("libx264", rate=8)
        stream.width = stream.height = 64
        for _ in range(10):
            small = noise.integers(0, 256, (8, 8, 3), np.uint8)
            picture = np.ascontiguousarray(small.repeat(8, axis=0).repeat(8, axis=1))
            file.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        file.mux(stream.encode())
    return written.getvalue()


PREPARE = Job(
    "prepare",
    (
        "prepare", "data=video", "data.path=clip.mp4", "data.size=32", "data.frames=2",
        "data.windows=5", f"data.prepared={OUT}", "device=cpu", "attn=none",
    ),
    inputs=_clip,
    clocks=("locks/*", "catalogue/*"),
    recorded=lambda out: _files(out, "items/*/*"),
    at_work="windows",
    entries=f"{OUT}/[ci][at]*/**/*",  # catalogue and items; sheets are written anew, unread
)  # fmt: skip

# A clip of a trained run: `attnzoo.sample`


def _afresh(folder: Path) -> Arguments:
    """It takes no folder that holds something: what a killed one has left there goes."""
    shutil.rmtree(folder / OUT, ignore_errors=True)
    return SAMPLE.arguments


SAMPLE = Job(
    "sample",
    (
        "sample", "--run", GIVEN, "--foreground", "embedded:test:0", "--background",
        "embedded:test:1", "--pose", "embedded:test:0", "--device", "cpu", "--out", f"{OUT}/made",
    ),
    again=_afresh,
    given="train",
    resumes=False,
)  # fmt: skip

JOBS = {
    job.name: job
    for job in (TRAIN, UNSAVED, SLOW, SAMPLE, PREPARE, BENCH, TABLES, SCORE, COVERAGE, HUNGRY)
}


def warm() -> None:
    """Imports what jobs need, once for all of them, and makes what they do a little less.

    Workers of tables are forks of the command, as the command is a fork of this process, and a
    profile takes one round. `cold_workers` gives back the package's own way.
    """
    import attnzoo.bench.run
    import attnzoo.job
    import attnzoo.report
    import attnzoo.scoring.measure
    import attnzoo.tables.run
    import attnzoo.testing.alignment
    from attnzoo.tables import workers

    importlib.import_module("attnzoo.run")
    importlib.import_module("attnzoo.score")
    importlib.import_module("attnzoo.coverage")
    attnzoo.job.profiler = partial(attnzoo.job.profiler, rounds=1)
    workers._SPAWN = multiprocessing.get_context("fork")


def cold_workers() -> None:
    """Workers are fresh processes, as in the package."""
    from attnzoo.tables import workers

    workers._SPAWN = multiprocessing.get_context("spawn")
