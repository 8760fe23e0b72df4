"""Inflation: a stock `UNet2DConditionModel` becomes a video model, and back.

Nothing of diffusers is copied or subclassed. Kind insert hangs new layers behind modules of the
U-Net, kind replace puts a mechanism where a block's self-attention stood, with its weights, and
frame positions join the time embedding. Every pre-trained key keeps its name.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar, cast

import torch
from diffusers import UNet2DConditionModel
from diffusers.models.transformers.transformer_2d import Transformer2DModel
from torch import nn
from torch.utils.hooks import RemovableHandle

from attnzoo import registry
from attnzoo.errors import UserError
from attnzoo.models.positions import FramePositions
from attnzoo.models.slots import (
    GATE_LEARNING_RATE,
    ClipContext,
    InsertSlot,
    Needs,
    ReplaceSlot,
    SlotLayer,
    Slots,
    Stack,
)

M = TypeVar("M", bound=nn.Module)

__all__ = ["Inflation", "ParameterCounts", "Slots", "Stack", "inflate"]


@dataclass(frozen=True)
class ParameterCounts:
    """Parameters of an inflated U-Net by role; `added` and `replaced` are parts of `total`.

    total: all there are; added: what the 2-D U-Net had not, `slots` and `positions` together;
    replaced: those of the self-attentions that were taken over with their weights.
    """

    total: int
    slots: int
    positions: int
    replaced: int

    @property
    def added(self) -> int:
        """What the 2-D U-Net had not."""
        return self.slots + self.positions


class Inflation:
    """What `inflate` put into a U-Net: its context, its new parameters, and the way back.

    Copies with the U-Net where both are copied together (`copy.deepcopy` of what holds both).
    """

    def __init__(self, unet: UNet2DConditionModel, entry: registry.Entry) -> None:
        """A handle on `unet` with nothing in it yet; `inflate` fills it."""
        self.unet: Any = unet  # diffusers' models are opaque to type checkers
        self.entry = entry
        self.context = ClipContext()
        self.positions: FramePositions | None = None
        self._inserted: list[tuple[nn.Module, InsertSlot]] = []
        self._replaced: list[tuple[Any, ReplaceSlot, nn.Module]] = []
        self._handles: list[RemovableHandle] = []

    @property
    def needs(self) -> Needs:
        """What each slot checks before it runs."""
        return Needs(self.entry.name, self.entry.needs_flow, self.entry.min_frames)

    def modules(self) -> list[nn.Module]:
        """The mechanisms, in the order in which an image meets them."""
        inserted = [layer.mechanism for layer in self._new_layers()]
        return inserted + [slot.mechanism for _, slot, _ in self._replaced]

    def _new_layers(self) -> list[SlotLayer]:
        layers = [layer for _, slot in self._inserted for layer in slot.layers]
        return cast(list[SlotLayer], layers)

    def new_parameters(self) -> list[nn.Parameter]:
        """What stage 1 trains: new modules, taken-over self-attentions, frame positions."""
        return list(self.learning_rate_factors())

    def learning_rate_factors(self) -> dict[nn.Parameter, float]:
        """Each of `new_parameters` with its learning-rate factor: zero gates 10, others 1."""
        owners: list[nn.Module] = [slot for _, slot in self._inserted]
        owners += [slot for _, slot, _ in self._replaced]
        owners += [self.positions] if self.positions is not None else []
        factors = {parameter: 1.0 for owner in owners for parameter in owner.parameters()}
        gates = [layer.gate for layer in self._new_layers() if layer.gate is not None]
        factors.update(dict.fromkeys(gates, GATE_LEARNING_RATE))
        return factors

    def parameter_counts(self) -> ParameterCounts:
        """Number of parameters by role."""
        return ParameterCounts(
            total=_count(self.unet),
            slots=sum(_count(slot) for _, slot in self._inserted),
            positions=_count(self.positions) if self.positions is not None else 0,
            replaced=sum(_count(slot) for _, slot, _ in self._replaced),
        )

    def remove(self) -> None:
        """Makes the U-Net what it was: the same modules, keys, hooks and weights, bit for bit.

        A self-attention that comes back has the weights it went with, on the U-Net's present
        device and in its present dtype. A second call does nothing.
        """
        for handle in self._handles:
            handle.remove()
        for host, _ in self._inserted:
            del host.slot
        for block, slot, original in self._replaced:
            like = next(slot.parameters())
            block.attn1 = original.to(like.device, like.dtype).train(slot.training)
        if self.positions is not None:
            del self.unet.frame_positions
        self.positions = None
        self._handles, self._inserted, self._replaced = [], [], []

    def insert(self, host: nn.Module, slot: InsertSlot) -> None:
        """Hangs a slot behind its host."""
        host.slot = _like(slot, host)
        if getattr(host, "gradient_checkpointing", False):
            slot.gradient_checkpointing = True
            slot._gradient_checkpointing_func = host._gradient_checkpointing_func  # type: ignore[assignment]
        self._handles.append(host.register_forward_hook(slot.after_host))
        self._inserted.append((host, slot))

    def replace(self, host: nn.Module, block: Any, slot: ReplaceSlot) -> None:
        """Puts a slot in place of the block's self-attention; `host` is the block's transformer."""
        original = block.attn1
        block.attn1 = _like(slot, original)
        self._handles.append(host.register_forward_pre_hook(slot.note_grid, with_kwargs=True))
        self._replaced.append((block, slot, original))

    def add_positions(self) -> None:
        """Adds frame positions to the U-Net's time embedding."""
        embedding = self.unet.time_embedding
        channels = embedding.linear_2.out_features
        positions = FramePositions(embedding.linear_1.in_features, channels, self.context)
        self.unet.frame_positions = self.positions = _like(positions, embedding)
        self._handles.append(embedding.register_forward_hook(positions.after_time_embedding))


def inflate(
    unet: UNet2DConditionModel,
    name: str,
    *,
    options: Mapping[str, Any] | None = None,
    slots: Slots = Slots.attention,
    stack: Stack = Stack.declared,
    positions: bool = True,
    seed: int = 0,
) -> Inflation:
    """Puts the variant `name` into `unet`, in place, and returns the handle to it.

    `options` are the variant's own; new weights are drawn from `seed`, the global random state
    is left as it was. `slots` and `stack` concern kind insert only: kind replace takes over every
    self-attention, `none` adds nothing but frame positions. Before each forward,
    `inflation.context.set(frames, motion)` says what the images are.

    Raises:
        UserError: unknown variant or option, an option that the variant's modules fix, a U-Net
            that is inflated already or has no place for the variant. The U-Net is untouched then.
    """
    ours = (InsertSlot, ReplaceSlot, FramePositions)
    inflation = Inflation(unet, registry.get(name))
    if any(isinstance(module, ours) for module in inflation.unet.modules()):
        raise UserError(f"attn={name}: this U-Net is inflated already; remove that first")
    options = dict(options or {})
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)  # torch.manual_seed would seed CUDA too
        if inflation.entry.kind is registry.Kind.insert:
            _insert_all(inflation, options, slots, stack)
        else:
            _replace_all(inflation, options)
        if positions:
            inflation.add_positions()
    return inflation


@dataclass(frozen=True)
class _Place:
    """A module to hang a slot behind; `heads` is None behind a ResNet without attention."""

    host: nn.Module
    channels: int
    heads: int | None


def _insert_all(
    inflation: Inflation, options: Mapping[str, Any], slots: Slots, stack: Stack
) -> None:
    entry = inflation.entry
    fixed = list(entry.modules)
    if stack is Stack.flat:
        fixed = fixed[:1] * len(fixed)
    places = list(_places(inflation.unet))
    made = []
    for place in places if fixed else []:
        if slots is Slots.attention and place.heads is None:
            continue
        heads = place.heads or _heads_nearby(place, places)
        parts = [_create(entry, place.channels, heads, options, part) for part in fixed]
        layers = [SlotLayer(place.channels, part, entry.last_linear) for part in parts]
        slot = InsertSlot(
            layers, inflation.context, inflation.needs, checkpoints=place.heads is not None
        )
        made.append((place.host, slot))
    if fixed and not made:
        raise UserError(f"attn={entry.name}: this U-Net has no spatial transformer; try slots=all")
    for host, slot in made:
        inflation.insert(host, slot)


def _replace_all(inflation: Inflation, options: Mapping[str, Any]) -> None:
    entry = inflation.entry
    fixed = entry.modules[0] if entry.modules else {}
    made = []
    for host in (place.host for place in _places(inflation.unet)):
        for block in getattr(host, "transformer_blocks", ()):
            if block.only_cross_attention:
                raise UserError(f"attn={entry.name}: a block of this U-Net has no self-attention")
            old = block.attn1
            mechanism = _create(entry, old.query_dim, old.heads, options, fixed)
            try:
                mechanism.load_state_dict(old.state_dict(), strict=True)
            except RuntimeError as error:
                reason = " ".join(str(error).split())
                raise UserError(
                    f"attn={entry.name} cannot take over a self-attention of this U-Net: {reason}"
                ) from error
            made.append((host, block, ReplaceSlot(mechanism, inflation.context, inflation.needs)))
    if not made:
        raise UserError(f"attn={entry.name}: this U-Net has no spatial transformer to take over")
    for host, block, slot in made:
        inflation.replace(host, block, slot)


def _places(unet: Any) -> Iterator[_Place]:
    """Every place that may carry a slot, in the order in which an image meets them."""
    middle = [] if unet.mid_block is None else [unet.mid_block]
    for block in (*unet.down_blocks, *middle, *unet.up_blocks):
        transformers = [m for m in block.modules() if isinstance(m, Transformer2DModel)]
        for transformer in transformers:
            heads = transformer.transformer_blocks[0].attn1.heads
            yield _Place(transformer, transformer.out_channels, heads)
        if not transformers:
            resnet = block.resnets[-1]
            yield _Place(resnet, resnet.out_channels, None)


def _heads_nearby(place: _Place, places: list[_Place]) -> int:
    """Heads behind a bare ResNet: as wide as those of the nearest transformer, along the path."""
    here = places.index(place)
    near = [(abs(i - here), i, p) for i, p in enumerate(places) if p.heads is not None]
    width = place.channels
    if near:
        _, _, nearest = min(near, key=lambda found: found[:2])
        width = nearest.channels // (nearest.heads or 1)
    heads = max(1, place.channels // width)
    while place.channels % heads:
        heads -= 1
    return heads


def _create(
    entry: registry.Entry,
    channels: int,
    heads: int,
    options: Mapping[str, Any],
    fixed: Mapping[str, Any],
) -> nn.Module:
    taken = sorted(entry.fixed.intersection(options))
    if taken:
        raise UserError(f"attn={entry.name}: {taken[0]} is set by the slot and is no option")
    mechanism: nn.Module = registry.create(entry.name, channels, heads, **options, **fixed)
    return mechanism


def _like(module: M, host: nn.Module) -> M:
    """`module` on the host's device, in its dtype and mode."""
    parameter = next(host.parameters())
    module.to(parameter.device, parameter.dtype).train(host.training)
    return module


def _count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())
