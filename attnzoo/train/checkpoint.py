"""Checkpoints of a run: what a stage needs to go on as if it had never stopped.

A checkpoint is a folder `checkpoints/stage1-000120`: `progress.json`, the trained weights and
their averages as safetensors, and what accelerate saves of optimiser, learning-rate schedule and
loss scaling. It is written beside and renamed; the two newest are kept. Checksums of its files tell
one that a disk has changed.
"""

from __future__ import annotations

import errno
import json
import logging
import re
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

from accelerate import Accelerator
from safetensors.torch import load_file
from torch import Tensor

import attnzoo
from attnzoo.errors import UserError, lacking
from attnzoo.files import check_seal, remove, replacing, seal, sweep
from attnzoo.tensors import write_tensors
from attnzoo.train.stages import STAGES

_LOG = logging.getLogger(__name__)
_NAME = re.compile(r"stage(\d+)-(\d+)")
KEPT = 2
LIBRARIES = ("torch", "diffusers", "accelerate", "numpy")


@dataclass
class History:
    """One stage so far: each step's loss, seconds of training, and parameters trained.

    skipped: steps, counted from 1, that changed nothing since loss or gradient was no number;
    overflowed: that loss scaling left out, since it scaled by too much; spikes: those whose loss
    was far above all shortly before.
    waited: those of the seconds in which training waited for clips; making: seconds in which the
    loader made `made` clips, also while training was at work.
    """

    losses: list[float] = field(default_factory=list)
    seconds: float = 0.0
    trained_parameters: int = 0
    skipped: list[int] = field(default_factory=list)
    overflowed: list[int] = field(default_factory=list)
    spikes: list[int] = field(default_factory=list)
    waited: float = 0.0
    making: float = 0.0
    made: int = 0


@dataclass
class Progress:
    """How far a run is.

    identity: what decides the run's weights, hashed; base: of the base's own weights; trained: of
    the settings, those that name the weights, as `describe_trained` gives them; both None in
    checkpoints of before; stage: the one at work, `steps` of it done; versions: of what trains it.
    """

    identity: str
    base: str | None = None
    trained: dict[str, Any] | None = None
    stage: int = 1
    steps: int = 0
    resumed: int = 0
    versions: dict[str, str] = field(default_factory=lambda: _versions())
    histories: dict[int, History] = field(
        default_factory=lambda: {stage: History() for stage in STAGES}
    )

    @property
    def history(self) -> History:
        """That of the stage at work."""
        return self.histories[self.stage]


@dataclass(frozen=True)
class Snapshot:
    """A checkpoint as read; accelerate loads the rest from `folder`."""

    folder: Path
    progress: Progress
    weights: dict[str, Tensor]
    averages: dict[str, Tensor]


class Checkpoints:
    """The checkpoints of the run in `folder`."""

    def __init__(self, folder: Path, *, every: float, clock: Callable[[], float] = time.monotonic):
        """`every`: seconds after which one is due."""
        self.folder = folder / "checkpoints"
        self.every = every
        self._clock = clock
        self._last = clock()
        self._damaged: set[Path] = set()
        self._good: Path | None = None

    @property
    def due(self) -> bool:
        """Whether the last one is as old as it may be."""
        return self._clock() - self._last >= self.every

    def save(
        self,
        progress: Progress,
        weights: dict[str, Tensor],
        averages: dict[str, Tensor],
        accelerator: Accelerator,
    ) -> Path:
        """Writes one, and deletes all but the two newest that are not known to be damaged.

        The last that is known to be good stays, too. `weights` may be parameters.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / f"stage{progress.stage}-{progress.steps:06d}"
        with replacing(path) as folder:
            accelerator.save_state(str(folder))
            write_tensors(folder / "weights.safetensors", weights)
            write_tensors(folder / "averages.safetensors", averages)
            (folder / "progress.json").write_text(json.dumps(asdict(progress)))
            seal(folder)
        self._damaged.discard(path)
        whole = self._whole()
        for old in (*self._damaged, *whole[KEPT:]):
            if old != self._good:
                remove(old)
        self._damaged.clear()
        self._last = self._clock()
        return path

    def newest_first(self) -> list[Path]:
        """The whole checkpoints, the latest of the latest stage first."""
        found = [(m, p) for p in self.folder.glob("stage*-*") if (m := _NAME.fullmatch(p.name))]
        found.sort(key=lambda pair: tuple(map(int, pair[0].groups())), reverse=True)
        return [path for _, path in found]

    def _whole(self) -> list[Path]:
        """Those that are not known to be damaged, the newest first."""
        return [path for path in self.newest_first() if path not in self._damaged]

    def went_on(self) -> None:
        """A step from the newest has changed the weights by a loss that is a number."""
        self._good = next(iter(self._whole()), None)

    @property
    def last(self) -> str:
        """The last good one in words; the newest may itself be what makes no number."""
        found = self._whole()
        if not found:
            return "none was written yet"
        if found[0] == self._good:
            return str(found[0])
        same = "has the weights that gave this"
        earlier = self._good if self._good in found else None
        return f"{found[0]}, which {same}" if earlier is None else f"{earlier} ({found[0]} {same})"

    def newest(self, identity: str) -> Snapshot | None:
        """The newest that is whole; None if there is none.

        Raises:
            UserError: it was made with other settings, data, base or code of a plug-in.
            Exception: whatever `errors.lacking` knows, where one could not be read for what the
                machine lacks, which says nothing of the checkpoint. A disk that cannot read it is
                no such lack.
        """
        for path in self.newest_first():
            try:
                snapshot = _read(path)
            except Exception as error:
                # safetensors says so by errors of no kind of their own.
                if getattr(error, "errno", None) != errno.EIO and lacking(error):
                    if isinstance(error, OSError):
                        raise OSError(error.errno, error.strerror, str(path)) from error
                    raise
                # A disk that failed may leave anything; the one before is whole.
                _LOG.warning("%s is damaged (%s): taking the one before", path, error)
                self._damaged.add(path)
                continue
            if snapshot.progress.identity != identity:
                raise UserError(
                    f"{path} was made with other settings or data, upon other weights of the base, "
                    "or with another text of the plug-in: take a new folder"
                )
            _tell_of_versions(snapshot)
            return snapshot
        if self._damaged:
            _LOG.warning("%s: no whole checkpoint is left: starting over", self.folder)
        return None

    def clear(self) -> None:
        """Deletes all, those half-written too: a run starts over, or is finished."""
        for path in self.newest_first():
            remove(path)
        if self.folder.is_dir():
            sweep(self.folder)
            if not self.folder.is_symlink() and not any(self.folder.iterdir()):
                self.folder.rmdir()


def _versions() -> dict[str, str]:
    return {"attnzoo": attnzoo.__version__, **{name: version(name) for name in LIBRARIES}}


def _tell_of_versions(snapshot: Snapshot) -> None:
    """A run may go on under others, and is told what that may cost; its record has the last."""
    before, now = snapshot.progress.versions, _versions()
    other = [f"{k} {v} (now {now.get(k)})" for k, v in before.items() if now.get(k) != v]
    if other:
        _LOG.warning(
            "%s was made by %s: what follows need not be what it would have been",
            snapshot.folder,
            ", ".join(other),
        )
    snapshot.progress.versions = now


def _read(folder: Path) -> Snapshot:
    check_seal(folder)
    kept = {"versions": {}, **json.loads((folder / "progress.json").read_text())}
    histories = {int(k): History(**v) for k, v in kept.pop("histories").items()}
    return Snapshot(
        folder,
        Progress(**kept, histories=histories),
        load_file(folder / "weights.safetensors"),
        load_file(folder / "averages.safetensors"),
    )
