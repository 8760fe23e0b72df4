"""`python -m attnzoo.run attn=stsa 'size=[8,4,4]'`: one variant, from training to its record.

Trains both stages, samples test clips, scores and profiles, and leaves it all in one folder.
`--help` lists variants and settings.
"""

from __future__ import annotations

import logging
import re
import shlex
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from attnzoo import application, commands, config, job, stored
from attnzoo.errors import UserError, lacking
from attnzoo.files import Held, held, replacing, sweep
from attnzoo.overrides import PLUGINS, check_text, parsed, quoted
from attnzoo.paths import check_folder, typed
from attnzoo.stored import CONFIG
from attnzoo.summary import summary
from attnzoo.train.processes import Processes, join, joined
from attnzoo.train.settings import Sampling

_LOG = logging.getLogger(__name__)

RECORD, LOCK = "record.json", ".lock"

CHANGEABLE = (
    "device", "workers", "tracker", "plugins",
    "train.checkpoint_seconds", "train.nonfinite", "train.deterministic",
)  # fmt: skip
"""What may be said anew when a run goes on: where and how it computes and where plug-ins lie, not
what."""
LOGGING = ("hydra.verbose", "hydra.job_logging", "hydra.hydra_logging")


class _Finished(Exception):
    """The run that is to go on has its record."""


def command(arguments: Sequence[str]) -> None:
    """Runs one configuration or, with -m, a sweep; one of several processes does its part of it."""
    processes = join()
    try:
        if processes.first:
            application.launch(_run, arguments, check=_check, prepare=_resuming)
        else:
            _follow(arguments, processes)
    except _Finished as finished:
        if processes.first:
            print(finished)


def _follow(arguments: Sequence[str], processes: Processes) -> None:
    """The part in a run that the first process has launched."""
    cfg = application.followed(arguments, _resuming)
    if cfg is None:
        return
    logging.getLogger("attnzoo").setLevel(logging.ERROR)  # the first process says it all
    folder = Path(processes.told(None))
    cfg = _configuration(cfg, cfg.hydra.overrides.task)
    from attnzoo.train import experiment as training

    experiment = config.experiment_of(cfg)
    source = config.source_of(cfg)
    training.run(experiment, source, folder, resume=cfg.resume is not None, processes=processes)


def _check(cfg: DictConfig, folder: Path) -> None:
    """UserError for whatever cannot be run; nothing expensive is made."""
    if joined().count > 1:
        application.refuse_sweep((), cfg.hydra.mode is RunMode.MULTIRUN)
    cfg = _configuration(cfg, cfg.hydra.overrides.task)
    experiment = config.experiment_of(cfg)
    experiment.check()
    check_folder(folder, f"hydra.run.dir={folder}")
    if cfg.resume is None:
        _refuse_at_work(folder)
        _refuse_used(folder, f"hydra.run.dir={folder}")
    from attnzoo.train.device import check_machine

    experiment.model.check()
    check_machine(experiment)
    source = config.source_of(cfg)
    from attnzoo.train import experiment as training

    training.check(experiment, source, joined())


def _run(cfg: DictConfig) -> None:
    folder = Path(HydraConfig.get().runtime.output_dir)
    try:
        with held(folder / LOCK):
            _run_in(folder, cfg)
    except Held as error:
        raise UserError(_AT_WORK.format(folder=_shown(folder))) from error


_AT_WORK = "{folder}: another run is at work there"


def _run_in(folder: Path, cfg: DictConfig) -> None:
    from attnzoo.train import experiment as training

    cfg = _configuration(cfg, HydraConfig.get().overrides.task)
    resume = cfg.resume is not None
    if not resume:
        _refuse_used(folder, str(folder))
        with replacing(folder / CONFIG) as beside:
            beside.write_text(config.stored(cfg))
    experiment = config.experiment_of(cfg)
    processes = joined()
    processes.told(str(folder))
    source = config.source_of(cfg)
    _tell_of_few(experiment.sampling, len(source.test))
    with _saying_how_to_go_on(folder, processes, cfg.plugins):
        record = training.run(
            experiment,
            source,
            folder,
            resume=resume,
            profile=job.profiler(experiment),
            environment=job.environment_of(experiment),
            processes=processes,
        )
    _LOG.info("%s", summary(record, _shown(folder)))


def _tell_of_few(sampling: Sampling, there: int) -> None:
    if sampling.first + sampling.clips > there:
        _LOG.warning(
            "sample.clips=%d: from clip %d on the test part has %d, which are scored",
            sampling.clips, sampling.first, there - sampling.first,
        )  # fmt: skip


@contextmanager
def _saying_how_to_go_on(
    folder: Path, processes: Processes, plugins: Sequence[str]
) -> Iterator[None]:
    """If the run is stopped: what is saved, and the command that goes on.

    A module may be looked for where it came with somebody's folder: it is named again.
    """
    program = "python -m attnzoo.run"
    if processes.count > 1:
        program = f"torchrun --nproc-per-node {processes.count} -m attnzoo.run"
    again = _resume(folder)
    if not all(plugin.endswith(".py") for plugin in plugins):
        again += " " + shlex.quote(f"+{PLUGINS}=[{','.join(map(_plain, plugins))}]")
    with commands.going_on(f"to go on: {program} {again}"):
        try:
            yield
        except (KeyboardInterrupt, SystemExit):
            from attnzoo.train.checkpoint import Checkpoints

            last = Checkpoints(folder, every=0).last
            with suppress(OSError):  # nobody may read it
                print(f"stopped; the last checkpoint: {last}", file=sys.stderr)
            raise


def _resume(folder: Path) -> str:
    """The override that goes on with a folder, as a shell takes it."""
    return shlex.quote(f"resume={_plain(str(_shown(folder)))}")


def _plain(text: str) -> str:
    """Quoted for Hydra's grammar where it has to be."""
    return text if _PLAIN.fullmatch(text) else quoted(text)


_PLAIN = re.compile(r"[\w./:-]+")
"""Paths that need no quotes in Hydra's grammar."""


def _configuration(cfg: DictConfig, overrides: Sequence[str]) -> DictConfig:
    """`cfg`, or for a run that goes on what lies in its folder, but for what `overrides` change."""
    if cfg.resume is None:
        return cfg
    given = {o.key_or_group for o in parsed(overrides)}
    changed = {key: OmegaConf.select(cfg, key) for key in CHANGEABLE if key in given}
    folder = typed(cfg.resume, f"resume={cfg.resume}")
    text = stored.read(folder, f"resume={folder}")
    try:
        return config.restored(cfg, text, changed)
    except UserError as error:
        raise UserError(f"{folder / CONFIG}: {error}") from error


def _resuming(overrides: list[str], sweep: bool) -> list[str]:
    """With `resume=FOLDER`: the overrides under which Hydra composes that run again."""
    given = parsed(overrides)
    folders = [o.value() for o in given if o.key_or_group == "resume"]
    if not folders or folders[-1] is None:
        return overrides
    folder = typed(str(folders[-1]), f"resume={folders[-1]}")
    for text, override in zip(overrides, given, strict=True):
        key = override.key_or_group
        if key == "resume":
            check_text(text, override.value())
        if key not in ("resume", *CHANGEABLE) and not key.replace("/", ".").startswith(LOGGING):
            raise UserError(
                f"{text}: resume={folder} goes on with the configuration stored there; "
                f"only {', '.join(CHANGEABLE)} and logging may change"
            )
    if sweep:
        raise UserError(f"resume={folder}: goes on with one run, and not with -m")
    said = f"resume={folder}"
    if (folder / RECORD).exists():
        _check_record(folder)
        stored.read(folder, said)  # which samples are made by
        _tidy(folder)
        raise _Finished(f"{_shown(folder)}: this run is finished; nothing to do")
    text = stored.read(folder, said)
    anew = any(o.key_or_group == PLUGINS for o in given)
    first = stored.overrides_of(text, folder, said, anew=anew)
    return [*first, *overrides, f"hydra.run.dir={quoted(folder)}"]


def _tidy(folder: Path) -> None:
    """What a run left that was killed behind its record; one that is at its end does it itself."""
    checkpoints = folder / "checkpoints"
    if checkpoints.is_symlink() or not (checkpoints.exists() or (folder / LOCK).exists()):
        return  # what lies behind a link is somebody's own
    from attnzoo.train.checkpoint import Checkpoints

    with suppress(Held, OSError), held(folder / LOCK):
        Checkpoints(folder, every=0).clear()
        sweep(folder)


def _check_record(folder: Path) -> None:
    """UserError unless what a finished run has left can be read."""
    from safetensors import SafetensorError, safe_open

    from attnzoo.train.experiment import WEIGHTS
    from attnzoo.train.record import read_record

    try:
        read_record(folder)
    except UserError as error:
        raise UserError(
            f"{error}; delete it, and resume={folder} makes it anew from {CONFIG}"
        ) from error
    weights = folder / WEIGHTS
    try:
        if weights.exists():
            with safe_open(weights, framework="pt"):
                pass
    except (OSError, SafetensorError) as error:
        if lacking(error):
            raise
        raise UserError(
            f"{weights}: cannot be read ({error}); delete it and record.json, and resume={folder} "
            f"makes them anew from {CONFIG}"
        ) from error


_CHECKPOINT = re.compile(r"stage\d+-\d+")


def _refuse_used(folder: Path, place: str) -> None:
    """A run that begins anew takes nobody's place; `place` names the folder in an error."""
    if (folder / RECORD).exists():
        raise UserError(f"{place}: holds the record of a finished run; take another folder")
    if (weights := folder / "weights.safetensors").exists():
        raise UserError(
            f"{place}: holds {weights.name} without a record, which would be written over; take "
            "another folder"
        )
    if any(_CHECKPOINT.fullmatch(path.name) for path in folder.glob("checkpoints/stage*")):
        raise UserError(
            f"{place}: holds an unfinished run; {_resume(folder)} goes on with it, or take another "
            "folder"
        )


def _refuse_at_work(folder: Path) -> None:
    if (folder / LOCK).exists():
        try:
            with held(folder / LOCK):
                pass
        except Held as error:
            raise UserError(_AT_WORK.format(folder=_shown(folder))) from error


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
