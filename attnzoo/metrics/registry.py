"""The registry of metrics: a frozen record for each, and the way from a profile to its metrics.

A metric is one file in `attnzoo/metrics/entries/` (or one entry point in the group
`attnzoo.metrics` of an installed package, or a file given to `load_plugin`) that calls `register`
once for each profile in which the metric is computed differently. Importing this module imports
no torch.
"""

from __future__ import annotations

import functools
import importlib
import importlib.util
import logging
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attnzoo._imports import entry_point_fault, imported, place_of, plugin_module
from attnzoo._options import RegistrationError, suggestion
from attnzoo.errors import UserError

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from attnzoo.metrics.statistics import Interval

ENTRY_POINTS = "attnzoo.metrics"
"""The entry-point group by which an installed package offers metrics."""

_LOG = logging.getLogger(__name__)


class NoValue(ValueError):
    """A metric has no value for these pictures; the message is the reason that a table gives."""


class Profile(Enum):
    """Whose definitions are followed.

    disco: DisCo's published tool, its faults included, so that a published row can be compared;
    strict: what the names say.
    """

    disco = "disco"
    strict = "strict"


class Better(Enum):
    """In which direction a value is better; `zero`: nearer to zero."""

    lower = "lower"
    higher = "higher"
    zero = "nearer to 0"


class Kind(Enum):
    """What a metric takes and gives.

    frame: a pair of videos, one value for each frame; clip: a pair of videos, one value; set: all
    real and all generated videos, the distance of their features.
    """

    frame = "per frame"
    clip = "per video"
    set = "distance of sets"


@dataclass(frozen=True)
class WeightFile:
    """A file of weights that a user brings.

    `option` names it on a command line, `names` are the file names under which it is looked for in
    a folder, `sha256` is its digest or the digest's beginning where that is known for sure, and
    `origin` says where it comes from.
    """

    option: str
    names: tuple[str, ...]
    origin: str
    sha256: str | None = None


@dataclass(frozen=True, eq=False)
class Network:
    """A network that a metric looks through.

    `load(files, device)` gives it in evaluation mode without gradients, from one file for each of
    `weights`; where that is empty the weights come with this package. `packages` are the modules
    that have to be installed.
    """

    title: str
    load: Callable[[Sequence[Path], torch.device], Any]
    weights: tuple[WeightFile, ...] = ()
    packages: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Extractor:
    """Features of a video: `extract(network, video)` gives `[k, dimensions]` float32.

    `video` is `[f, 3, H, W]` uint8 on the network's device, k the number of samples in it (frames
    or clips, by the metric's clip rule). `name` says which features of which preprocessing these
    are, is part of the cache's key, and has to change when either does; of a plug-in its file's
    SHA-256 is, too. `of_file` takes the place
    of `extract` for a video that came as one file, where the rule for those is another.
    """

    name: str
    network: Network
    dimensions: int
    extract: Callable[[Any, Tensor], Tensor]
    of_file: Callable[[Any, Tensor], Tensor] | None = None


@dataclass(frozen=True, eq=False)
class Distance:
    """A distance of two sets of features.

    `between(real, fake)` takes `[n, d]` and `[m, d]`. `interval(real, fake, real_videos,
    fake_videos, *, level, seed)` gives value and bounds by resampling videos; the last two hold
    each row's video.
    """

    name: str
    between: Callable[[Tensor, Tensor], float]
    interval: Callable[..., Interval]


@dataclass(frozen=True, eq=False)
class Context:
    """What is known of a pair beside its pictures; None where it is not.

    body: `[f, 1, H, W]`, 1 where the person is. flow: `attnzoo.metrics.warp_error.PairFlow`, and
    whether it is `known` or was estimated. reference: the reference picture `[3, H, W]` in [0, 1],
    `reference_body` `[1, H, W]` its foreground. more: what a metric of your own needs, by name.
    network: what the metric's `Network.load` gave.
    """

    name: str = ""
    body: Tensor | None = None
    flow: Callable[[int, int], tuple[Tensor, Tensor]] | None = None
    known: bool = False
    reference: Tensor | None = None
    reference_body: Tensor | None = None
    more: dict[str, Any] = field(default_factory=dict)
    network: Any = None

    def with_network(self, network: Any) -> Context:
        """The same with a network."""
        return replace(self, network=network)


PairFunction = Callable[["Tensor", "Tensor", Context], "Tensor"]
"""(real, fake, context) -> values; pictures are `[f, 3, H, W]` floating point in [0, 1].

Kind frame: `[f]`, NaN for a frame without a value; such a function may be given a video in parts.
Kind clip: a single value, from the whole video. Float64 on any device. Raises `NoValue` with the
reason where there is none."""


@dataclass(frozen=True, eq=False)
class Metric:
    """What a metric states about itself; all of it is printed under a table and kept in records.

    `name` is the key in files, `label` what a table shows. `clip_rule` says which frames make one
    sample. `min_frames`: a video of fewer has no value, and the reason says so. Kinds frame and
    clip have `compute` (and perhaps `network`, which then comes in the context); kind set has
    `extractor` and `distance`. `instead` names the metric to be read where this one's weights are
    absent. `place` is `file:line` of the registration.
    """

    name: str
    label: str
    title: str
    profiles: tuple[Profile, ...]
    unit: str
    better: Better
    kind: Kind
    input_range: str
    resize: str
    crop: str
    clip_rule: str
    source: str
    min_frames: int = 1
    packages: tuple[str, ...] = ()
    compute: PairFunction | None = None
    network: Network | None = None
    extractor: Extractor | None = None
    distance: Distance | None = None
    instead: str | None = None
    place: str = ""

    @property
    def sight(self) -> Network | None:
        """The network that is looked through, of a pair's metric or of a set's."""
        return self.extractor.network if self.extractor is not None else self.network

    @property
    def needed(self) -> tuple[str, ...]:
        """All modules that have to be installed."""
        return (*self.packages, *(self.sight.packages if self.sight is not None else ()))

    def missing_package(self) -> str | None:
        """Why it cannot be computed here for want of a package, or None."""
        for name in self.needed:
            if importlib.util.find_spec(name) is None:
                return f"the package {name} is not installed"
        return None

    def statement(
        self, network: str | None = None, videos: int | None = None, samples: int | None = None
    ) -> str:
        """All that defines a value, in one line.

        `network` with its digest, and how many videos and samples stand behind a value.
        """
        look = network or (self.sight.title if self.sight is not None else "none")
        if videos == 0 and network is None and self.sight is not None:
            look += " (not here)"
        distance = [f"distance: {self.distance.name}"] if self.distance is not None else []
        parts = [
            f"{self.label} ({self.unit}; {self.better.value} is better)",
            self.title,
            self.kind.value,
            *distance,
            f"input: {self.input_range}",
            f"resize: {self.resize}",
            f"crop: {self.crop}",
            f"clips: {self.clip_rule}",
            f"network: {look}",
            *([f"n = {videos} videos, {samples} samples"] if videos is not None else []),
        ]
        return "; ".join(parts)


_entries: dict[tuple[Profile, str], Metric] = {}
_broken: dict[str, str] = {}
_discovered = False


def register(metric: Metric) -> Metric:
    """Enters a metric under its name in each of its profiles, and gives it back.

    Raises:
        RegistrationError: the name is taken in one of them, or the parts do not make a metric of
            its kind.
    """
    caller = sys._getframe(1)
    placed = replace(metric, place=place_of(caller.f_code.co_filename, caller.f_lineno))
    _check(placed)
    for profile in placed.profiles:
        other = _entries.get((profile, placed.name))
        if other is not None:
            raise RegistrationError(
                f"the metric {placed.name!r} is in profile {profile.value} twice: {other.place} "
                f"and {placed.place}"
            )
    for profile in placed.profiles:
        _entries[profile, placed.name] = placed
    return placed


def _check(metric: Metric) -> None:
    of_set = metric.kind is Kind.set
    if not metric.profiles:
        raise RegistrationError(f"{metric.place}: {metric.name!r} is in no profile")
    if of_set != (metric.extractor is not None and metric.distance is not None):
        raise RegistrationError(
            f"{metric.place}: {metric.name!r}: a distance of sets has extractor and distance, "
            "another metric has neither"
        )
    if of_set == (metric.compute is not None):
        raise RegistrationError(
            f"{metric.place}: {metric.name!r}: a metric of pairs has compute, a distance has not"
        )


def metrics(profile: Profile) -> list[Metric]:
    """The metrics of a profile in the order of their files' and registrations' names."""
    _discover()
    return [metric for (its, _), metric in sorted_entries() if its is profile]


def sorted_entries() -> list[tuple[tuple[Profile, str], Metric]]:
    """All that is registered, as published tables order it, others behind by name."""
    _discover()
    return sorted(_entries.items(), key=lambda item: (_rank(item[0][1]), item[0][1]))


_ORDER = (
    "fid", "ssim", "psnr", "lpips", "l1", "fid_vid", "fvd", "fd_embedded", "fvd_embedded",
)  # fmt: skip


def _rank(name: str) -> int:
    return _ORDER.index(name) if name in _ORDER else len(_ORDER)


def get(profile: Profile, name: str) -> Metric:
    """A metric by name.

    Raises:
        UserError: there is none of that name in that profile; says which there are.
    """
    _discover()
    if (profile, name) not in _entries:
        if name in _broken:
            raise UserError(_broken[name])
        known = [its for where, its in _entries if where is profile]
        raise UserError(f"no metric {name!r} in profile {profile.value}{suggestion(name, known)}")
    return _entries[profile, name]


def load_plugin(path_or_module: str | Path) -> list[str]:
    """Imports metrics of a user's own, from a `.py` file or a module; returns their names.

    Raises:
        UserError: no such file or module, an import that fails, or nothing registered by it.
    """
    _discover()
    before = dict(_entries)
    try:
        plugin_module(str(path_or_module))
        names = sorted({name for where, name in _entries if (where, name) not in before})
        if not names:
            raise UserError(f"plugin {str(path_or_module)!r} registers no metric")
    except BaseException:
        _entries.clear()
        _entries.update(before)
        raise
    return names


def _discover() -> None:
    """Imports every entry file and every entry point, once.

    A file that does not import is an error that names it. An entry point that does not is another
    package's fault: it is told of, and the rest goes on.
    """
    global _discovered
    if _discovered:
        return
    _discovered = True
    try:
        for file in sorted((Path(__file__).parent / "entries").glob("[!_]*.py")):
            name = f"attnzoo.metrics.entries.{file.stem}"
            before = len(_entries)
            loaded = name in sys.modules
            imported(str(file), functools.partial(importlib.import_module, name))
            if len(_entries) == before and not loaded:
                raise RegistrationError(f"{file} registers no metric")
        for point in entry_points(group=ENTRY_POINTS):
            _load_entry_point(point)
    except BaseException:
        _discovered = False
        raise


def _load_entry_point(point: EntryPoint) -> None:
    before = dict(_entries)
    fault = entry_point_fault(point, lambda: len(_entries) > len(before), "registers no metric")
    if fault is not None:
        _entries.clear()
        _entries.update(before)
        _broken[point.name] = fault
        _LOG.warning("left out: %s", fault)
