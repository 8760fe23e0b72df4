"""From a cell to a subject that may be timed, or to the row that says why not."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from attnzoo import registry
from attnzoo.bench import guard
from attnzoo.bench.agreement import Disagreement, agreement, check_compiled
from attnzoo.bench.cell import SHAPE_AXES, Cell, What
from attnzoo.bench.cost import Counts, count, peak_memory
from attnzoo.bench.growth import foreseeable, predict
from attnzoo.bench.measure import Clocked, timed
from attnzoo.bench.row import Facts, Row, Status
from attnzoo.bench.subject import Subject
from attnzoo.bench.traffic import least_traffic, traffic
from attnzoo.bench.workshop import Workshop
from attnzoo.errors import UserError

_HARMLESS = 1 << 19
"""Elements of tokens below which a cell is run without asking what it will take."""

_MARGIN = 1.25
"""Predictions of memory are taken so many times."""

_TELLING = 0.05
"""Seconds of a run from which its growth can be told."""

_RISKY = 0.5
"""Of the memory that may be used; a cell that is to take more is tried elsewhere first."""


@dataclass(frozen=True)
class Ready:
    """A cell that may be timed; first: seconds of one run."""

    subject: Subject
    facts: Facts
    first: float


@dataclass(frozen=True)
class Refused:
    """A cell that may not; latency and peak memory are predictions."""

    status: Status
    reason: str
    latency: float | None = None
    peak_memory: int | None = None

    @property
    def predicted(self) -> bool:
        """Whether there are numbers at all."""
        return self.latency is not None or self.peak_memory is not None

    def row(self, cell: Cell, key: str) -> Row:
        """The cell's row."""
        facts = Facts("", peak_memory=self.peak_memory)
        return Row(
            cell, key, self.status, self.reason, self.predicted, facts, self.latency
        )  # fmt: skip


class Preparation:
    """Prepares cells one after the other, and learns from small ones what large ones will take."""

    def __init__(
        self,
        device: torch.device,
        longest: float,
        memory: int | None,
        elsewhere: Callable[[Cell], object] | None = None,
    ) -> None:
        """longest: seconds that one run may take; memory: bytes, None: most of what is free.

        elsewhere: prepares a cell in a process that may die of it, `Refused` if it did.
        """
        self.workshop = Workshop()
        self._device = device
        self._longest = longest
        self._memory = memory
        self._elsewhere = elsewhere
        self._seconds: dict[str, list[tuple[Mapping[str, float], float]]] = {}
        self._bytes: dict[str, list[tuple[Mapping[str, float], float]]] = {}

    def prepare(self, cell: Cell, known: tuple[Facts, float] | None = None) -> Ready | Refused:
        """Makes, checks and counts a cell; `known`: facts and seconds that an earlier run left."""
        try:
            if known is None and cell.what not in (What.flow, What.maps):
                refused = self._foreseen(cell)
                if refused is not None:
                    return refused
            return self._made(cell, known)
        except UserError as error:
            return Refused(Status.unavailable, _line(error))
        except Disagreement as error:
            return Refused(Status.wrong, _line(error))
        except Exception as error:  # a cell's fault is a row, not the end of the others
            if guard.is_shortage(error):
                return Refused(Status.out_of_memory, f"while it was run: {_line(error)}")
            return Refused(Status.failed, f"{type(error).__name__}: {_line(error)}")

    def _foreseen(self, cell: Cell) -> Refused | None:
        """What smaller cells say of this one; where there are none, some are run for it."""
        series = cell.series
        if cell.tokens * max(cell.channels, 64) <= _HARMLESS:
            return None
        sizes = _sizes(cell)
        if not foreseeable([point for point, _ in self._seconds.get(series, ())], sizes):
            for probe in probes(cell):
                self._made(probe, None, counted=False)
        for probe in larger(cell):
            if self._is_told(series, _sizes(probe)):
                break
            if _sizes(probe) not in [point for point, _ in self._seconds[series]]:
                self._made(probe, None, counted=False)
        seconds = predict(self._seconds[series], sizes)
        needed = round(predict(self._bytes[series], sizes))
        budget = self._budget()
        of = f"predicted from {len(self._seconds[series])} smaller cells"
        if _MARGIN * needed > budget:
            reason = f"{needed / 2**30:.1f} GiB {of}; {budget / 2**30:.1f} GiB may be used"
            return Refused(Status.out_of_memory, reason, seconds, needed)
        if seconds > self._longest:
            reason = f"{seconds:.0f} s a run {of}; longest={self._longest:g}"
            return Refused(Status.too_long, reason, seconds, needed)
        if _MARGIN * needed > _RISKY * budget and self._elsewhere is not None:
            tried = self._elsewhere(cell)
            return tried if isinstance(tried, Refused) else None
        return None

    def _is_told(self, series: str, sizes: Mapping[str, float]) -> bool:
        """Whether what was measured tells of growth, or a cell of these sizes may be too much.

        What takes next to no time takes as long whatever its size.
        """
        return (
            max(taken for _, taken in self._seconds[series]) > _TELLING
            or _MARGIN * predict(self._bytes[series], sizes) > _RISKY * self._budget()
        )

    def _budget(self) -> int:
        free = guard.available(self._device)
        return free if self._memory is None else min(free, self._memory)

    def _made(self, cell: Cell, known: tuple[Facts, float] | None, counted: bool = True) -> Ready:
        if known is not None:
            subject = self.workshop.make(cell)
            timed(subject.run, self._device)
            return Ready(subject, *known)
        said = str(agreement(cell)) if counted else ""
        with guard.limited(self._budget(), self._device):
            subject = self.workshop.make(cell)
            facts, first = _facts(cell, subject, said, self._device, counted)
        if facts.peak_memory is not None:
            sizes = _sizes(cell)
            self._seconds.setdefault(cell.series, []).append((sizes, first))
            self._bytes.setdefault(cell.series, []).append((sizes, max(facts.peak_memory, 1)))
        return Ready(subject, facts, first)


def probes(cell: Cell) -> Sequence[Cell]:
    """Small cells from which the cost of a large one can be told, along frames and grid.

    Small whatever the large one is: what they take themselves is not foreseen.
    """
    least = 1 if cell.peer else registry.get(cell.name).min_frames
    frames = min(max(4, least), cell.frames)
    h, w = min(8, cell.height), min(8, cell.width)
    small = cell.at(frames=frames, height=h, width=w, batch=1)
    longer = small.at(frames=min(2 * frames, cell.frames))
    wider = small.at(height=min(2 * h, cell.height), width=min(2 * w, cell.width))
    return list({probe.digest: probe for probe in (small, longer, wider)}.values())


def larger(cell: Cell) -> Iterator[Cell]:
    """Cells on the way from the small ones to a large one, each of twice the tokens."""
    smallest = probes(cell)[0]
    sides = {axis: getattr(smallest, axis) for axis in ("frames", "height", "width")}
    for axis in sides:
        while 2 * sides[axis] < getattr(cell, axis):
            sides[axis] *= 2
            yield cell.at(**sides, batch=1)


def _sizes(cell: Cell) -> Mapping[str, float]:
    sizes = {axis: float(max(getattr(cell, axis), 1)) for axis in SHAPE_AXES}
    sizes["grid"] = sizes.pop("height") * sizes.pop("width")
    return sizes


def _facts(
    cell: Cell, subject: Subject, said: str, device: torch.device, counted: bool
) -> tuple[Facts, float]:
    """Counts what a subject does, and how long its last run took; the runs are its warm-up."""
    if subject.counting is None or isinstance(subject.run, Clocked):
        return Facts(said), timed(subject.run, device)
    counts: tuple[int | None, int | None, int | None] = (None, None, None)
    if counted:
        counts = _counted_if_possible(cell, subject)
        if cell.compiled:
            came = subject.run()
            if not cell.backward:
                check_compiled(subject.counting(), came, cell.dtype)
    elif cell.compiled:
        subject.run()  # so that what is told of larger ones is not a compiler's time
    else:
        subject.counting()
    run, peaks = subject.run, list[int]()
    first = timed(lambda: peaks.append(peak_memory(run, device, subject.drop)), device)
    subject.drop()
    if not counted:
        return Facts(said, peak_memory=peaks[0]), first
    least = least_traffic(*subject.touched)
    return Facts(said, *counts, least, peaks[0]), first


def _counted_if_possible(cell: Cell, subject: Subject) -> tuple[int | None, int | None, int | None]:
    """As `_counted`; a peer may hold compiled code, in which no counter can look."""
    try:
        return _counted(cell, subject)
    except Exception:
        if not cell.peer or subject.counting is None:
            raise
        subject.drop()
        subject.counting()  # whether it runs at all
        return None, None, None


def _counted(cell: Cell, subject: Subject) -> tuple[int, int, int]:
    """FLOPs, useful ones, and bytes moved.

    Not useful is attention that is computed and thrown away, beyond what the entry declares; in a
    backward it is the same share, since that goes over the same tokens.
    """
    run, forward = subject.counting, subject.forward
    assert run is not None and forward is not None
    found: list[Counts] = []
    mechanisms = subject.mechanisms or {}
    with _shapes(mechanisms) as shapes:
        moved = traffic(lambda: found.append(count(run)))
    counts = once = found[0]
    subject.drop()
    if mechanisms and (cell.backward or cell.what is What.training):
        with _shapes(mechanisms) as shapes:
            once = count(forward)
    wasted = 0.0
    for name, module in mechanisms.items():
        declared = sum(_declared(cell, module, shape) for shape in shapes[name])
        done = once.attention.get(name, 0)
        if done > declared:
            wasted += (1 - declared / done) * counts.attention.get(name, 0)
    return counts.all["Global"], round(counts.all["Global"] - wasted), moved


@contextmanager
def _shapes(modules: Mapping[str, nn.Module]) -> Iterator[Mapping[str, list[tuple[int, ...]]]]:
    """Notes the shapes of the tokens that modules are called with."""
    seen: dict[str, list[tuple[int, ...]]] = {name: [] for name in modules}

    def noting(name: str) -> Any:
        return lambda module, arguments: seen[name].append(tuple(arguments[0].shape))

    handles = [m.register_forward_pre_hook(noting(name)) for name, m in modules.items()]
    try:
        yield seen
    finally:
        for handle in handles:
            handle.remove()


def _declared(cell: Cell, module: nn.Module, shape: tuple[int, ...]) -> int:
    name = cell.mirrors or cell.name
    entry = registry.get(name)
    options = dict(cell.options)
    if not cell.peer:  # what a slot fixed is known by the module alone
        options |= {key: getattr(module, key) for key in entry.fixed if hasattr(module, key)}
    b, f, h, w, c = shape
    return registry.cost(name, b=b, f=f, h=h, w=w, c=c, **options)


def _line(error: BaseException) -> str:
    return " ".join(str(error).split())[:300]
