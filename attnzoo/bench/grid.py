"""From comma lists to cells."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch

from attnzoo import registry
from attnzoo._options import converted, suggestion
from attnzoo.bench.cell import DTYPES, Cell, What
from attnzoo.bench.module_peers import module_peers
from attnzoo.bench.settings import Given, as_positive, as_truth, one_of
from attnzoo.bench.unet_peers import unet_peers
from attnzoo.bench.unets import UNETS, levels
from attnzoo.errors import UserError
from attnzoo.models.attach import plain

Grid = tuple[int, int]
"""Rows and columns of the finest tokens, latents of a U-Net."""

ESTIMATOR = "DIS"
"""Name of the flow estimation in rows."""

_WITHOUT_BACKWARD = (What.unet, What.training, What.flow, What.maps)
_IN_UNET = (What.level, What.unet, What.training, What.maps)


@dataclass(frozen=True)
class Axes:
    """The values of each axis; every combination that makes sense is a cell."""

    attn: Sequence[str]
    what: Sequence[What]
    frames: Sequence[int] = (16,)
    resolution: Sequence[Grid] = ((32, 32),)
    batch: Sequence[int] = (1,)
    channels: Sequence[int] = (320,)
    heads: Sequence[int] = (8,)
    unet: Sequence[str] = ("small",)
    dtype: Sequence[str] = ("fp32",)
    backward: Sequence[bool] = (False, True)
    compile: Sequence[bool] = (False,)
    peers: Sequence[str] = ()
    options: Given = None  # type: ignore[assignment]
    device: str = "cpu"


AXES = (
    "attn", "what", "frames", "resolution", "batch", "channels", "heads", "unet", "dtype",
    "backward", "compile", "peers",
)  # fmt: skip


def axes_of(given: Given, device: str, quick: bool) -> Axes:
    """The axes that were typed; whatever is no axis is an option of the variants.

    Raises:
        UserError: a value that an axis does not have, an option that no variant has.
    """
    values: dict[str, Any] = {"attn": registry.list_variants(), "what": tuple(What)[:4]}
    values["peers"] = (*unet_peers(), *_NAMED)
    if quick:
        values |= _QUICK
    values |= {key: _CHECKS[key](given[key]) for key in AXES if key in given}
    axes = Axes(**values, options=_options(given), device=device)
    _check_options(axes)
    return axes


def _options(given: Given) -> Given:
    """What is no axis, under the option's own name; UserError for both spellings of one."""
    found: dict[str, Sequence[Any]] = {}
    for key in given:
        option = key.removeprefix("attn.")
        if key not in AXES and option in found:
            raise UserError(f"{option}=, attn.{option}=: give one of them")
        if key not in AXES:
            found[option] = given[key]
    return found


_QUICK: Mapping[str, Any] = {
    "frames": (8,),
    "resolution": ((16, 16),),
    "channels": (64,),
    "what": (What.module, What.unet, What.training),
    "backward": (False,),
    "peers": ("UNetMotionModel",),
}

_NAMED = ("torchvision", "natten", "flex")
"""Peers of single modules that a grid has without being asked; the others are on request."""


def _grids(values: Sequence[Any]) -> list[Grid]:
    grids = []
    for value in values:
        sides = re.fullmatch(r"(\d+)(?:x(\d+))?", str(value))
        if sides is None or not int(sides[1]) or (sides[2] and not int(sides[2])):
            raise UserError(f"resolution={value}: must be a side such as 32, or 32x48")
        grids.append((int(sides[1]), int(sides[2] or sides[1])))
    return grids


def _whats(values: Sequence[Any]) -> list[What]:
    names = [one_of("what", value, [what.value for what in What]) for value in values]
    return [What(name) for name in names]


def _peers(values: Sequence[Any]) -> list[str]:
    """null or false for none, true for all, or names of classes."""
    if len(values) == 1 and isinstance(values[0], tuple):
        values = values[0]
    if list(values) in ([None], [False]):
        return []
    known = [*unet_peers(), *module_peers()]
    return known if list(values) == [True] else [one_of("peers", v, known) for v in values]


_CHECKS: Mapping[str, Any] = {
    "attn": lambda values: [registry.get(str(value)).name for value in values],
    "what": _whats,
    "resolution": _grids,
    "unet": lambda values: [one_of("unet", value, list(UNETS)) for value in values],
    "dtype": lambda values: [one_of("dtype", value, list(DTYPES)) for value in values],
    "peers": _peers,
    **{
        key: lambda values, key=key: [as_positive(key, value) for value in values]
        for key in ("frames", "batch", "channels", "heads")
    },
    **{
        key: lambda values, key=key: [as_truth(key, value) for value in values]
        for key in ("backward", "compile")
    },
}


def _check_options(axes: Axes) -> None:
    known = {o.name for name in axes.attn for o in registry.get(name).free}
    for key in axes.options:
        if key not in known:
            raise UserError(
                f"{key}= is no setting of the bench and no option of {', '.join(axes.attn)}"
                f"{suggestion(key, known | set(AXES))}"
            )


def cells(axes: Axes) -> list[Cell]:
    """All cells, each once, variants before peers.

    Raises:
        UserError: an option's value that its variant refuses; sizes that a U-Net or a variant
            cannot have; nothing to measure.
    """
    found: dict[str, Cell] = {}
    for cell in itertools.chain(_variants(axes), _others(axes)):
        found.setdefault(cell.digest, cell)
    if not found:
        raise UserError(f"what={','.join(w.value for w in axes.what)}: there is nothing to measure")
    for cell in found.values():
        _check(cell)
    return list(found.values())


def _variants(axes: Axes) -> Iterator[Cell]:
    for name in axes.attn:
        for options in choices(name, axes.options):
            for what in axes.what:
                for cell in _sized(axes, what, name, options):
                    yield from _placed(cell, axes)


def choices(name: str, given: Given) -> list[dict[str, Any]]:
    """The combinations of a variant's options, as JSON has them; what it has not is left out.

    Raises:
        UserError: a value that is not possible.
    """
    entry = registry.get(name)
    own = {o.name: o for o in entry.free if o.name in given}
    combinations = itertools.product(*(given[key] for key in own))
    found = []
    for values in combinations:
        options = {
            key: converted(f"{name}: {key}", own[key].annotation, value)
            for key, value in zip(own, values, strict=True)
        }
        # Built without memory, for what only the constructor can say.
        try:
            with torch.device("meta"):
                registry.create(name, 64, 8, **options)
        except UserError:
            if "backend" not in options:  # what cannot run here is a row that says so
                raise
        found.append({key: plain(value) for key, value in options.items()})
    return found


def _sized(axes: Axes, what: What, name: str, options: Mapping[str, Any]) -> Iterator[Cell]:
    for b, f, (h, w), dtype, compiled in itertools.product(
        axes.batch, axes.frames, axes.resolution, axes.dtype, axes.compile
    ):
        yield Cell(
            what, name, f, h, w, b,
            options=options, dtype=dtype, compiled=compiled, device=axes.device,
        )  # fmt: skip


def _placed(cell: Cell, axes: Axes) -> Iterator[Cell]:
    """The cell at each width or U-Net, in each direction, for each module of a slot."""
    entry = registry.get(cell.name)
    if cell.what is What.flow:
        if entry.needs_flow:
            yield Cell(What.flow, ESTIMATOR, *cell.shape[1:], cell.batch, device="cpu")
        return
    if cell.what is What.maps:
        if entry.needs_flow:
            plain_cell = cell.at(compiled=False, dtype="fp32")
            yield from (plain_cell.at(unet=unet) for unet in axes.unet)
        return
    if cell.what in (What.unet, What.training):
        trains = entry.modules or cell.what is What.unet
        yield from (cell.at(unet=unet) for unet in axes.unet if trains)
        return
    modules = list({tuple(m.items()): dict(m) for m in entry.modules}.values())
    for fixed, backward in itertools.product(modules, axes.backward):
        one = cell.at(backward=backward, options={**cell.options, **fixed})
        if cell.what is What.module:
            for c, n in itertools.product(axes.channels, axes.heads):
                yield one.at(channels=c, heads=n)
        else:
            yield from _levels(one, axes.unet)


def _levels(cell: Cell, unets: Sequence[str]) -> Iterator[Cell]:
    for unet in unets:
        _check_sides(unet, cell.height, cell.width)
        for level in levels(UNETS[unet], registry.get(cell.name)):
            h, w = cell.height // level.coarser, cell.width // level.coarser
            yield cell.at(
                height=h, width=w, channels=level.channels, heads=level.heads, unet=unet,
                level=level.name(cell.height, cell.width),
            )  # fmt: skip


def _others(axes: Axes) -> Iterator[Cell]:
    """Peers: other modules beside those of the variants, and whole U-Nets."""
    single = [module_peers()[name] for name in axes.peers if name in module_peers()]
    if single and What.module in axes.what:
        for cell in _variants(replace(axes, what=(What.module,))):
            for peer in single:
                if cell.name in peer.computes:
                    yield cell.at(name=peer.name, mirrors=cell.name, peer=True)
    names = [name for name in axes.peers if name in unet_peers()]
    for name, what in itertools.product(names, axes.what):
        if what is What.unet or (what is What.training and name != "UNet2DConditionModel"):
            for cell in _sized(axes, what, name, {}):
                yield from (cell.at(peer=True, unet=unet) for unet in axes.unet)


def _check_sides(unet: str, *sides: int) -> None:
    """UserError for a grid of latents that a level of the U-Net would not halve."""
    coarsest = UNETS[unet].coarsest
    for side in sides:
        if side % coarsest:
            raise UserError(f"resolution={side}: unet={unet} needs sides that {coarsest} divides")


def _check(cell: Cell) -> None:
    if cell.unet and cell.what is not What.level:
        _check_sides(cell.unet, cell.height, cell.width)
    if cell.peer or cell.what is What.flow:
        return
    entry = registry.get(cell.name)
    if cell.frames < entry.min_frames:
        raise UserError(f"frames={cell.frames}: {cell.name} needs at least {entry.min_frames}")
    if cell.channels % cell.heads:
        raise UserError(f"channels={cell.channels} must be a multiple of heads={cell.heads}")
