"""What was measured, as lines of JSON in a file to which several commands may add."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

from attnzoo.bench.hardware import hardware, versions
from attnzoo.errors import UserError
from attnzoo.files import held, replacing, short
from attnzoo.paths import check_place, make_writable
from attnzoo.planning.measured import Measured
from attnzoo.planning.trace import Sizes
from attnzoo.train.device import check_machine
from attnzoo.train.settings import Experiment


def note(file: Path, command: str, experiment: Experiment, sizes: Sizes, one: Measured) -> None:
    """Adds a line of JSON to `file`: the command, what was found, machine and versions.

    Raises:
        UserError: the file cannot be written.
    """
    line = {
        "command": command,
        "variant": experiment.variant,
        "method": experiment.method.name,
        "model": experiment.model.name,
        "scale": getattr(experiment.model, "scale", None),
        "batch": sizes.batch,
        "frames": sizes.frames,
        "size": sizes.size,
        "precision": experiment.precision.name,
        "checkpointing": experiment.training.gradient_checkpointing and one.what != "sample",
        **asdict(one),
        "off": round(one.off, 4),
        "hardware": hardware(check_machine(experiment)),
        "versions": versions(),
    }
    try:
        with held(file.with_name(f".lock-{short(file)}"), waits=True):
            before = _lines(file)
            with replacing(file) as beside:
                beside.write_text(before + json.dumps(line) + "\n")
    except OSError as error:
        raise UserError(f"--out {file}: cannot be written ({error.strerror})") from error


def check_notes(file: Path) -> None:
    """UserError where no line can be added to a file, before anything is measured."""
    check_place(file)
    if file.is_dir():
        raise UserError(f"--out {file}: a folder; name a file")
    make_writable(file.parent, f"--out {file}")
    try:
        _lines(file)
    except OSError as error:
        raise UserError(f"--out {file}: cannot be read ({error.strerror})") from error


def _lines(file: Path) -> str:
    """What is in it, the last line ended; nothing where there is none."""
    try:
        text = file.read_text("utf-8") if file.is_file() else ""
    except UnicodeDecodeError as error:
        raise UserError(f"--out {file}: no text in UTF-8, to which lines are added") from error
    return text if text.endswith("\n") or not text else f"{text}\n"
