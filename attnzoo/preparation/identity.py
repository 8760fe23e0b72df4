"""What decides the numbers that are computed beforehand, as hashes; needs no model, reads no frame.

Weights and settings whose hash is equal give the same items, whatever they are called.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from attnzoo import registry
from attnzoo.data.catalogue import Catalogue
from attnzoo.data.flow_settings import FlowSource
from attnzoo.data.prepared import VERSION, Keys
from attnzoo.data.source import Source
from attnzoo.data.store import key_of
from attnzoo.data.windows import Recording
from attnzoo.errors import UserError
from attnzoo.models.choice import Embedded, StableDiffusion, Weights
from attnzoo.models.methods import Method
from attnzoo.models.sources import Place, disco_file
from attnzoo.train.plain import plain
from attnzoo.train.settings import Experiment

FROZEN = ("vae", "image_encoder")
"""The parts of a published model that never train and that see pictures."""

_FILES = (".safetensors", ".bin", ".json")


def keys_of(experiment: Experiment, source: Source, catalogue: Catalogue, *, write: bool) -> Keys:
    """What decides items beside frames; files of weights are read only where they are new.

    Raises:
        UserError: a file of weights is not there.
    """
    model = experiment.model
    settings: dict[str, Any] = {"name": model.name}
    if isinstance(model, StableDiffusion):
        settings |= {"background": model.background.name}
        if model.weights is Weights.random:
            settings |= {"scale": model.scale}
    decides = {
        "model": settings,
        "weights": catalogue.files(_weights(model), write=write),
        "precision": experiment.precision.name,
        "foreground": experiment.method is Method.dreampose,
    }
    return Keys(source.size, key_of(decides), _flow(experiment, source, catalogue, write=write))


def sheet_of(
    experiment: Experiment, source: Source, keys: Keys, digests: Mapping[Recording, Sequence[str]]
) -> str:
    """The name of the sheet that says of one run's settings that all is there."""
    content = [[recording.name, *found] for recording, found in digests.items()]
    asks = None
    if keys.flow is not None:
        entry = registry.get(experiment.variant)
        asks = {
            "variant": entry.name,
            "code": None if entry.built_in else entry.sha256,
            "options": plain(experiment.options),
            "slots": experiment.slots.name,
            "stack": experiment.stack.name,
        }
    return key_of(
        VERSION, "sheet", source.split_hash, keys.size, keys.model, keys.flow, content, asks
    )


def _flow(
    experiment: Experiment, source: Source, catalogue: Catalogue, *, write: bool
) -> str | None:
    if not registry.get(experiment.variant).needs_flow or source.flow is None:
        return None
    how = plain(experiment.motion)
    if source.flow is FlowSource.raft and experiment.motion.weights is not None:
        file = Path(experiment.motion.weights).expanduser()
        how["weights"] = catalogue.files([file], write=write)
    return key_of(source.flow.name, how)


def _weights(model: Embedded | StableDiffusion) -> list[Path]:
    """The files that hold the frozen parts."""
    if isinstance(model, Embedded):
        from attnzoo.models.embedded import weights_path

        return [Path(model.weights).expanduser() if model.weights else weights_path()]
    if model.weights is Weights.random:
        return []
    found: list[Path] = []
    for part in FROZEN:
        folder = _folder(model.place(part))
        found += sorted(p for p in folder.iterdir() if p.suffix in _FILES and p.is_file())
    return found if model.disco is None else [*found, disco_file(model.disco)]


def _folder(place: Place) -> Path:
    """Where a part's files lie, in the hub's cache if need be."""
    if place.root.is_dir():
        return place.root / place.folder if place.folder else place.root
    from huggingface_hub import try_to_load_from_cache

    name = f"{place.folder}/config.json" if place.folder else "config.json"
    found = try_to_load_from_cache(place.where, name)
    if not isinstance(found, str):
        raise UserError(f"{place}: not on this machine yet, so nothing was prepared from it")
    return Path(found).parent
