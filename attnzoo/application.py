"""A Hydra application: whatever takes a variant and settings as overrides is started here.

Hydra composes and launches; before it does, this module reads the overrides itself: it loads what
`plugins=` names, turns the short form `size=` into `attn.size=`, composes every job of the command,
and has each checked, so that bad input is found before a folder is made, and in a sweep before the
first job has run for an hour. What Hydra or OmegaConf complain of becomes a `UserError`.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

import hydra
import torch
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra._internal.utils import _run_hydra, get_args_parser
from hydra.core.config_store import ConfigStore
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import ChoiceSweep, Override
from hydra.errors import HydraException, MissingConfigException, OverrideParseException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from attnzoo import config, registry
from attnzoo._options import suggestion
from attnzoo.errors import UserError
from attnzoo.paths import typed

PLUGINS = "plugins"
_PLUGIN_FORM = "+plugins=[FILE.py,MODULE]"

VERSION_BASE = "1.3"
"""Of Hydra's behaviour: the working directory stays what it was."""

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
            (or of the sweep) before any job starts; raises what is wrong with it.
        prepare: may change the overrides, plug-ins not yet loaded; its second argument says
            whether this is a sweep.

    Raises:
        UserError: bad input.
    """
    hydra.version.setbase(VERSION_BASE)
    parser = get_args_parser()
    parser.error = _refuse  # type: ignore[method-assign]
    args = parser.parse_intermixed_args(list(arguments))
    _refuse_flags(args)
    with _complaints():
        sweep = args.multirun or "hydra.mode=MULTIRUN" in args.overrides
        overrides = _plugged(prepare(list(args.overrides), sweep))
        config.register()
        args.overrides = _normalised(overrides, sweep)
        shows = (args.help, args.hydra_help, args.cfg, args.info, args.shell_completion)
        if not any(shows):
            swept, jobs = [], [args.overrides]
            if sweep:
                swept = _file_sweep(args.overrides, args.config_dir)
                jobs = _jobs([*swept, *args.overrides], args.config_dir)
            for job in jobs:
                cfg = _composed(job, args.config_dir)
                _check_swept(cfg, swept)
                check(cfg, _folder(cfg, sweep))
        elif args.help or args.cfg:
            _composed(args.overrides, args.config_dir)
        failures: list[UserError] = []
        with _raising(), config.inherited(plugins_of(args.overrides)):
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
    if any((args.help, args.hydra_help, args.cfg, args.info, args.shell_completion)):
        return None
    with _complaints():
        overrides = _plugged(prepare(list(args.overrides), False))
        config.register()
        return _composed(_normalised(overrides, sweep=False), args.config_dir)


def refuse_sweep(overrides: Sequence[str], multirun: bool) -> None:
    """UserError for a sweep by processes that share one run."""
    if multirun or "hydra.mode=MULTIRUN" in overrides:
        raise UserError(
            "-m: several processes share one run; start each run of a sweep by itself, or give the "
            "sweep a launcher, as in -m hydra/launcher=submitit_slurm"
        )


def _refuse_flags(args: argparse.Namespace) -> None:
    """UserError for flags of Hydra's that would take another program, or run a pickle's code."""
    for name in ("config_name", "config_path", "experimental_rerun"):
        if getattr(args, name) is not None:
            flag = f"--{name.replace('_', '-')}"
            raise UserError(
                f"{flag} {getattr(args, name)}: not offered here; settings are key=value and files "
                "in groups below --config-dir"
            )


def _folder(cfg: DictConfig, sweep: bool) -> Path:
    key = "sweep" if sweep else "run"
    return typed(str(cfg.hydra[key].dir), f"hydra.{key}.dir={cfg.hydra[key].dir}")


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
    with _complaints(), _raising():
        _run_hydra(
            args=args, args_parser=parser, task_function=task, config_path=None, config_name=name
        )


def composed(overrides: Sequence[str]) -> DictConfig:
    """The configuration of the one run that these overrides describe; nothing is run or made.

    Raises:
        UserError: bad input.
    """
    hydra.version.setbase(VERSION_BASE)
    with _complaints():
        plugged = _plugged(list(overrides))
        config.register()
        cfg = _composed(_normalised(plugged, sweep=False), None)
        _check_swept(cfg, [])
        return cfg


def parsed(overrides: Sequence[str]) -> list[Override]:
    """Overrides by Hydra's grammar."""
    return list(OverridesParser.create().parse_overrides(list(overrides)))


def quoted(text: object) -> str:
    """As one value of Hydra's grammar: anything goes inside quotes, but for the quote itself."""
    return "'" + str(text).replace("\\", "\\\\").replace("'", "\\'") + "'"


def plugins_of(overrides: Sequence[str]) -> list[str]:
    """What `plugins=` names, the last of several counts; files with their whole paths.

    Raises:
        UserError: it names no list of files and modules.
    """
    named: list[str] = []
    for text, override in zip(overrides, parsed(overrides), strict=True):
        if override.key_or_group == PLUGINS:
            value = None if override.is_delete() else override.value()
            several = [value] if isinstance(value, str) else value
            if not isinstance(several, list) or not all(isinstance(v, str) for v in several):
                raise UserError(f"{text}: a list is needed, the same for all jobs: {_PLUGIN_FORM}")
            if not all(several):
                raise UserError(f"{text}: an empty name; right is {_PLUGIN_FORM}")
            named = [_whole(v) for v in several]
    return named


def _whole(plugin: str) -> str:
    """A file's path from the root on: a run may be gone on with from another folder."""
    file = plugin.endswith(".py")
    return os.path.abspath(os.path.expanduser(plugin)) if file else plugin


def _plugged(overrides: list[str]) -> list[str]:
    """Loads the plug-ins; in the place of all that names them one override with whole paths."""
    named = plugins_of(overrides)
    for plugin in named:
        registry.load_plugin(plugin)
    pairs = zip(overrides, parsed(overrides), strict=True)
    others = [text for text, override in pairs if override.key_or_group != PLUGINS]
    return [*others, f"{PLUGINS}=[{','.join(map(quoted, named))}]"] if named else others


def _refuse(message: str) -> NoReturn:
    raise UserError(f"{message}; --help shows what is right")


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


def _normalised(overrides: Sequence[str], sweep: bool) -> list[str]:
    """Overrides with short forms written out; unknown and several variants are refused."""
    short = {option.name for n in registry.list_variants() for option in registry.get(n).options}
    short -= set(config.settings())
    result = []
    for text, override in zip(overrides, parsed(overrides), strict=True):
        key = override.key_or_group
        if not key:
            raise UserError(f"{text}: names no setting; settings are given as key=value")
        if key == "attn" and not override.is_delete():
            _check_variants(text, override, sweep)
        plain = not (override.is_add() or override.is_delete() or override.package)
        result.append(f"attn.{text}" if plain and key in short else text)
    return result


def _check_variants(text: str, override: Override, sweep: bool) -> None:
    value = override.value()
    if isinstance(value, list | dict):
        several = [str(name) for name in value]
    elif isinstance(value, ChoiceSweep):
        several = list(override.sweep_string_iterator())
    else:
        if not override.is_sweep_override():  # globs and ranges are expanded by Hydra
            registry.get(override.get_value_element_as_str())
        return
    if not (sweep and override.is_sweep_override()):
        names = ",".join(several)
        raise UserError(f"{text}: a run has one variant; for a run of each: -m attn={names}")
    for name in several:
        registry.get(name)


def _file_sweep(overrides: Sequence[str], config_dir: str | None) -> list[str]:
    """What a file of settings sweeps over (`hydra.sweeper.params`), as overrides.

    Hydra reads it from the configuration of the whole sweep, in which no sweeping override is.
    """
    pairs = zip(overrides, parsed(overrides), strict=True)
    files = [text for text, o in pairs if o.is_add() and not o.is_sweep_override()]
    with _initialised(config_dir):
        return _sweep_of(_compose(files))


def _sweep_of(cfg: DictConfig) -> list[str]:
    params = cfg.hydra.sweeper.get("params") or {}
    return [f"{key}={value}" for key, value in params.items()]


def _check_swept(cfg: DictConfig, swept: Sequence[str]) -> None:
    """UserError if a file that means several runs would silently be one."""
    meant = _sweep_of(cfg)
    if meant != list(swept):
        raise UserError(
            f"{' '.join(meant)}: a file of settings means a run of each; that takes -m, and one "
            "such file at a time"
        )


def _jobs(overrides: Sequence[str], config_dir: str | None) -> list[list[str]]:
    """The overrides of each job of a sweep, as Hydra's own sweeper makes them.

    Another sweeper knows its jobs only as it goes: those are checked when they start.
    """
    if any(text.lstrip("+~").startswith(("hydra/sweeper", "hydra.sweeper")) for text in overrides):
        return []
    with _initialised(config_dir):
        # The loader is what expands `attn=glob(crossframe*)`.
        loader = GlobalHydra.instance().config_loader()
        expanded = OverridesParser.create(loader).parse_overrides(list(overrides))
        (jobs,) = BasicSweeper.split_arguments(expanded, max_batch_size=None)
    if not jobs:
        raise UserError(f"{' '.join(overrides)}: a sweep over nothing; no name matches")
    return [list(job) for job in jobs]


def _composed(overrides: Sequence[str], config_dir: str | None) -> DictConfig:
    """The configuration with Hydra's part; the variant's options are checked on the way."""
    options = [o for o in parsed(overrides) if o.key_or_group.startswith("attn.")]
    rest = [text for text in overrides if not text.lstrip("+~").startswith("attn.")]
    with _initialised(config_dir):
        if options:
            given = {o.key_or_group.removeprefix("attn."): o.value() for o in options}
            check_options(_compose(rest).attn.name, given)
        cfg = _compose(overrides)
    if not OmegaConf.is_missing(cfg, "attn"):
        _check_class(cfg.attn.name)
    if list(cfg.plugins) != plugins_of(overrides):
        raise UserError(
            f"plugins={list(cfg.plugins)}: a file of settings is read after plug-ins are loaded; "
            f"name them on the command line, {_PLUGIN_FORM}"
        )
    return cfg


def _check_class(variant: str) -> None:
    """UserError for a class of a plug-in that is no module: the registry knows no torch."""
    entry = registry.get(variant)
    if not issubclass(entry.cls, torch.nn.Module):
        raise UserError(
            f"{entry.place}: {entry.cls.__name__} is no torch.nn.Module; "
            "attnzoo.attention.Mechanism is one"
        )


def check_options(variant: str, options: dict[str, Any]) -> None:
    """UserError if the variant has no such option, or the value is none for it."""
    entry = registry.get(variant)
    names = [option.name for option in entry.free]
    for key in options:
        if key in entry.fixed:
            raise UserError(
                f"attn={variant}: {key} is set by the slot, according to stack=declared|flat; "
                f"options are: {', '.join(names)}"
            )
        if key not in names:
            raise UserError(f"attn={variant} has no option {key!r}{suggestion(key, names)}")
    _check_class(variant)
    # Built without memory, for what only the constructor can say.
    with torch.device("meta"):
        registry.create(variant, 64, 1, **options)


def _compose(overrides: Sequence[str]) -> DictConfig:
    """Composes; a key that no schema has is refused, though Hydra lets a `+` add it."""
    try:
        cfg = hydra.compose(config.NAME, list(overrides), return_hydra_config=True)
    except YAMLError as error:
        said = " ".join(str(error).split())
        raise UserError(f"a file of settings is not YAML that can be read: {said}") from error
    except (UnicodeDecodeError, RecursionError) as error:
        raise UserError(
            f"{' '.join(overrides)}: a file of settings is not text in YAML: {error}"
        ) from error
    except (HydraException, OmegaConfBaseException) as error:
        unknown = re.match(r"Could not override '([^']+)'", str(error))
        if unknown is None:
            raise
        groups = [text for text in overrides if text.startswith(("attn=", "model=", "data="))]
        known = hydra.compose(config.NAME, groups, return_hydra_config=True)
        raise UserError(_unknown(unknown[1], known)) from error
    except (ValueError, TypeError, LookupError, AttributeError, AssertionError) as error:
        raise UserError(f"{' '.join(overrides)}: cannot be composed: {error}") from error
    for key in _foreign(cfg, config.Run):
        raise UserError(_unknown(key, cfg))
    return cfg


def _foreign(node: DictConfig, schema: Any) -> Iterator[str]:
    """Keys of a node, and of those inside it, that are no fields of its dataclass."""
    fields = {f.name for f in dataclasses.fields(schema)}
    for key in map(str, node):
        if key not in fields:
            yield key
        elif key != "hydra" and not OmegaConf.is_missing(node, key):
            child = node[key]
            inner = OmegaConf.get_type(child) if isinstance(child, DictConfig) else None
            if dataclasses.is_dataclass(inner):
                yield from (f"{key}.{below}" for below in _foreign(child, inner))


def _unknown(key: str, cfg: DictConfig) -> str:
    """What to say of a key that is not in `cfg`."""
    if key != config.PROTOCOLS and (config.experiments() / key).is_dir():
        return f"{key}=: files of that folder are added, +{key}=NAME"
    parent, _, name = key.rpartition(".")
    while parent and not isinstance(OmegaConf.select(cfg, parent), DictConfig):
        parent, _, name = parent.rpartition(".")
    node = OmegaConf.select(cfg, parent) if parent else cfg
    schema = OmegaConf.get_type(node)
    known = (
        config.settings()
        if not parent
        else [f.name for f in dataclasses.fields(schema)]
        if dataclasses.is_dataclass(schema)
        else [str(k) for k in node]
    )
    return f"unknown setting {key!r}{suggestion(name, known)}"


@contextmanager
def _initialised(config_dir: str | None) -> Iterator[None]:
    if config_dir is None:
        with hydra.initialize(config_path=None, version_base=VERSION_BASE):
            yield
    else:
        path = os.path.abspath(config_dir)
        if not os.path.isdir(path):
            raise UserError(f"--config-dir {config_dir}: no such folder")
        with hydra.initialize_config_dir(path, version_base=VERSION_BASE):
            yield


@contextmanager
def _complaints() -> Iterator[None]:
    """Whatever Hydra and OmegaConf say becomes a `UserError`."""
    try:
        yield
    except (HydraException, OmegaConfBaseException) as error:
        raise _translated(error) from error


def _translated(error: Exception) -> UserError:
    """Hydra's message in one line, with the nearest name where a name is wrong."""
    if isinstance(error, MissingConfigException) and error.options:
        group, _, name = (error.missing_cfg_file or "").rpartition("/")
        return UserError(f"{group}={name}: no such choice{suggestion(name, error.options)}")
    cause = error.__cause__ if isinstance(error.__cause__, OmegaConfBaseException) else ""
    lines = [line.strip() for line in f"{error}\n{cause}".splitlines()]
    text = " ".join(line for line in lines if line and not line.startswith(_NOISE))
    place = re.search(r"^\s*full_key: (\S+)$", str(error), re.MULTILINE)
    if place and place[1] not in text:
        text = f"{place[1]}: {text}"
    merging = re.match(r"Error merging override (\S+) (.*)", text)
    if merging:
        text = f"{merging[1]}: {merging[2]}"
    if isinstance(error, OverrideParseException):
        text = (
            f"{error.override}: cannot be read ({text}); right is key=value, lists as [1,2], and "
            "quotes inside the shell's around other text, \"key='...'\""
        )
    return UserError(text)


_NOISE = (
    "full_key:", "object_type=", "reference_type=", "See https://", "Config search path",
    "provider=",
)  # fmt: skip
