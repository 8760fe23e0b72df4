"""Inflation: a U-Net of diffusers becomes a video model, and back.

Nothing of diffusers is copied or subclassed. Kind insert hangs new layers behind modules of the
U-Net, kind replace puts a mechanism where a block's self-attention stood, with its weights, and
frame positions join the time embedding. Every pre-trained key keeps its name. Motion modules that
a U-Net has of its own make way for ours.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar, cast

import torch
from torch import nn
from torch.utils.hooks import RemovableHandle

from attnzoo import registry
from attnzoo.errors import UserError
from attnzoo.models import adapters
from attnzoo.models.places import Place, motion_modules, places, transformers
from attnzoo.models.positions import FramePositions
from attnzoo.models.slots import (
    GATE_LEARNING_RATE,
    ClipContext,
    InsertSlot,
    MotionSlot,
    Needs,
    ReplaceSlot,
    SlotLayer,
    Slots,
    Stack,
    TokenSlot,
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


@dataclass(frozen=True, eq=False)
class _Away:
    """A module that made way for a slot: `owner` held it as `name`.

    What lies `beside` it then had the device and dtype `form`.
    """

    owner: nn.Module
    name: str
    slot: nn.Module
    original: nn.Module
    beside: nn.Module
    form: tuple[torch.device, torch.dtype]

    def check(self) -> None:
        """UserError if it cannot come back as it is."""
        if _form(self.beside)[0].type == "meta" != self.form[0].type:
            raise UserError(
                "the U-Net's weights are offloaded (on the meta device): "
                "call the pipeline's remove_all_hooks() first"
            )
        if adapters.merged(self.slot) != adapters.merged(self.original):
            raise UserError("adapters are merged into modules that go: unmerge (unfuse) them first")

    def back(self) -> None:
        """Puts it back; where the U-Net's device, dtype or mode have changed, it follows."""
        adapters.follow(self.original, self.slot)
        if _form(self.beside) != self.form:
            self.original.to(*_form(self.beside))
        if self.original.training != self.slot.training:
            self.original.train(self.slot.training)
        self.owner._modules[self.name] = self.original


class Inflation:
    """What `inflate` put into a U-Net: its context, its new parameters, and the way back.

    Copies with the U-Net where both are copied together (`copy.deepcopy` of what holds both).
    """

    def __init__(
        self, unet: nn.Module, entry: registry.Entry, context: ClipContext | None = None
    ) -> None:
        """A handle on `unet` with nothing in it yet; `inflate` fills it."""
        self.unet: Any = unet  # diffusers' models are opaque to type checkers
        self.entry = entry
        self.context = context or ClipContext()
        self.positions: FramePositions | None = None
        self._inserted: list[tuple[nn.Module | None, InsertSlot]] = []
        self._replaced: list[ReplaceSlot] = []
        self._away: list[_Away] = []
        self._handles: list[RemovableHandle] = []

    @property
    def needs(self) -> Needs:
        """What each slot checks before it runs."""
        return Needs(self.entry.name, self.entry.needs_flow, self.entry.min_frames)

    def modules(self) -> list[nn.Module]:
        """The mechanisms, in the order in which an image meets them."""
        inserted = [layer.mechanism for layer in self.layers()]
        return inserted + [slot.mechanism for slot in self._replaced]

    def layers(self) -> list[SlotLayer]:
        """The new layers of all slots of kind insert, in that order."""
        layers = [layer for _, slot in self._inserted for layer in slot.layers]
        return cast(list[SlotLayer], layers)

    def slots(self) -> dict[str, nn.Module]:
        """The slots by their paths in the U-Net."""
        ours = {id(slot) for slot in [*(s for _, s in self._inserted), *self._replaced]}
        return {path: m for path, m in self.unet.named_modules() if id(m) in ours}

    def new_parameters(self) -> list[nn.Parameter]:
        """What stage 1 trains: new modules, taken-over self-attentions, frame positions."""
        return list(self.learning_rate_factors())

    def learning_rate_factors(self) -> dict[nn.Parameter, float]:
        """Each of `new_parameters` with its learning-rate factor: zero gates 10, others 1."""
        owners: list[nn.Module] = [slot for _, slot in self._inserted]
        owners += self._replaced
        owners += [self.positions] if self.positions is not None else []
        factors = {parameter: 1.0 for owner in owners for parameter in owner.parameters()}
        gates = [layer.gate for layer in self.layers() if layer.gate is not None]
        factors.update(dict.fromkeys(gates, GATE_LEARNING_RATE))
        return factors

    def parameter_counts(self) -> ParameterCounts:
        """Number of parameters by role."""
        return ParameterCounts(
            total=_count(self.unet),
            slots=sum(_count(slot) for _, slot in self._inserted),
            positions=_count(self.positions) if self.positions is not None else 0,
            replaced=sum(_count(slot) for slot in self._replaced),
        )

    def remove(self) -> None:
        """Makes the U-Net what it was: the same modules, keys, hooks and weights, bit for bit.

        A self-attention (or motion module) that comes back has the weights and `requires_grad`
        that it went with, on the U-Net's present device and in its present dtype and mode; its
        adapters (LoRA) are as they are by now. A second call does nothing.

        Raises:
            UserError: an adapter was added to, or merged into, modules that go, or weights are
                offloaded. The U-Net stays as it is then.
        """
        for away in self._away:
            away.check()
        taken_over = {away.slot: adapters.names(away.original) for away in self._away}
        for slot in [*(slot for _, slot in self._inserted), *self._replaced]:
            added = adapters.names(slot) - taken_over.get(slot, set())
            if added:
                raise UserError(
                    f"the adapter {min(added)!r} was added to modules that go: save it and delete "
                    f"it first, delete_adapters({min(added)!r})"
                )
        for handle in self._handles:
            handle.remove()
        for host, _ in self._inserted:
            if host is not None:
                host._modules.pop("slot", None)
        for away in self._away:
            away.back()
        if self.positions is not None:
            self.unet._modules.pop("frame_positions", None)
        self.positions = None
        self._handles, self._inserted, self._replaced, self._away = [], [], [], []

    def insert(self, place: Place, slot: InsertSlot) -> None:
        """Hangs a slot behind its place's host, or puts it where a motion module stood."""
        host = place.host
        _like(slot, host)
        checkpointing = host if place.owner is None else place.block
        if hasattr(slot, "gradient_checkpointing") and getattr(
            checkpointing, "gradient_checkpointing", False
        ):
            slot.gradient_checkpointing = True
            slot._gradient_checkpointing_func = checkpointing._gradient_checkpointing_func  # type: ignore[assignment]
        if place.owner is not None:
            self._inserted.append((None, slot))
            self._stand_in(place.owner, str(list(place.owner).index(host)), slot, place.block)
            return
        self._inserted.append((host, slot))
        host.slot = slot
        if place.transformer is not None and isinstance(slot, TokenSlot):
            self._handles.append(
                place.transformer.register_forward_pre_hook(slot.note_grid, with_kwargs=True)
            )
        self._handles.append(host.register_forward_hook(slot.after_host))

    def replace(self, host: nn.Module, block: Any, slot: ReplaceSlot) -> None:
        """Puts a slot in place of the block's self-attention; `host` is the block's transformer."""
        _like(slot, block.attn1)
        adapters.share(slot.mechanism, block.attn1)
        self._replaced.append(slot)
        self._stand_in(block, "attn1", slot, slot)
        self._handles.append(host.register_forward_pre_hook(slot.note_grid, with_kwargs=True))

    def _stand_in(self, owner: nn.Module, name: str, slot: nn.Module, beside: nn.Module) -> None:
        original = owner.get_submodule(name)
        self._away.append(_Away(owner, name, slot, original, beside, _form(beside)))
        owner._modules[name] = slot

    def add_positions(self) -> None:
        """Adds frame positions to the U-Net's time embedding."""
        embedding = self.unet.time_embedding
        channels = embedding.linear_2.out_features
        positions = FramePositions(embedding.linear_1.in_features, channels, self.context)
        self.unet.frame_positions = self.positions = _like(positions, embedding)
        self._handles.append(embedding.register_forward_hook(positions.after_time_embedding))


def inflate(
    unet: nn.Module,
    name: str,
    *,
    options: Mapping[str, Any] | None = None,
    slots: Slots = Slots.attention,
    stack: Stack = Stack.declared,
    positions: bool = True,
    seed: int = 0,
    context: ClipContext | None = None,
) -> Inflation:
    """Puts the variant `name` into `unet`, in place, and returns the handle to it.

    `options` are the variant's own; new weights are drawn from `seed`, the global random state
    is left as it was. `slots` and `stack` concern kind insert only: kind replace takes over every
    self-attention, `none` adds nothing but frame positions. A `UNetMotionModel`'s own motion
    modules make way in any case. Before each forward, `inflation.context.set(frames, motion)` says
    what the images are; another `context` may know it by itself.

    Raises:
        UserError: unknown variant or option, an option that the variant's modules fix, a U-Net
            that is inflated already or has no place for the variant. The U-Net is untouched then,
            as it is after any other error.
    """
    ours = (InsertSlot, ReplaceSlot, FramePositions)
    inflation = Inflation(unet, registry.get(name), context)
    if any(isinstance(module, ours) for module in inflation.unet.modules()):
        raise UserError(f"attn={name}: this U-Net is inflated already; remove that first")
    options = dict(options or {})
    own = motion_modules(unet)
    try:
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(seed)  # torch.manual_seed would seed CUDA too
            if inflation.entry.kind is registry.Kind.insert:
                _insert_all(inflation, options, slots, stack)
            else:
                _replace_all(inflation, options)
            for place in own:
                if place.owner is not None and place.host in place.owner:  # no mechanism came
                    inflation.insert(place, _slot_of(inflation, place, []))
            if positions:
                inflation.add_positions()
    except BaseException:
        inflation.remove()
        raise
    return inflation


def _insert_all(
    inflation: Inflation, options: Mapping[str, Any], slots: Slots, stack: Stack
) -> None:
    entry = inflation.entry
    fixed = list(entry.modules)
    if stack is Stack.flat:
        fixed = fixed[:1] * len(fixed)
    if not fixed:
        _create(entry, 64, 1, options, {})  # for what it says about its options
    made = []
    for place, heads in places(inflation.unet, entry, slots) if fixed else []:
        parts = [_create(entry, place.channels, heads, options, part) for part in fixed]
        layers = [
            SlotLayer(place.channels, part, entry.last_linear, norm=entry.norm) for part in parts
        ]
        made.append((place, _slot_of(inflation, place, layers)))
    if fixed and not made:
        raise UserError(f"attn={entry.name}: this U-Net has no spatial transformer; try slots=all")
    for place, slot in made:
        inflation.insert(place, slot)


def _slot_of(inflation: Inflation, place: Place, layers: list[SlotLayer]) -> InsertSlot:
    # A transformer checkpoints its blocks only, a ResNet is checkpointed with its hooks; of motion
    # modules only those in the middle are.
    form: type[InsertSlot] = InsertSlot
    checkpoints = place.heads is not None
    if place.transformer is not None:
        form, checkpoints = TokenSlot, False
    elif place.owner is not None:
        middle = getattr(inflation.unet, "mid_block", None)
        form, checkpoints = MotionSlot, place.block is not middle
    return form(layers, inflation.context, inflation.needs, checkpoints=checkpoints)


def _replace_all(inflation: Inflation, options: Mapping[str, Any]) -> None:
    entry = inflation.entry
    fixed = entry.modules[0] if entry.modules else {}
    made = []
    for host in transformers(inflation.unet):
        for block in host.transformer_blocks:
            if block.only_cross_attention:
                raise UserError(f"attn={entry.name}: a block of this U-Net has no self-attention")
            old = block.attn1
            mechanism = _create(entry, old.query_dim, old.heads, options, fixed)
            try:
                mechanism.load_state_dict(adapters.plain_state(old), strict=True)
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


def _form(module: nn.Module) -> tuple[torch.device, torch.dtype]:
    parameter = next(module.parameters())
    return parameter.device, parameter.dtype


def _count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())
