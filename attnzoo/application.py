"""A Hydra application: whatever takes a variant and settings as overrides is started here.

Hydra composes and launches; before it does, every job of the command is composed here and checked,
so that bad input is found before a folder is made, and in a sweep before the first job has run for
an hour. What Hydra or OmegaConf complain of becomes a `UserError`.
"""

from __future__ import annotations

import argparse
import logging.config
import math
import os
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

import hydra
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra._internal.utils import _run_hydra, get_args_parser
from hydra.core.config_store import ConfigStore
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf, open_dict, read_write
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from attnzoo import config
from attnzoo._options import suggestion
from attnzoo.composing import (
    VERSION_BASE,
    bound_files,
    check_swept,
    check_texts,
    complaints,
    compose,
    composed_in,
    initialised,
    sweep_of,
)
from attnzoo.errors import UserError, lacking
from attnzoo.overrides import normalised, parsed, plugged, plugins_of
from attnzoo.paths import typed
from attnzoo.yaml_files import UNREADABLE

Task = Callable[[DictConfig], None]


def launch(
    task: Task,
    arguments: Sequence[str],
    *,
    check: Callable[[DictConfig, Path], None],
    prepare: Callable[[list[str], bool], list[str]] = lambda overrides, sweep: overrides,
) -> None:
    """Runs `task` on the configuration, or on each one of a sweep, that `arguments` describe.

    Args:
        task: gets the composed configuration; Hydra's own part is in `HydraConfig`.
        arguments: overrides and Hydra's flags.
        check: gets each configuration, with Hydra's part under `hydra`, and the folder of the run
            before any job starts; raises what is wrong with it.
        prepare: may change the overrides, plug-ins not yet loaded; its second argument says
            whether this is a sweep.

    Raises:
        UserError: bad input.
    """
    hydra.version.setbase(VERSION_BASE)
    parser = get_args_parser()
    parser.error = _refuse  # type: ignore[method-assign]
    args = parser.parse_intermixed_args(list(arguments))
    with complaints():
        _refuse_flags(args)
        bound_files()
        sweep = args.multirun or "hydra.mode=MULTIRUN" in args.overrides
        overrides = plugged(prepare(list(args.overrides), sweep))
        config.register()
        args.overrides = normalised(overrides, sweep)
        shows = [flag for flag, given in _shows(args).items() if given]
        if not shows:
            swept, jobs = [], [args.overrides]
            if sweep:
                swept = _file_sweep(args.overrides, args.config_dir)
                jobs = _jobs([*swept, *args.overrides], args.config_dir)
            taken: set[Path] = set()
            for number, job in enumerate(jobs):
                cfg = composed_in(job, args.config_dir)
                check_swept(cfg, swept)
                check_texts(cfg, [*swept, *args.overrides])
                _check_logging(cfg)
                if cfg.hydra.job.chdir:
                    raise UserError(
                        "hydra.job.chdir=true: paths of the settings would lead nowhere"
                    )
                check(cfg, _folder_of_job(cfg, number, taken) if sweep else _folder(cfg, "run"))
        elif args.help or args.cfg or args.info:
            _check_package(composed_in(args.overrides, args.config_dir), args)
        failures: list[UserError] = []
        with _hydras_own(shows), _raising(), config.inherited(plugins_of(args.overrides)):
            _run_hydra(
                args=args,
                args_parser=parser,
                task_function=_guarded(task, failures),
                config_path=None,
                config_name=config.NAME,
            )
    if failures:
        raise failures[0]


def followed(
    arguments: Sequence[str], prepare: Callable[[list[str], bool], list[str]]
) -> DictConfig | None:
    """The configuration of the one run that `arguments` describe, for a process that helps with it.

    Another process launches the run, makes its folder and writes its log. None: nothing is run.

    Raises:
        UserError: bad input; a sweep, which processes cannot share.
    """
    hydra.version.setbase(VERSION_BASE)
    parser = get_args_parser()
    parser.error = _refuse  # type: ignore[method-assign]
    args = parser.parse_intermixed_args(list(arguments))
    refuse_sweep(args.overrides, args.multirun)
    if any(_shows(args).values()):
        return None
    with complaints():
        overrides = plugged(prepare(list(args.overrides), False))
        config.register()
        return composed_in(normalised(overrides, sweep=False), args.config_dir)


def spread(task: Task, schema: type, overrides: Sequence[str]) -> None:
    """Runs `task` on each job of a sweep over a configuration of the caller's own, and waits.

    Args:
        task: a function of a module, which another process can import.
        schema: the configuration, a dataclass with defaults.
        overrides: of it and of Hydra's part, which names the launcher.

    Raises:
        UserError: bad input.
    """
    hydra.version.setbase(VERSION_BASE)
    parser = get_args_parser()
    parser.error = _refuse  # type: ignore[method-assign]
    args = parser.parse_intermixed_args(["--multirun", *overrides])
    name = schema.__name__.lower()
    ConfigStore.instance().store(name, schema)
    with complaints(), _raising():
        _run_hydra(
            args=args, args_parser=parser, task_function=task, config_path=None, config_name=name
        )


def refuse_sweep(overrides: Sequence[str], multirun: bool) -> None:
    """UserError for a sweep by processes that share one run."""
    if multirun or "hydra.mode=MULTIRUN" in overrides:
        raise UserError(
            "-m: several processes share one run; start each run of a sweep by itself, or give the "
            "sweep a launcher, as in -m hydra/launcher=submitit_slurm"
        )


def _refuse_flags(args: argparse.Namespace) -> None:
    """UserError for flags of Hydra's that would take another program, run a pickle's code, or do
    not go together."""
    for name in ("config_name", "config_path", "experimental_rerun"):
        if getattr(args, name) is not None:
            flag = f"--{name.replace('_', '-')}"
            raise UserError(
                f"{flag} {getattr(args, name)}: not offered here; settings are key=value and files "
                "in groups below --config-dir"
            )
    if args.help or args.hydra_help:
        return
    several = {"--run": args.run, "--multirun": args.multirun, **_shows(args)}
    given = [flag for flag, value in several.items() if value]
    if len(given) > 1:
        raise UserError(f"{' '.join(given)}: give one of them")
    for flag, value in (("--resolve", args.resolve), ("--package", args.package)):
        if value and not args.cfg:
            raise UserError(f"{flag}: goes with --cfg job|hydra|all, of which it changes the print")
    if args.shell_completion:
        named = [o for o in parsed(args.overrides) if o.key_or_group in _COMPLETING]
        if len(named) != 1:
            raise UserError(
                "--shell-completion: takes one of install=SHELL, uninstall=SHELL, query=SHELL"
            )


_COMPLETING = ("install", "uninstall", "query")


def _shows(args: argparse.Namespace) -> dict[str, object]:
    """Of the flags with which something is shown and nothing run, what was given."""
    return {
        "--help": args.help, "--hydra-help": args.hydra_help, "--cfg": args.cfg,
        "--info": args.info, "--shell-completion": args.shell_completion,
    }  # fmt: skip


def _check_package(cfg: DictConfig, args: argparse.Namespace) -> None:
    """UserError unless `--package` names a part of what `--cfg` shows."""
    if not args.cfg or not args.package or args.package == "_global_":
        return
    group = str(args.package).partition(".")[0]
    job = [key for key in map(str, cfg) if key != "hydra"]
    known = {"job": job, "hydra": ["hydra"], "all": [*job, "hydra"]}[args.cfg]
    if group not in known or OmegaConf.select(cfg, args.package) is None:
        raise UserError(
            f"--package {args.package}: nothing of that name is set in --cfg {args.cfg}"
            f"{suggestion(group, known)}"
        )


def _check_logging(cfg: DictConfig) -> None:
    """UserError for a level of logging that is none."""
    for part in ("job_logging", "hydra_logging"):
        node = cfg.hydra[part]
        plain = OmegaConf.to_container(node) if isinstance(node, DictConfig) else None
        for place, level in _levels(f"hydra.{part}", plain):
            known = logging.getLevelName(level) if isinstance(level, str) else level
            if not isinstance(known, int | None) and "${" not in str(level):
                raise UserError(
                    f"{place}={level}: no level of logging; right are DEBUG, INFO, WARNING, ERROR "
                    "and CRITICAL"
                )


def _levels(place: str, node: object) -> Iterator[tuple[str, object]]:
    """What settings of logging have as `level`, with their whole names."""
    for key, value in node.items() if isinstance(node, dict) else ():
        if key == "level":
            yield f"{place}.{key}", value
        else:
            yield from _levels(f"{place}.{key}", value)


def _refuse(message: str) -> NoReturn:
    raise UserError(f"{message}; --help shows what is right")


def _folder(cfg: DictConfig, key: str) -> Path:
    return typed(str(cfg.hydra[key].dir), f"hydra.{key}.dir={cfg.hydra[key].dir}")


def _folder_of_job(cfg: DictConfig, number: int, taken: set[Path]) -> Path:
    """The folder of one job of a sweep, or of all where that is not known yet.

    Raises:
        UserError: it is in `taken`, to which it is added.
    """
    together = _folder(cfg, "sweep")
    try:
        with open_dict(cfg.hydra.job), read_write(cfg.hydra.job):
            cfg.hydra.job.update(num=number, id=str(number))  # as Hydra does when it starts
        subdir = str(cfg.hydra.sweep.subdir)
    except OmegaConfBaseException:  # of what a launcher alone knows
        return together
    folder = together / subdir
    if folder in taken:
        raise UserError(
            f"hydra.sweep.subdir={subdir}: two runs of the sweep would have this folder; "
            "${hydra.job.num} in it tells them apart"
        )
    taken.add(folder)
    return folder


def _file_sweep(overrides: Sequence[str], config_dir: str | None) -> list[str]:
    """What a file of settings sweeps over (`hydra.sweeper.params`), as overrides.

    Hydra reads it from the configuration of the whole sweep, in which no sweeping override is.
    """
    pairs = zip(overrides, parsed(overrides), strict=True)
    files = [text for text, o in pairs if o.is_add() and not o.is_sweep_override()]
    with initialised(config_dir):
        return sweep_of(compose(files))


def _jobs(overrides: Sequence[str], config_dir: str | None) -> list[list[str]]:
    """The overrides of each job of a sweep, as Hydra's own sweeper makes them.

    Another sweeper knows its jobs only as it goes: those are checked when they start.
    """
    if any(text.lstrip("+~").startswith(("hydra/sweeper", "hydra.sweeper")) for text in overrides):
        return []
    with initialised(config_dir):
        # The loader is what expands `attn=glob(crossframe*)`.
        loader = GlobalHydra.instance().config_loader()
        expanded = OverridesParser.create(loader).parse_overrides(list(overrides))
        counts = [sum(1 for _ in o.sweep_iterator()) for o in expanded if o.is_discrete_sweep()]
        if math.prod(counts) > MOST_JOBS:
            raise UserError(f"{' '.join(overrides)}: {math.prod(counts)} runs; at most {MOST_JOBS}")
        (jobs,) = BasicSweeper.split_arguments(expanded, max_batch_size=None)
    if not jobs:
        raise UserError(f"{' '.join(overrides)}: a sweep over nothing; no name matches")
    return [list(job) for job in jobs]


MOST_JOBS = 10_000
"""Of a sweep: each is composed before the first one starts."""


def _guarded(task: Task, failures: list[UserError]) -> Task:
    # Hydra prints a line of its own about a job that raises. In a sweep that line says which job
    # it was; for a single one it is only noise around ours.
    def guarded(cfg: DictConfig) -> None:
        try:
            task(cfg)
        except UserError as error:
            if HydraConfig.get().mode is RunMode.MULTIRUN:
                raise
            failures.append(error)

    guarded.__module__ = task.__module__  # from which Hydra makes the job's name
    return guarded


@contextmanager
def _hydras_own(shows: Sequence[str]) -> Iterator[None]:
    """What Hydra cannot do with flags, or with settings of logging, is bad input.

    shows: the flags by which no task is run, so that all errors are Hydra's. A task's are its own.
    """
    try:
        yield
    except UserError:
        raise
    except UNREADABLE as error:
        frames = traceback.walk_tb(error.__traceback__)
        of_logging = any(f.f_code.co_filename == logging.config.__file__ for f, _ in frames)
        of_flags = bool(shows) and isinstance(error, ValueError | YAMLError)
        if not (of_flags or of_logging) or lacking(error) is not None:
            raise
        cause = f" ({error.__cause__})" if error.__cause__ else ""
        raise UserError(f"{' '.join(shows) or 'hydra.job_logging'}: {error}{cause}") from error


@contextmanager
def _raising() -> Iterator[None]:
    """Hydra raises what goes wrong, instead of printing it and leaving with status 1."""
    key, before = "HYDRA_FULL_ERROR", os.environ.get("HYDRA_FULL_ERROR")
    os.environ[key] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ[key]
        else:
            os.environ[key] = before
