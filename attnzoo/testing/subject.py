"""An entry under test: its modules with every choice of options, and clips for them."""

from __future__ import annotations

import inspect
import os
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn

from attnzoo import registry
from attnzoo.attention import Backend
from attnzoo.errors import UserError
from attnzoo.motion import Motion
from attnzoo.registry import Entry, Option

CHANNELS, HEADS = 8, 2
SHAPE = (2, 5, 3, 4)
"""Clips, frames, rows and columns where a check needs no others; no two alike, none divides."""

SMALL = (2, 3, 2)
"""Tried for an option of three integers, so that a clip of `SHAPE` has several windows."""

Shape = Sequence[int]


class CheckFailed(AssertionError):
    """What was expected, what came, and where to look."""

    @classmethod
    def saying(cls, expected: str, came: str, look: str) -> CheckFailed:
        """The failure in the words that all have."""
        return cls(f"expected {expected}; came {came}; look at {look}")


@dataclass(frozen=True)
class Case:
    """One choice of options; `first` says that it is the slot's first module."""

    entry: Entry
    options: Mapping[str, Any]
    first: bool

    def module(self, dtype: torch.dtype = torch.float64, seed: int = 0) -> Any:
        """The mechanism with weights drawn from `seed`."""
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(seed)
            module: nn.Module = self.entry.cls(CHANNELS, HEADS, **self.options)
        return module.to(dtype)

    def motion(self, shape: Shape = SHAPE, seed: int = 1) -> Motion | None:
        """Random motion, one of it unknown, where the entry needs any."""
        return random_motion(shape, seed) if self.entry.needs_flow else None

    def fail(self, expected: str, came: str, member: str = "forward") -> CheckFailed:
        """The failure of this case; `member` of the class is where to look."""
        with_options = f" with {_typed(self.options)}" if self.options else ""
        return CheckFailed.saying(expected, came + with_options, where(self.entry, member))


class Subject:
    """An entry, and the cases of its options."""

    def __init__(self, entry: Entry) -> None:
        """`entry` as it is registered."""
        self.entry = entry

    @cached_property
    def cases(self) -> list[Case]:
        """Each module of a slot with its options as they are, and each option's other values.

        What the constructor refuses with a UserError is no case, but for the defaults; nor is a
        `backend` that cannot train on a CPU.
        """
        entry = self.entry
        small = {o.name: SMALL for o in entry.free if o.annotation == tuple[int, int, int]}
        choices: list[dict[str, Any]] = [{}]
        choices += [small] if small else []
        choices += [{**small, o.name: value} for o in entry.free for value in _others(o)]
        modules = list({tuple(sorted(m.items())): m for m in entry.modules or ({},)}.values())
        return [
            Case(entry, {**fixed, **choice}, first=fixed == modules[0])
            for fixed in modules
            for choice in choices
            if not choice or _possible(entry, {**fixed, **choice})
        ]

    @property
    def plain(self) -> list[Case]:
        """The cases with default options: one for each different module of a slot."""
        return [case for case in self.cases if case.options.keys() <= self.entry.fixed]


def clip(
    shape: Shape = SHAPE,
    seed: int = 0,
    dtype: torch.dtype = torch.float64,
    channels: int = CHANNELS,
) -> Tensor:
    """Random tokens `[b, f, h, w, c]`."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, channels, generator=generator, dtype=dtype)


def random_motion(shape: Shape, seed: int) -> Motion:
    """Flows of one or two cells between any two frames; one of them is NaN, unknown."""
    b, f, h, w = shape
    generator = torch.Generator().manual_seed(seed)
    flows = 1.5 * torch.randn(b, f, f, 2, h, w, generator=generator)
    flows[0, 0, -1, 0, 0, 0] = torch.nan
    return Motion.pairs(flows)


def alone(motion: Motion | None, i: int) -> Motion | None:
    """The motion of clip i."""
    if motion is None:
        return None
    return Motion(lambda k, r: motion.pair(k, r)[i : i + 1], batch=1, frames=motion.frames)


def where(entry: Entry, member: str) -> str:
    """`file:line (Class.member)`, or where the entry is registered."""
    found = inspect.unwrap(getattr(entry.cls, member, entry.cls))
    try:
        file = inspect.getsourcefile(found)
        line = inspect.getsourcelines(found)[1]
    except (OSError, TypeError):
        return f"{entry.place} ({entry.cls.__name__}.{member})"
    return f"{_near(file or entry.place)}:{line} ({entry.cls.__name__}.{member})"


def origin(entry: Entry, error: Exception) -> str:
    """The line of the entry's file at which `error` was raised or passed through, else `place`."""
    try:
        file = inspect.getsourcefile(entry.cls)
    except TypeError:
        file = None
    lines = [f.lineno for f in traceback.extract_tb(error.__traceback__) if f.filename == file]
    return f"{_near(file)}:{lines[-1]}" if file and lines else entry.place


def in_short(error: Exception) -> str:
    """Type and first line of an error."""
    first = next((line.strip() for line in str(error).splitlines() if line.strip()), "")
    return f"{type(error).__name__}: {first}"


def _near(file: str) -> str:
    here = os.path.relpath(file)
    return file if here.startswith("..") else here


def _others(option: Option) -> list[Any]:
    if isinstance(option.default, Backend):
        return [Backend.sdpa, Backend.math]
    if isinstance(option.default, Enum):
        return [member for member in type(option.default) if member is not option.default]
    return [not option.default] if option.annotation is bool else []


def _possible(entry: Entry, options: Mapping[str, Any]) -> bool:
    try:
        with torch.device("meta"):
            registry.create(entry.name, CHANNELS, HEADS, **options)
    except UserError:
        return False
    return True


def _typed(options: Mapping[str, Any]) -> str:
    values = (v.name if isinstance(v, Enum) else v for v in options.values())
    return " ".join(f"{key}={value}" for key, value in zip(options, values, strict=True))
