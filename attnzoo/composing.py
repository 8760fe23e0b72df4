"""A configuration from overrides: composed by Hydra, held against the schema, complained of."""

from __future__ import annotations

import dataclasses
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import hydra
import torch
from hydra._internal.core_plugins.file_config_source import FileConfigSource
from hydra._internal.sources_registry import SourcesRegistry
from hydra.core.plugins import Plugins
from hydra.errors import HydraException, MissingConfigException, OverrideParseException
from hydra.plugins.config_source import ConfigResult
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from attnzoo import config, registry
from attnzoo._options import suggestion
from attnzoo.errors import UserError
from attnzoo.overrides import (
    PLUGIN_FORM,
    check_text,
    is_other,
    leaves,
    leaves_of,
    normalised,
    parsed,
    plugged,
    plugins_of,
)
from attnzoo.paths import regular
from attnzoo.yaml_files import UNREADABLE, check_size

VERSION_BASE = "1.3"
"""Of Hydra's behaviour: the working directory stays what it was."""


def composed(overrides: Sequence[str]) -> DictConfig:
    """The configuration of the one run that these overrides describe; nothing is run or made.

    Raises:
        UserError: bad input.
    """
    hydra.version.setbase(VERSION_BASE)
    with complaints():
        whole = plugged(list(overrides))
        config.register()
        cfg = composed_in(normalised(whole, sweep=False), None)
        check_swept(cfg, [])
        if cfg.resume is not None:
            raise UserError(f"resume={cfg.resume}: goes on with a run, as attnzoo.run alone does")
        return cfg


def composed_in(overrides: Sequence[str], config_dir: str | None) -> DictConfig:
    """The configuration with Hydra's part; the variant's options are checked on the way."""
    options = [o for o in parsed(overrides) if o.key_or_group.startswith("attn.")]
    rest = [text for text in overrides if not text.lstrip("+~").startswith("attn.")]
    with initialised(config_dir):
        if options:
            given = {o.key_or_group.removeprefix("attn."): o.value() for o in options}
            check_options(compose(rest).attn.name, given)
        cfg = compose(overrides)
    if not OmegaConf.is_missing(cfg, "attn"):
        _check_class(cfg.attn.name)
    _check_names(cfg)
    _check_truths(cfg, overrides)
    check_texts(cfg, overrides)
    if list(cfg.plugins) != plugins_of(overrides):
        raise UserError(
            f"plugins={list(cfg.plugins)}: a file of settings is read after plug-ins are loaded; "
            f"name them on the command line, {PLUGIN_FORM}"
        )
    return cfg


def _check_names(cfg: DictConfig) -> None:
    """UserError where a group's name is not the one that was chosen: it brought other settings."""
    known = {"attn": registry.list_variants(), "model": config.MODELS, "data": config.DATA}
    for group, names in known.items():
        name = OmegaConf.select(cfg, f"{group}.name")
        chosen = cfg.hydra.runtime.choices.get(group)  # or a file of the caller's own
        if name != chosen and (chosen in names or name not in names):
            raise UserError(f"{group}.name={name}: no setting; chosen by {group}={name}")


def _check_truths(cfg: DictConfig, overrides: Sequence[str]) -> None:
    """UserError for a number where true or false is meant: to OmegaConf any but 0 is true."""
    for text, override in zip(overrides, parsed(overrides), strict=True):
        for key, value in leaves(override):
            _check_truth(cfg, text, key, value)
    for file, package, content in _read:
        for key, value in leaves_of(package, content):
            _check_truth(cfg, f"{file}: {key}={value}", key, value)


def _check_truth(cfg: DictConfig, text: str, key: str, value: object) -> None:
    number = re.fullmatch(r"[+-]?\d+", str(value))
    known = number is None or number[0] in ("0", "1")
    if not known and isinstance(OmegaConf.select(cfg, key), bool):
        raise UserError(f"{text}: must be true or false")


def check_texts(cfg: DictConfig, overrides: Sequence[str]) -> None:
    """UserError for a text that Hydra's grammar, or YAML's, takes for a number or a truth value.

    Among the overrides may be those of a whole sweep, whose jobs have the number already.
    """
    for text, override in zip(overrides, parsed(overrides), strict=True):
        for _, value in _meant_as_text(cfg, leaves(override)):
            check_text(text, value)
    for file, package, content in _read:
        for key, value in _meant_as_text(cfg, leaves_of(package, content)):
            if is_other(Path(file).read_text("utf-8"), value):
                raise UserError(f"{file}: {key} would be read as {value}; put it in quotes")


def _meant_as_text(
    cfg: DictConfig, given: Iterable[tuple[str, object]]
) -> Iterator[tuple[str, object]]:
    """The numbers and truth values in the place of text; a sweep may have thousands of others."""
    known: dict[str, bool] = {}
    for key, value in given:
        if isinstance(value, int | float):
            if key not in known:
                known[key] = isinstance(OmegaConf.select(cfg, key), str)
            if known[key]:
                yield key, value


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


def _check_class(variant: str) -> None:
    """UserError for a class of a plug-in that is no module: the registry knows no torch."""
    entry = registry.get(variant)
    if not issubclass(entry.cls, torch.nn.Module):
        raise UserError(
            f"{entry.place}: {entry.cls.__name__} is no torch.nn.Module; "
            "attnzoo.attention.Mechanism is one"
        )


def compose(overrides: Sequence[str]) -> DictConfig:
    """Composes; a key that no schema has is refused, though Hydra lets a `+` add it."""
    _read.clear()
    try:
        cfg = hydra.compose(config.NAME, list(overrides), return_hydra_config=True)
    except UserError:
        raise
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
    except (AssertionError, *UNREADABLE) as error:
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


def sweep_of(cfg: DictConfig) -> list[str]:
    """What a configuration's files sweep over (`hydra.sweeper.params`), as overrides."""
    params = cfg.hydra.sweeper.get("params") or {}
    return [f"{key}={value}" for key, value in params.items()]


def check_swept(cfg: DictConfig, swept: Sequence[str]) -> None:
    """UserError if a file that means several runs would silently be one."""
    meant = sweep_of(cfg)
    if meant != list(swept):
        raise UserError(
            f"{' '.join(meant)}: a file of settings means a run of each; that takes -m, and one "
            "such file at a time"
        )


@contextmanager
def initialised(config_dir: str | None) -> Iterator[None]:
    """Hydra as it composes meanwhile, with the groups of a folder of the caller's, if any.

    Raises:
        UserError: there is no such folder, or a file in it takes the place of one of ours.
    """
    bound_files()
    if config_dir is None:
        with hydra.initialize(config_path=None, version_base=VERSION_BASE):
            yield
    else:
        path = os.path.abspath(config_dir)
        if not os.path.isdir(path):
            raise UserError(f"--config-dir {config_dir}: no such folder")
        _check_own(Path(path))
        with hydra.initialize_config_dir(path, version_base=VERSION_BASE):
            yield


def _check_own(folder: Path) -> None:
    """UserError for a file that Hydra would silently read in the place of what is built in."""
    groups = {"attn": registry.list_variants(), "model": config.MODELS, "data": config.DATA}
    named = [f"{group}/{name}.yaml" for group, names in groups.items() for name in names]
    ours = config.experiments()
    files = [file.relative_to(ours) for file in ours.glob("*/*.yaml")]
    for name in (f"{config.NAME}.yaml", *named, *map(str, files)):
        own, built_in = folder / name, ours / name
        same = own.exists() and built_in.exists() and own.samefile(built_in)
        if os.path.lexists(own) and not same:
            raise UserError(f"{own}: would take the place of what is built in; name it otherwise")


class _BoundedFiles(FileConfigSource):
    """Hydra's reader of settings files: OmegaConf writes aliases out, whatever comes of it."""

    def is_config(self, config_path: str) -> bool:
        """As Hydra's own; `NoFile` for a pipe, which it would call no choice."""
        regular(Path(self.path, self._normalize_file_name(config_path)))
        return bool(super().is_config(config_path))

    def load_config(self, config_path: str) -> ConfigResult:
        """As Hydra's own; UserError for a file that would be larger than any has to be."""
        file = os.path.join(self.path, self._normalize_file_name(config_path))
        with suppress(OSError, UnicodeDecodeError):  # which Hydra will find, too
            check_size(Path(file).read_text("utf-8"), file)
        result = super().load_config(config_path)
        package = result.header.get("package") or os.path.dirname(config_path).replace("/", ".")
        content = OmegaConf.to_container(result.config)
        _read.append((file, "" if package == "_global_" else package, content))
        return result


_read: list[tuple[str, str, object]] = []
"""What files say of which the last configuration is composed: name, package and content."""

# Where a launcher's job begins, Hydra enters its own reader again, and takes a class for that by
# its name alone; it is found by its qualified name, which stays.
_BoundedFiles.__name__ = FileConfigSource.__name__


def bound_files() -> None:
    """From now on Hydra reads files of a bounded size."""
    Plugins.instance()  # enters Hydra's own reader
    SourcesRegistry.instance().types[_BoundedFiles.scheme()] = _BoundedFiles


@contextmanager
def complaints() -> Iterator[None]:
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
