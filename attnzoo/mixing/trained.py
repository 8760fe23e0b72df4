"""The model that a run left: its averaged weights, or those of its newest checkpoint."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from torch import Tensor

from attnzoo.data.frames import fingerprint
from attnzoo.errors import DAMAGED, UserError
from attnzoo.files import check_seal
from attnzoo.models.choice import Embedded
from attnzoo.models.dance import DanceModel
from attnzoo.models.pretrained import compare, readable
from attnzoo.train.checkpoint import Checkpoints
from attnzoo.train.description import describe_trained
from attnzoo.train.experiment import WEIGHTS, base_of, inflated
from attnzoo.train.record import NAME, read_record
from attnzoo.train.settings import Experiment
from attnzoo.train.stages import STAGES, trained_parameters

AVERAGES, PROGRESS = "averages.safetensors", "progress.json"
"""Of a checkpoint's folder."""


@dataclass(frozen=True)
class Weights:
    """A file of averaged weights, and how far its run was.

    stage: the one that was at work, whose parameters these are, `steps` of it done; None and None
    for what a finished run left. code: SHA-256 of the variant's file as the record has it; base:
    what a checkpoint has of the base's own weights; sha256: of the file, as a record has it;
    trained: the settings it was trained with, as `describe_trained` gives them, by record or
    checkpoint.
    """

    file: Path
    stage: int | None = None
    steps: int | None = None
    code: str | None = None
    base: str | None = None
    sha256: str | None = None
    trained: Mapping[str, Any] | None = None

    @property
    def said(self) -> str:
        """In words."""
        if self.stage is None:
            return "a finished run"
        return f"an unfinished run, averages after {self.steps} steps of stage {self.stage}"


def run_of(folder: Path) -> Path:
    """The run's folder that `folder` is, or, for a checkpoint's folder, lies in."""
    return folder.parent.parent if (folder / PROGRESS).is_file() else folder


def weights_of(folder: Path) -> Weights:
    """The averaged weights that lie in a run's folder, or in that of one checkpoint.

    Raises:
        UserError: there are none, or those of a finished run are gone.
    """
    if (folder / PROGRESS).is_file():
        return _of_checkpoint(folder)
    file = folder / WEIGHTS
    if (folder / NAME).is_file():
        if not file.is_file():
            raise UserError(f"--run {folder}: the run is finished and its {WEIGHTS} is gone")
        record = read_record(folder)
        environment = record["environment"]
        code, whole = environment.get("code"), environment.get("weights_sha256")
        return Weights(
            file,
            code=code.get("sha256") if isinstance(code, dict) else None,
            sha256=whole if isinstance(whole, str) else None,
            trained=_of_record(record),
        )
    reasons = []
    for checkpoint in Checkpoints(folder, every=0).newest_first():
        try:
            return _of_checkpoint(checkpoint)
        except UserError as error:
            # A disk that failed may leave anything; the one before is whole.
            reasons.append(str(error))
    why = "; ".join(reasons) or f"neither {NAME} nor a whole checkpoint"
    raise UserError(f"--run {folder}: nothing trained lies there ({why}); give a finished run")


def _of_record(record: Mapping[str, Any]) -> dict[str, Any]:
    plain = {key: record[key] for key in ("seed", "slots", "stack")}
    return {**plain, "noise": record["noise"]["training"], **record["options"]}


def _of_checkpoint(folder: Path) -> Weights:
    try:
        check_seal(folder)
        kept = json.loads((folder / PROGRESS).read_text())
        base, trained = kept.get("base"), kept.get("trained")
        found = Weights(
            folder / AVERAGES,
            int(kept["stage"]),
            int(kept["steps"]),
            base=base if isinstance(base, str) else None,
            trained=trained if isinstance(trained, dict) else None,
        )
    except DAMAGED as error:
        raise UserError(f"{folder}: not a checkpoint that can be read ({error})") from error
    with readable(found.file), safe_open(found.file, "pt"):
        return found


def load(experiment: Experiment, found: Weights) -> tuple[DanceModel, str]:
    """The experiment's model with these weights, in evaluation mode, and SHA-256 of their file.

    Raises:
        UserError: the model cannot be built, or the file holds not exactly what was trained, or
            upon another base, or has gone since (a run that goes on deletes its older checkpoints).
    """
    if found.trained is not None:
        _check_as_trained(experiment, found.trained, run_of(found.file.parent) / "config.yaml")
    tensors, about, sha256 = _read(found.file)
    for key, ours in (("variant", experiment.variant), ("method", experiment.method.name)):
        if about.get(key, ours) != ours:
            raise UserError(f"{found.file}: weights of {key}={about[key]}, the run's is {ours}")
    base = about.get("base", found.base)

    def built() -> DanceModel:
        model = experiment.model.build()
        if base not in (None, base_of(experiment, model)):
            whole = isinstance(experiment.model, Embedded)
            what = f"the file whose SHA-256 begins with {base[:12]}" if whole else "what was there"
            raise UserError(
                f"{found.file}: trained upon other weights of the base than lie there now: put "
                f"back {what}"
            )
        return model

    model = inflated(experiment, built)
    stage = STAGES[-1] if found.stage is None else found.stage
    if stage not in STAGES:
        raise UserError(f"{found.file}: of stage {stage}; there are {STAGES[0]} and {STAGES[-1]}")
    parameters = trained_parameters(model, stage)
    wrong = {
        name
        for name in parameters.keys() & tensors.keys()
        if parameters[name].shape != tensors[name].shape
    }
    missing, left = parameters.keys() - tensors.keys(), tensors.keys() - parameters.keys()
    compare(str(found.file), missing, left, wrong)
    if found.sha256 not in (None, sha256):
        raise UserError(
            f"{found.file}: its SHA-256 is not the one that {NAME} has of it: it is damaged, or "
            f"another run's; put back the file whose SHA-256 begins with {found.sha256[:12]}"
        )
    with torch.no_grad():
        for name, parameter in parameters.items():
            parameter.copy_(tensors[name])
    return model.requires_grad_(False).eval(), sha256


def _check_as_trained(experiment: Experiment, then: Mapping[str, Any], config: Path) -> None:
    """UserError where a configuration was edited: what it says of the weights would not be so.

    An option that is not known of the weights is younger than they are.
    """
    now = describe_trained(experiment)
    for key in (key for key in now if key in then):
        if now[key] != then[key]:
            raise UserError(
                f"{config}: has {key}={now[key]}, and the weights there were trained with "
                f"{key}={then[key]}: put that back"
            )


def _read(file: Path) -> tuple[dict[str, Tensor], dict[str, Any], str]:
    with readable(file):
        sha256 = fingerprint(file)
        with safe_open(file, "pt") as opened:
            # safetensors' names are not known to type checkers.
            names: Any = opened.keys()
            tensors = {name: opened.get_tensor(name) for name in names}
            return tensors, dict(opened.metadata() or {}), sha256
