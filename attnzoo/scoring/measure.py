"""Measures pairs of videos, one after the other: what is kept of each is small."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from attnzoo.errors import UserError
from attnzoo.metrics.registry import Context, Extractor, Kind, Metric, Network
from attnzoo.scoring.cache import Features, content
from attnzoo.scoring.flow import EstimatedFlow
from attnzoo.scoring.folders import Pair
from attnzoo.scoring.reading import read, repeats
from attnzoo.scoring.weights import Found, Weights, foreign_code

CHUNK = 16
"""Frames that are floating point at once, for metrics of single frames."""


@dataclass
class Gathered:
    """What a metric has of the videos measured so far.

    said: the network with its digest, None where there is none or it is absent. reason: why it has
    nothing at all. values and counts: by video, mean over its frames and how many those are.
    own: the same measure of the real video itself, of metrics of whole videos. left_out: reasons by
    video. without: by video, how many of its frames have no value. real, fake: features by video.
    """

    said: str | None = None
    reason: str | None = None
    values: dict[str, float] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)
    own: dict[str, float] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)
    without: dict[str, int] = field(default_factory=dict)
    real: dict[str, Tensor] = field(default_factory=dict)
    fake: dict[str, Tensor] = field(default_factory=dict)


class Measurement:
    """Metrics, their networks, and what was found; `add` a pair after the other."""

    def __init__(
        self, metrics: Sequence[Metric], weights: Weights, cache: Features, device: torch.device
    ) -> None:
        """Loads the networks whose weights are there.

        Raises:
            UserError: a file of weights is not what it should be.
        """
        self.metrics = tuple(dict.fromkeys(metrics))
        self.found = {metric: Gathered() for metric in self.metrics}
        self.repeated: dict[str, int] = {}
        self._cache, self.device = cache, device
        self._networks: dict[Network, Any] = {}
        self._files: dict[Network, Found] = {}
        for metric in self.metrics:
            self._prepare(metric, weights)

    def _prepare(self, metric: Metric, weights: Weights) -> None:
        gathered, network = self.found[metric], metric.sight
        gathered.reason = metric.missing_package()
        if network is None or gathered.reason:
            return
        files = weights.of(network)
        if isinstance(files, str):
            gathered.reason = files
            return
        gathered.said = files.said
        if network not in self._networks:
            self._networks[network] = network.load(files.files, self.device)
            self._files[network] = files

    def add(self, pair: Pair) -> None:
        """Reads a pair, once, and measures it.

        Raises:
            UserError: it cannot be decoded.
        """
        real = read(pair.real, "--real", pair.shape)
        fake = read(pair.fake, "--fake", pair.shape)
        for video, path in ((real, pair.real), (fake, pair.fake)):
            times = repeats(video)
            if times > 1:
                self.repeated[str(path)] = times
        context = Context(name=pair.name, flow=EstimatedFlow(real))
        digests = content(real), content(fake)
        real, fake = real.to(self.device), fake.to(self.device)
        for metric in self.metrics:
            gathered = self.found[metric]
            if gathered.reason is not None:
                continue
            if len(real) < metric.min_frames:
                gathered.left_out[pair.name] = (
                    f"{len(real)} frames, at least {metric.min_frames} needed"
                )
                continue
            try:
                if metric.extractor is not None:
                    sides = ((real, digests[0], pair.real), (fake, digests[1], pair.fake))
                    rows = [
                        self._features(metric.extractor, video, digest, path.is_file())
                        for video, digest, path in sides
                    ]
                    gathered.real[pair.name], gathered.fake[pair.name] = rows
                else:
                    self._compare(metric, gathered, real, fake, context)
            except UserError:
                raise
            except ValueError as error:
                gathered.left_out[pair.name] = " ".join(str(error).split())

    def _features(self, extractor: Extractor, video: Tensor, digest: str, is_file: bool) -> Tensor:
        of_file = is_file and extractor.of_file is not None
        network = extractor.network
        key = (
            extractor.name + ("-file" if of_file else ""),
            self._files[network].key,
            digest,
            # A plug-in may be edited, and call its features as another plug-in does.
            *filter(None, [foreign_code(extractor.extract, extractor.of_file, network.load)]),
        )
        kept = self._cache.get(*key)
        if kept is not None:
            return kept
        function = extractor.of_file if of_file and extractor.of_file else extractor.extract
        rows = function(self._networks[extractor.network], video)
        self._cache.put(rows, *key)
        return rows

    def _compare(
        self, metric: Metric, gathered: Gathered, real: Tensor, fake: Tensor, context: Context
    ) -> None:
        if metric.network is not None:
            context = context.with_network(self._networks[metric.network])
        values = _values(metric, real, fake, context)
        if not values:
            gathered.left_out[context.name] = "no frame has a value"
            return
        if metric.kind is Kind.frame and len(values) < len(real):
            gathered.without[context.name] = len(real) - len(values)
        gathered.values[context.name] = math.fsum(values) / len(values)
        gathered.counts[context.name] = len(values)
        if metric.kind is Kind.clip:
            # Of single frames this is trivial: a picture equals itself.
            gathered.own[context.name] = math.fsum(_values(metric, real, real, context))


def _values(metric: Metric, real: Tensor, fake: Tensor, context: Context) -> list[float]:
    """What a metric of pairs gives, less frames without a value.

    Raises:
        ValueError: that is not one number for each frame, or the video, or one is infinite.
    """
    assert metric.compute is not None
    step = CHUNK if metric.kind is Kind.frame else len(real)
    parts = [
        torch.as_tensor(metric.compute(a.float() / 255, b.float() / 255, context)).flatten().cpu()
        for a, b in zip(real.split(step), fake.split(step), strict=True)
    ]
    values = torch.cat(parts).double().tolist()
    due = len(real) if metric.kind is Kind.frame else 1
    if len(values) != due:
        raise ValueError(f"{len(values)} values, and {due} are due {metric.kind.value}")
    if any(map(math.isinf, values)):
        raise ValueError("a value is infinite")
    return [value for value in values if not math.isnan(value)]
