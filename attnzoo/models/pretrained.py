"""Published weights in the layouts of diffusers and transformers, loaded whole.

Loading is the libraries' own: safetensors before pickles, and pickles without code. A tensor that
is missing, left over or of another shape is an error that lists it.
"""

from __future__ import annotations

import logging
import pickle
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from attnzoo.errors import DAMAGED, UserError
from attnzoo.models.sources import Place

_LOG = logging.getLogger(__name__)

UNREADABLE: tuple[type[Exception], ...] = (SafetensorError, *DAMAGED)

SHOWN = 8
"""So many names stand in a message; of the others there is the number."""


def load_part(kind: Any, place: Place, tolerated: tuple[str, ...] = ()) -> Any:
    """One part by its library's `from_pretrained`, float32.

    Args:
        kind: a class of diffusers or transformers.
        place: where it lies.
        tolerated: beginnings of names that may be left over, being of no part of `kind`; they are
            told in the log.

    Raises:
        UserError: it cannot be read, or its tensors are not all and only those of `kind`.
    """
    with readable(place):
        model, told = kind.from_pretrained(
            place.source,
            torch_dtype=torch.float32,
            output_loading_info=True,
            **place.arguments(),
            **place.weights(),
        )
    if place.weights():
        _LOG.info("%s: of its %s files", place, place.weights()["variant"])
    # transformers tells sets, diffusers lists; shapes come as tuples with the name first.
    shapes = [key if isinstance(key, str) else key[0] for key in told["mismatched_keys"]]
    compare(
        str(place), set(told["missing_keys"]), set(told["unexpected_keys"]), set(shapes), tolerated
    )
    return model


def load_tensors(module: nn.Module, state: Mapping[str, Tensor], what: str) -> None:
    """Copies `state` into `module`, whose tensors it must hold exactly; any float becomes its own.

    Raises:
        UserError: a tensor is missing, left over or of another shape.
    """
    own = module.state_dict()
    wrong = {key for key in own.keys() & state.keys() if own[key].shape != state[key].shape}
    compare(what, own.keys() - state.keys(), state.keys() - own.keys(), wrong)
    module.load_state_dict(dict(state))


def compare(
    what: str,
    missing: Iterable[str],
    left: Iterable[str],
    shapes: Iterable[str],
    tolerated: tuple[str, ...] = (),
) -> None:
    """UserError that lists what of `missing`, `left` over and wrong `shapes` is not tolerated."""
    extra = set(left)
    spare = {key for key in extra if key.startswith(tolerated)} if tolerated else set()
    if spare:
        _LOG.info("%s: not used: %s", what, listed(spare))
    problems = {
        "missing": set(missing),
        "left over": extra - spare,
        "of another shape": set(shapes),
    }
    told = [f"{name}: {listed(keys)}" for name, keys in problems.items() if keys]
    if told:
        raise UserError(f"{what}: not the tensors of this model; {'; '.join(told)}")


def listed(keys: Iterable[str]) -> str:
    """Their number and the first of them by name."""
    names = sorted(keys)
    more = ", ..." if len(names) > SHOWN else ""
    return f"{len(names)} ({', '.join(names[:SHOWN])}{more})"


def read_state(path: Path) -> Any:
    """What a file of weights holds: of safetensors the tensors, else a pickle without code."""
    with readable(path):
        if path.suffix == ".safetensors":
            return load_file(path)
        return torch.load(path, map_location="cpu", weights_only=True, mmap=True)


@contextmanager
def readable(place: object) -> Iterator[None]:
    """What goes wrong in reading `place` becomes a `UserError` that names it."""
    try:
        yield
    except UserError:
        raise
    except pickle.UnpicklingError as error:
        raise UserError(
            f"{place}: a pickle that holds more than tensors and plain values; it is not read, "
            "since it may run any code: write its tensors as safetensors on a machine that "
            "trusts it"
        ) from error
    except UNREADABLE as error:
        raise UserError(f"{place}: cannot be read: {' '.join(str(error).split())}") from error
