"""The configuration of a run: what Hydra knows, made from what the package declares.

Nothing here holds a default of its own that stands elsewhere: group `attn` comes from the
registry, group `data` from the signatures of the functions that open a data set, `train` and
`sample` from `attnzoo.train.settings`. Below this room nobody knows Hydra: `experiment_of` and
`source_of` hand down plain dataclasses.
"""

from __future__ import annotations

import dataclasses
import functools
import importlib
import inspect
import json
import logging
import os
import typing
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Any

from hydra.core.config_store import ConfigStore
from omegaconf import MISSING, DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from attnzoo import registry
from attnzoo.data.flow_settings import Estimation, FlowSource
from attnzoo.data.source import Source
from attnzoo.errors import UserError
from attnzoo.models.choice import Embedded, Model, StableDiffusion
from attnzoo.models.methods import Method
from attnzoo.models.noise import Noise
from attnzoo.models.slots import Slots, Stack
from attnzoo.paths import typed
from attnzoo.train.settings import Experiment, Precision, Sampling, Schedule, Tracker, Training
from attnzoo.yaml_files import UNREADABLE, why_not

_LOG = logging.getLogger(__name__)

NAME = "run"
"""Under which the root of the configuration is stored."""

DATA = {
    "embedded": "attnzoo.data.embedded:open_embedded",
    "video": "attnzoo.data.video:open_video",
    "tiktok": "attnzoo.data.tiktok:open_tiktok",
}
"""Data sets: the function whose arguments are the settings `data.*` and which gives a Source."""

PROTOCOLS = "tables"
"""Beside the groups of settings in `experiments()`: the protocols of `attnzoo.tables`."""

MODELS: dict[str, Any] = {"embedded": Embedded, "stable_diffusion": StableDiffusion}
"""What a variant is put into: dataclasses of the settings `model.*`, which build it."""

OTHER_PICTURES: dict[str, Any] = {
    "schedule": Schedule.cosine,
    "high_noise": 0.5,
    "positions_rate": 10.0,
    "stage1": {"steps": 40, "learning_rate": 3e-3},
    "stage2": {"steps": 140, "learning_rate": 1e-3},
}
"""Settings `train.*` that real pictures bring: the base knows the embedded dancers alone, and
learns everything else in stage 2."""

LOG = {
    "formatters": {"plain": {"format": "%(message)s"}},
    "handlers": {
        "console": {"formatter": "plain"},
        "file": {"filename": "${hydra.runtime.output_dir}/log"},
    },
    # It announces every file of every checkpoint.
    "loggers": {"accelerate": {"level": "WARNING"}},
}
"""Of a job: plain lines on the console, dated ones in the folder's file `log`."""

HELP = """\
${hydra.help.header}

Variants (attn=NAME; `python -m attnzoo show NAME` tells all of one):
$VARIANTS

Groups:
$APP_CONFIG_GROUPS

Settings, as they stand with these overrides (key=value changes one):
$CONFIG

${hydra.help.footer}
"""

FOOTER = """\
An option of the variant needs no prefix: 'size=[8,4,4]' is attn.size=[8,4,4] (quotes for zsh).
method=disco attn=none            frame by frame; so does dreampose, from five poses each
-m attn=none,temporal seed=0,1,2  runs all combinations, each in a folder of its own
resume=FOLDER                     goes on inside FOLDER with the configuration stored there
+plugins=[FILE.py]                variants of your own, from files or modules
+experiment=NAME, +preset=NAME    settings from a file; there are: $FILES
--cfg job                         prints the configuration and runs nothing"""


def _hydra() -> dict[str, Any]:
    time = "${now:%Y-%m-%d_%H-%M-%S}"
    return {
        "run": {"dir": "outputs/${attn.name}/" + time},
        "sweep": {"dir": "outputs", "subdir": "${attn.name}/" + time + "_${hydra.job.num}"},
        "output_subdir": None,
        "searchpath": [f"file://{experiments()}"],
        "job_logging": LOG,
        "help": {
            "app_name": "attnzoo.run",
            "header": "Trains, samples, scores and profiles one variant of temporal attention.",
            "template": HELP.replace("$VARIANTS", _variants()),
            "footer": FOOTER.replace("$FILES", _files()),
        },
    }


@dataclass
class Run:
    """Everything that one run is made from.

    plugins: files and modules of mechanisms that are loaded first, files with their whole paths.
    model: what the variant is put into. method: of the paper's first table; disco and dreampose
    make each frame by itself. seed: of initialisation, data order and noise. noise: what the frames
    of a clip share, in training and sampling; null is the method's, shared for video and
    independent for the others. flow: where the motion comes from that variants follow; motion: how
    it is estimated. slots: where modules sit. stack: what the modules of a slot are. device: auto,
    cpu or cuda. workers: threads that load data. resume: the folder of a run to go on with.
    """

    defaults: list[Any] = field(
        default_factory=lambda: [
            "_self_",
            {"attn": "stsa"},
            {"model": "embedded"},
            {"data": "embedded"},
        ]
    )
    hydra: Any = field(default_factory=_hydra)
    plugins: list[str] = field(default_factory=list)
    attn: Any = MISSING
    model: Any = MISSING
    data: Any = MISSING
    method: Method = Method.video
    seed: int = 0
    noise: Noise | None = None
    flow: FlowSource = FlowSource.auto
    motion: Estimation = field(default_factory=Estimation)
    slots: Slots = Slots.all
    stack: Stack = Stack.declared
    train: Training = field(default_factory=Training)
    sample: Sampling = field(default_factory=Sampling)
    device: str = "auto"
    precision: Precision = Precision.fp32
    workers: int = 0
    tracker: Tracker = Tracker.none
    resume: str | None = None


OPTIONAL = {"model": "embedded"}
"""Groups that older stored configurations do not name, and what they were then."""

NO_RUN = "the stored configuration names no variant and data"
NOT_ITS = "not the configuration of a run"

UNDESCRIBED = ("plugins", "attn", "data", "resume")
"""Settings that an experiment has in another form or not at all."""

UNSTORED = ("resume", "hydra", "defaults")
"""Keys of `Run` that are no part of what a run is."""


def settings() -> tuple[str, ...]:
    """The names of the settings and groups at the top."""
    return tuple(f.name for f in dataclasses.fields(Run) if f.name not in ("hydra", "defaults"))


def experiments() -> Path:
    """The folder of the YAML files: inside an installed package, beside it in a checkout."""
    package = Path(__file__).resolve().parent
    inside = package / "experiments"
    return inside if inside.is_dir() else package.parent / "experiments"


def register() -> None:
    """Puts root and groups into Hydra's store, again if mechanisms have come since."""
    store = ConfigStore.instance()
    store.store(NAME, Run)
    for name in registry.list_variants():
        store.store(name, registry.schema(name), group="attn")
    for name, model in MODELS.items():
        store.store(name, model, group="model")
    for name in DATA:
        train = {} if name == "embedded" else OTHER_PICTURES
        node = {"data": data_schema(name), "train": train}
        store.store(name, node, group="data", package="_global_")


@functools.cache
def data_schema(name: str) -> type:
    """The settings of a data set as a dataclass: `name`, then the arguments of its opener."""
    opener = _opener(name)
    hints = typing.get_type_hints(opener)
    fields: list[Any] = [("name", str, field(default=name))]
    for parameter in inspect.signature(opener).parameters.values():
        default = MISSING if parameter.default is parameter.empty else parameter.default
        fields.append((parameter.name, hints[parameter.name], field(default=default)))
    made = dataclasses.make_dataclass(f"{name}_data", fields)
    made.__module__ = __name__
    made.__doc__ = f"Settings of the data set {name}."
    return made


def experiment_of(cfg: DictConfig) -> Experiment:
    """The plain experiment that a composed configuration describes.

    Raises:
        UserError: settings are missing; all are named.
    """
    _check_present(cfg)
    values = {key: _plain(cfg[key]) for key in settings() if key not in UNDESCRIBED}
    values["training"] = values.pop("train")
    values["sampling"] = values.pop("sample")
    return Experiment(
        variant=cfg.attn.name, options=options_of(cfg), data=_jsonable(_plain_data(cfg)), **values
    )


def model_of(cfg: DictConfig) -> Model:
    """What the variant is put into, as its settings, which check and build it."""
    return typing.cast(Model, OmegaConf.to_object(cfg.model))


def options_of(cfg: DictConfig) -> dict[str, Any]:
    """The variant's options."""
    return {key: value for key, value in _plain_mapping(cfg.attn).items() if key != "name"}


def source_of(cfg: DictConfig, *, prepared: bool = True) -> Source:
    """Opens the data that a configuration names, which checks it whole, with the flow it asks for.

    Args:
        cfg: the configuration.
        prepared: whether training is to read what `data.prepared` holds, where that is given.

    Raises:
        UserError: what the data set's opener has to say, `attnzoo.data.flow_source.with_flow`, or
            `attnzoo.preparation.attach.attach`.
    """
    from attnzoo.data.flow_source import with_flow

    values = _plain_data(cfg)
    folder = values.get("prepared") if prepared else None
    opened: Source = _opener(values.pop("name"))(**values)
    if (windows := values.get("windows") or 0) > len(opened.train):
        _LOG.warning(
            "data.windows=%d: the video has %d without a common frame, which are trained on",
            windows,
            len(opened.train),
        )
    source = with_flow(opened, cfg.flow, _plain(cfg.motion), tried=folder is not None)
    if folder is None:
        return source
    from attnzoo.preparation.attach import attach

    given = OmegaConf.select(cfg, "hydra.overrides.task") or ()
    path = typed(folder, f"data.prepared={folder}")
    return attach(experiment_of(cfg), source, path, list(given))


END = "# nothing is missing\n"


def stored(cfg: DictConfig) -> str:
    """The configuration as it is kept in a run's folder: YAML, resolved, without Hydra's part.

    Cut off it would be one of other values: `END` is its last line.
    """
    kept = OmegaConf.masked_copy(cfg, [key for key in settings() if key not in UNSTORED])
    if kept.noise is None:
        kept.noise = kept.method.noise
    return OmegaConf.to_yaml(kept, resolve=True) + END


def restored(cfg: DictConfig, text: str, changed: Mapping[str, Any]) -> DictConfig:
    """`cfg`, composed for the same variant and data, with the values stored as `text`.

    The text is one of which `groups_of` has said that it can be read. `changed` are settings that
    are to differ from the stored ones, by their names with dots.

    Raises:
        UserError: what is stored are no settings of a run.
    """
    kept: Any = OmegaConf.create(text)
    for key in UNSTORED:
        if key in kept:
            raise UserError(f"{NOT_ITS}: {key} is none of its settings")
    try:
        merged = typing.cast(DictConfig, OmegaConf.merge(cfg, kept))
    except (OmegaConfBaseException, AssertionError, *UNREADABLE) as error:
        raise UserError(f"{NOT_ITS}: {_told(error)}") from error
    for key in settings():
        if isinstance(cfg[key], DictConfig) and not isinstance(merged[key], DictConfig):
            raise UserError(f"{NOT_ITS}: {key} must hold settings")
    for key, value in changed.items():
        OmegaConf.update(merged, key, value)
    return merged


def groups_of(text: str) -> list[str]:
    """The overrides that choose variant, model and data of a stored configuration.

    Raises:
        UserError: it names none.
    """
    try:
        kept: Any = OmegaConf.create(text)
        chosen = {group: kept[group].name for group in OPTIONAL if group in kept}
        named = {"attn": kept.attn.name, **OPTIONAL, **chosen, "data": kept.data.name}
        return [f"{group}={name}" for group, name in named.items()]
    except (OmegaConfBaseException, *UNREADABLE) as error:
        raise UserError(f"{NO_RUN}: {_told(error)}") from error


def _told(error: Exception) -> str:
    plain = isinstance(error, OmegaConfBaseException)  # some of which are ValueErrors, too
    return " ".join(str(error).split()) if plain else why_not(error)


def plugins_of(text: str) -> list[str]:
    """The plug-ins of a stored configuration that can be read."""
    kept = typing.cast(DictConfig, OmegaConf.create(text)).get("plugins")
    if kept is None:
        return []
    plain = OmegaConf.to_container(kept) if OmegaConf.is_list(kept) else None
    if not isinstance(plain, list) or not all(isinstance(one, str) for one in plain):
        raise UserError(f"the stored configuration's plugins must be a list of texts, not {kept!r}")
    return plain


@contextmanager
def inherited(plugins: Sequence[str]) -> Iterator[None]:
    """Processes that are started meanwhile load these plug-ins before they read a configuration.

    A launcher may send jobs to other processes; what a configuration holds is looked up there.
    """
    before = os.environ.get(_INHERITED)
    os.environ[_INHERITED] = json.dumps(list(plugins))  # a path may hold any character
    try:
        yield
    finally:
        del os.environ[_INHERITED]
        if before is not None:
            os.environ[_INHERITED] = before


_INHERITED = "ATTNZOO_PLUGINS"


def _opener(name: str) -> Callable[..., Any]:
    module, _, function = DATA[name].partition(":")
    opener: Callable[..., Any] = getattr(importlib.import_module(module), function)
    return opener


def _plain_data(cfg: DictConfig) -> dict[str, Any]:
    _check_present(cfg)
    return _plain_mapping(cfg.data)


def _check_present(cfg: DictConfig) -> None:
    """UserError that names all that data and model need and was not given."""
    absent = {
        group: [key for key in map(str, cfg[group]) if OmegaConf.is_missing(cfg[group], key)]
        for group in ("data", "model")
    }
    told = [
        f"{group}={cfg[group].name} needs "
        + ", ".join(f"{group}.{key}, as in {group}.{key}=VALUE" for key in keys)
        for group, keys in absent.items()
        if keys
    ]
    if not told:
        return
    # What else the model lacks is worth knowing at once.
    rest = cfg.model.copy()
    rest.update(dict.fromkeys(absent["model"]))
    try:
        typing.cast(Model, OmegaConf.to_object(rest)).check()
    except UserError as error:
        told.append(str(error))
    raise UserError("; ".join(told))


def _plain(value: Any) -> Any:
    """A node's value: dataclasses as objects, lists as lists."""
    return OmegaConf.to_object(value) if OmegaConf.is_config(value) else value


def _plain_mapping(node: DictConfig) -> dict[str, Any]:
    plain = OmegaConf.to_container(node, resolve=True, throw_on_missing=True)
    return typing.cast(dict[str, Any], plain)


def _jsonable(values: Mapping[str, Any]) -> dict[str, Any]:
    def plain(value: Any) -> Any:
        if isinstance(value, Enum):
            return value.name
        return str(value) if isinstance(value, Path) else value

    return {key: plain(value) for key, value in values.items()}


def _files() -> str:
    groups = [path for path in experiments().glob("*/*.yaml") if path.parent.name != PROTOCOLS]
    files = sorted(groups)
    return ", ".join(f"+{file.parent.name}={file.stem}" for file in files)


def _variants() -> str:
    names = registry.list_variants()
    width = max(map(len, names))
    # `$` would be a placeholder of Hydra's template.
    rows = [f"  {name:<{width}}  {registry.get(name).title}".replace("$", "") for name in names]
    return "\n".join(rows)


for _plugin in json.loads(os.environ.get(_INHERITED, "[]")):
    registry.load_plugin(_plugin)
