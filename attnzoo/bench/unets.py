"""The U-Nets that modules are measured in: widths, stock weights, and levels."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, NamedTuple

import torch
from diffusers import UNet2DConditionModel
from torch import Tensor, nn

from attnzoo.models.places import places, transformers
from attnzoo.models.slots import Slots
from attnzoo.registry import Entry, Kind

TEXT_TOKENS = 77
LATENTS = 4


@dataclass(frozen=True)
class Widths:
    """Widths of a U-Net. The coarsest level has no attention, as in Stable Diffusion."""

    block_out_channels: tuple[int, ...]
    cross_attention_dim: int
    heads: int = 8

    @property
    def coarsest(self) -> int:
        """By what the grid's sides must be divisible."""
        return int(2 ** (len(self.block_out_channels) - 1))

    def config(self, suffix: str = "2D") -> dict[str, Any]:
        """Keyword arguments of diffusers' U-Nets whose blocks end so: `2D` or `3D`."""
        levels = len(self.block_out_channels)
        down = [f"CrossAttnDownBlock{suffix}"] * (levels - 1) + [f"DownBlock{suffix}"]
        up = [f"UpBlock{suffix}"] + [f"CrossAttnUpBlock{suffix}"] * (levels - 1)
        return {
            "sample_size": 32,
            "in_channels": LATENTS,
            "out_channels": LATENTS,
            "block_out_channels": self.block_out_channels,
            "down_block_types": tuple(down),
            "up_block_types": tuple(up),
            "layers_per_block": 2,
            "cross_attention_dim": self.cross_attention_dim,
            # diffusers' name for the number of heads.
            "attention_head_dim": self.heads,
        }


UNETS: Mapping[str, Widths] = {
    "small": Widths((64, 128, 256), 256),
    "sd15": Widths((320, 640, 1280, 1280), 768),
}


class Form(NamedTuple):
    """Where weights lie and as what."""

    dtype: torch.dtype = torch.float32
    device: torch.device = torch.device("cpu")


def stock(widths: Widths, form: Form) -> Any:
    """A 2-D U-Net of these widths; all of one form share one set of frozen weights.

    What is attached to one of them is its own.
    """
    original = _original(widths, form)
    shared = {id(t): t for t in (*original.parameters(), *original.buffers())}
    return copy.deepcopy(original, shared)


@cache
def _original(widths: Widths, form: Form) -> Any:
    return frozen(UNet2DConditionModel(**widths.config()), form)


def frozen(unet: Any, form: Form) -> Any:
    """The U-Net in that form, without gradients."""
    # diffusers' own `to` warns about layers that it keeps in float32, even where there are none.
    return nn.Module.to(unet.requires_grad_(False).eval(), form.device, form.dtype)


@dataclass(frozen=True)
class Level:
    """One kind of place: the modules there see grids `coarser` times coarser than the latents."""

    channels: int
    heads: int
    coarser: int

    def name(self, height: int, width: int) -> str:
        """As rows call it."""
        grid = f"{height // self.coarser}x{width // self.coarser}"
        return f"{self.channels}@{grid}, {self.heads} heads"


@cache
def levels(widths: Widths, entry: Entry) -> tuple[Level, ...]:
    """The different places that `attach` gives to an entry by default, from fine to coarse."""
    with torch.device("meta"):
        unet: Any = UNet2DConditionModel(**widths.config())
        side = 8 * widths.coarsest
        images = torch.empty(1, LATENTS, side, side)
        text = torch.empty(1, TEXT_TOKENS, widths.cross_attention_dim)
    found: set[Level] = set()
    handles = []
    if entry.kind is Kind.insert:
        for place, heads in places(unet, entry, Slots.all):
            handles.append(place.host.register_forward_hook(_noting_grid(found, heads, side)))
    else:
        for transformer in transformers(unet):
            handles.append(transformer.register_forward_hook(_noting_grid(found, None, side)))
    unet(images, torch.zeros((), device="meta"), text)
    for handle in handles:
        handle.remove()
    return tuple(sorted(found, key=lambda level: (level.coarser, level.channels, level.heads)))


def _noting_grid(found: set[Level], heads: int | None, side: int) -> Any:
    def note(module: nn.Module, args: Any, output: Any) -> None:
        result = output if isinstance(output, Tensor) else output[0]
        count = heads if heads is not None else _heads(module)
        found.add(Level(result.shape[1], count, side // result.shape[2]))

    return note


def _heads(transformer: Any) -> int:
    heads: int = transformer.transformer_blocks[0].attn1.heads
    return heads
