"""`python -m attnzoo.run attn=stsa 'size=[8,4,4]'`: one variant, from training to its record.

Trains both stages, samples test clips, scores and profiles, and leaves it all in one folder.
`--help` lists variants and settings.
"""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Sequence
from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from attnzoo import application, commands, config, job
from attnzoo.errors import UserError
from attnzoo.files import Held, held, replacing
from attnzoo.summary import summary

_LOG = logging.getLogger(__name__)

CONFIG, RECORD, LOCK = "config.yaml", "record.json", ".lock"

CHANGEABLE = ("device", "workers", "tracker", "plugins")
"""What may be said anew when a run goes on: where it computes and where plug-ins lie, not what."""
LOGGING = ("hydra.verbose", "hydra.job_logging", "hydra.hydra_logging")


class _Finished(Exception):
    """The run that is to go on has its record."""


def command(arguments: Sequence[str]) -> None:
    """Runs one configuration or, with -m, a sweep."""
    try:
        application.launch(_run, arguments, check=_check, prepare=_resuming)
    except _Finished as finished:
        print(finished)


def _check(cfg: DictConfig, folder: Path) -> None:
    """UserError for whatever cannot be run; nothing expensive is made."""
    cfg = _configuration(cfg, cfg.hydra.overrides.task)
    experiment = config.experiment_of(cfg)
    experiment.check()
    _check_folder(folder)
    if cfg.resume is None and (folder / RECORD).exists():
        raise UserError(
            f"hydra.run.dir={folder}: holds the record of a finished run; take another folder"
        )
    from attnzoo.train.device import check_machine

    experiment.model.check()
    check_machine(experiment)
    source = config.source_of(cfg)
    from attnzoo.train import experiment as training

    training.check(experiment, source)


def _run(cfg: DictConfig) -> None:
    folder = Path(HydraConfig.get().runtime.output_dir)
    try:
        with held(folder / LOCK):
            _run_in(folder, cfg)
    except Held as error:
        raise UserError(f"{_shown(folder)}: another run is at work there") from error


def _run_in(folder: Path, cfg: DictConfig) -> None:
    from attnzoo.train import experiment as training

    cfg = _configuration(cfg, HydraConfig.get().overrides.task)
    resume = cfg.resume is not None
    if not resume:
        if (folder / RECORD).exists():
            raise UserError(f"{folder}: holds the record of a finished run; take another folder")
        with replacing(folder / CONFIG) as beside:
            beside.write_text(config.stored(cfg))
    experiment = config.experiment_of(cfg)
    record = training.run(
        experiment,
        config.source_of(cfg),
        folder,
        resume=resume,
        profile=job.profiler(experiment),
        environment=job.environment_of(experiment),
    )
    _LOG.info("%s", summary(record, _shown(folder)))


def _configuration(cfg: DictConfig, overrides: Sequence[str]) -> DictConfig:
    """`cfg`, or for a run that goes on what lies in its folder, but for what `overrides` change."""
    if cfg.resume is None:
        return cfg
    given = {o.key_or_group for o in application.parsed(overrides)}
    changed = {key: cfg[key] for key in CHANGEABLE if key in given}
    return config.restored(cfg, (Path(cfg.resume) / CONFIG).read_text(), changed)


def _resuming(overrides: list[str], sweep: bool) -> list[str]:
    """With `resume=FOLDER`: the overrides under which Hydra composes that run again."""
    parsed = application.parsed(overrides)
    folders = [o.value() for o in parsed if o.key_or_group == "resume"]
    if not folders or folders[-1] is None:
        return overrides
    folder = Path(str(folders[-1]))
    for text, override in zip(overrides, parsed, strict=True):
        key = override.key_or_group
        if key not in ("resume", *CHANGEABLE) and not key.replace("/", ".").startswith(LOGGING):
            raise UserError(
                f"{text}: resume={folder} goes on with the configuration stored there; "
                f"only {', '.join(CHANGEABLE)} and logging may change"
            )
    if sweep:
        raise UserError(f"resume={folder}: goes on with one run, and not with -m")
    text = _stored(folder)
    if (folder / RECORD).exists():
        _check_record(folder)
        raise _Finished(f"{_shown(folder)}: this run is finished; nothing to do")
    groups = config.groups_of(text)
    given = any(o.key_or_group == application.PLUGINS for o in parsed)
    stored = [] if given else config.plugins_of(text)
    for plugin in stored:
        if plugin.endswith(".py") and not Path(plugin).is_file():
            raise UserError(
                f"resume={folder}: its plug-in {plugin} is gone; say where it is now, as in "
                f"resume={folder} +plugins=[{Path(plugin).name}]"
            )
    named = ",".join(map(application.quoted, stored))
    plugins = [f"{application.PLUGINS}=[{named}]"] if stored else []
    return [*groups, *plugins, *overrides, f"hydra.run.dir={application.quoted(folder)}"]


def _stored(folder: Path) -> str:
    if not folder.is_dir():
        raise UserError(f"resume={folder}: no such folder; give the folder of an earlier run")
    try:
        return (folder / CONFIG).read_text()
    except OSError as error:
        raise UserError(
            f"resume={folder}: no {CONFIG} can be read there ({error.strerror}); "
            "give the folder of an earlier run"
        ) from error


def _check_record(folder: Path) -> None:
    """UserError unless what a finished run has left can be read."""
    from attnzoo.train.record import read_record

    try:
        read_record(folder)
    except UserError as error:
        raise UserError(
            f"{error}; delete it, and resume={folder} makes it anew from {CONFIG}"
        ) from error


def _check_folder(folder: Path) -> None:
    """UserError if the folder cannot be made or written; leaves nothing behind."""
    try:
        existing = next(p for p in (folder, *folder.absolute().parents) if p.exists())
        with tempfile.TemporaryDirectory(dir=existing, prefix=".attnzoo-"):
            pass
    except OSError as error:
        raise UserError(
            f"hydra.run.dir={folder}: cannot be written ({error.strerror}); take another folder"
        ) from error


def _shown(folder: Path) -> Path:
    """Relative to the working directory where it lies in it."""
    here = Path.cwd()
    folder = folder.absolute()
    return folder.relative_to(here) if folder.is_relative_to(here) else folder


def main(arguments: Sequence[str] | None = None) -> None:
    """The command, with its exit status."""
    commands.execute(command, arguments)


if __name__ == "__main__":
    main()
