"""What is kept of a run beside its record: clips, and scores over steps."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from attnzoo.data.clip import Clip
from attnzoo.metrics.score import score
from attnzoo.tables.clips import write_generated
from attnzoo.tables.folder import write_json
from attnzoo.tables.protocol import Curves
from attnzoo.train.settings import Experiment
from attnzoo.train.watch import Look

ON_THE_WAY = "curve-stage1-{}.json"
"""Scores of the averaged weights behind a step of stage 1, which has six digits."""


class Keeper:
    """Writes clips and curves into a run's working folder; see `attnzoo.train.watch.Watch`."""

    def __init__(
        self, folder: Path, cell: str, experiment: Experiment, clips: bool, curves: Curves | None
    ) -> None:
        """clips: whether to write them; curves: which scores over steps, None for none."""
        self.folder, self.cell, self.clips, self.curves = folder, cell, clips, curves
        self.training, self.sampling = experiment.training, experiment.sampling
        steps = self.training.stage1.steps
        shares = () if curves is None else curves.training
        self.points = sorted({round(share * steps) for share in shares} - {0})

    def due(self, stage: int, step: int) -> bool:
        """At the shares of stage 1."""
        return stage == 1 and step in self.points

    def look(self, look: Look) -> None:
        """Scores the averaged weights as they stand."""
        if self.curves is None:
            return
        made = look.made(self.curves.clips, self.sampling.steps)
        write_json(self.folder / ON_THE_WAY.format(f"{look.step:06d}"), _scores(made, look.clips))

    def finished(self, look: Look, generated: Tensor) -> None:
        """Writes the clips and the whole curves."""
        if self.clips:
            write_generated(self.folder / "clips", look.clips, generated)
        if self.curves is not None:
            write_json(self.folder / "curves.json", self._curves(self.curves, look, generated))

    def _curves(self, curves: Curves, look: Look, generated: Tensor) -> dict[str, Any]:
        own = _scores(generated[: curves.clips], look.clips)
        denoising = [
            own
            if steps == self.sampling.steps
            else _scores(look.made(curves.clips, steps), look.clips)
            for steps in curves.denoising
        ]
        # A method that trains nothing in stage 1 shows nothing on the way.
        paths = {step: self.folder / ON_THE_WAY.format(f"{step:06d}") for step in self.points}
        seen = {step: json.loads(path.read_text()) for step, path in paths.items() if path.exists()}
        seen[self.training.stage1.steps + self.training.stage2.steps] = own
        return {
            "schema": 1,
            "cell": self.cell,
            "denoising": {"steps": list(curves.denoising), "scores": denoising},
            "training": {"steps": list(seen), "scores": list(seen.values())},
        }


def _scores(made: Tensor, clips: Sequence[Clip]) -> Mapping[str, Any]:
    clips = clips[: len(made)]
    found = score(torch.stack([clip.video for clip in clips]), made, clips)
    return {name: {"value": one["value"], "clips": one["clips"]} for name, one in found.items()}
