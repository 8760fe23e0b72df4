"""Where a mechanism may sit in a U-Net of diffusers: `UNet2DConditionModel` and its relatives."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

from diffusers.models.transformers.transformer_2d import Transformer2DModel
from torch import nn

from attnzoo import registry
from attnzoo.models.slots import Slots


@dataclass(frozen=True)
class Place:
    """A module that a slot may follow, or a motion module that it may stand for.

    heads is None where there is no attention; last: of its block; transformer: the one whose block
    `host` is; owner: the list in which the motion module `host` stands; block: the U-Net's block.
    """

    host: nn.Module
    channels: int
    heads: int | None
    block: nn.Module
    last: bool = True
    transformer: nn.Module | None = None
    owner: nn.ModuleList | None = None


def blocks(unet: Any) -> list[Any]:
    """Down, middle and up blocks in the order in which an image meets them; up need not be."""
    middle = getattr(unet, "mid_block", None)
    up = getattr(unet, "up_blocks", ())
    return [*unet.down_blocks, *([] if middle is None else [middle]), *up]


def places(unet: Any, entry: registry.Entry, slots: Slots) -> list[tuple[Place, int]]:
    """Where the modules of `entry`, of kind insert, sit, each with its number of heads.

    Where a U-Net has motion modules of its own, these are the places, all of them.
    """
    if slots is Slots.inside:
        return [(place, place.heads or 1) for place in _inside(unet)]
    found = [p for p in _behind(unet) if p.heads or p.last or entry.every_layer]
    return [
        (place, place.heads or _heads_nearby(place, found))
        for place in found
        if place.heads or slots is Slots.all
    ]


def motion_modules(unet: Any) -> list[Place]:
    """The motion modules of a `UNetMotionModel`; none in other models."""
    return [place for place in _behind(unet) if place.owner is not None]


def transformers(unet: Any) -> list[Any]:
    """Every spatial transformer, in order."""
    return [m for block in blocks(unet) for m in _transformers(block)]


def _transformers(block: nn.Module) -> list[Any]:
    return [m for m in block.modules() if isinstance(m, Transformer2DModel)]


def _behind(unet: Any) -> Iterator[Place]:
    """Behind transformers and ResNets, or the motion modules in their place."""
    moving = any(hasattr(block, "motion_modules") for block in blocks(unet))
    for block in blocks(unet):
        attentions = _transformers(block)
        heads = [m.transformer_blocks[0].attn1.heads for m in attentions]
        if moving:
            owner: Any = getattr(block, "motion_modules", [])
            for module, count in zip_longest(owner, heads[: len(owner)]):
                yield Place(module, module.in_channels, count, block, owner=owner)
        elif attentions:
            for module, count in zip(attentions, heads, strict=True):
                yield Place(module, module.out_channels, count, block)
        else:
            for resnet in block.resnets:
                last = resnet is block.resnets[-1]
                yield Place(resnet, resnet.out_channels, None, block, last)


def _inside(unet: Any) -> Iterator[Place]:
    for block in blocks(unet):
        for transformer in _transformers(block):
            for inner in transformer.transformer_blocks:
                attention = inner.attn1
                yield Place(
                    inner, attention.query_dim, attention.heads, block, transformer=transformer
                )


def _heads_nearby(place: Place, found: list[Place]) -> int:
    """Heads behind a bare ResNet: as wide as those of the nearest transformer, along the path."""
    here = found.index(place)
    near = [(abs(i - here), i, p) for i, p in enumerate(found) if p.heads is not None]
    width = place.channels
    if near:
        _, _, nearest = min(near, key=lambda candidate: candidate[:2])
        width = nearest.channels // (nearest.heads or 1)
    heads = max(1, place.channels // width)
    while place.channels % heads:
        heads -= 1
    return heads
