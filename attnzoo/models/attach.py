"""A mechanism in anybody's model: `attach` and `detach`."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

import torch
from torch import nn

from attnzoo import registry
from attnzoo._options import converted
from attnzoo.errors import UserError
from attnzoo.models.inflate import Inflation, inflate
from attnzoo.models.places import blocks
from attnzoo.models.slots import ClipContext, Slots, Stack
from attnzoo.motion import Motion, current

_KEPT_AS = "_attnzoo"
"""The attribute of a model that holds its `Attachment`, which is copied and pickled with it."""


@dataclass(frozen=True, eq=False)
class Attachment:
    """What `attach` put into a model, and all that is needed to put it into another one.

    `options` are all free options of the variant, those that were not given with their defaults,
    in the form in which JSON and a command line have them.
    """

    variant: str
    options: Mapping[str, Any]
    frames: int
    slots: Slots
    stack: Stack
    inflation: Inflation

    def parameters(self) -> list[nn.Parameter]:
        """The parameters to train: new modules, or self-attentions that were taken over."""
        return self.inflation.new_parameters()

    def modules(self) -> list[nn.Module]:
        """The mechanisms, in the order in which an image meets them."""
        return self.inflation.modules()


class AttachedContext(ClipContext):
    """Clips of a fixed length that follow whatever `attnzoo.motion` says.

    The motion of a forward is kept until the next one: a checkpointed layer runs again in its
    backward, when the `with` is over or, on a GPU, in another thread.
    """

    def motion_of(self, clips: int) -> Motion | None:
        """The active motion for so many clips; see `ClipContext.motion_of`."""
        # TorchDynamo cannot trace the question, and makes such a layer run again inside its graph.
        if torch.compiler.is_compiling() or torch._C._current_graph_task_id() == -1:
            self.motion = current()
        return super().motion_of(clips)


def attach(
    model: Any,
    name: str,
    *,
    frames: int,
    slots: Slots | str = Slots.all,
    stack: Stack | str = Stack.declared,
    seed: int = 0,
    **options: Any,
) -> Attachment:
    """Puts the variant `name` into a model of diffusers, in place; `detach` takes it out again.

    The model is then called as always, with the frames of clips in the batch axis: a batch of
    b * frames images `[(b f), c, h, w]` is b clips, so guidance's doubled batch is twice as many;
    height and width may be any, and different from call to call. With kind insert the model gives
    at first what it gave before. `with attnzoo.motion(m):` says how the clips move. Frames have no
    positions but those of the variant. Adapters (LoRA), compilation, checkpointing and offloading
    of whole models may come before or after; offloading layer by layer has to come after.

    Args:
        model: a `UNet2DConditionModel`, a `ControlNetModel`, a `UNetMotionModel`, whose own motion
            modules make way (its call has the frames in an axis of their own, and must have
            `frames` of them), or a pipeline, whose U-Net is meant.
        name: a variant; `attnzoo.list_variants()`.
        frames: frames of a clip.
        slots: where modules of kind insert sit: `all`, `attention` or `inside`, see `Slots`.
        stack: what the modules of a slot are: `declared` or `flat`, see `Stack`.
        seed: of the new weights; the global random state is left as it was.
        options: the variant's own; `attnzoo.show(name)`.

    Raises:
        UserError: the model is none of these, carries modules already, or has no place for the
            variant; unknown variant or option. After any error the model is as it was.
    """
    unet = unet_of(model)
    present = attachment_of(unet)
    if present is not None:
        raise UserError(
            f"this {type(unet).__name__} carries attn={present.variant} already; "
            "attnzoo.detach takes it out"
        )
    if not isinstance(frames, int) or isinstance(frames, bool) or frames < 1:
        raise UserError(f"frames={frames!r} must be a positive integer")
    _refuse_offloaded(unet)
    where, what = converted("slots", Slots, slots), converted("stack", Stack, stack)
    entry = registry.get(name)
    inflation = inflate(
        unet,
        name,
        options=options,
        slots=where,
        stack=what,
        positions=False,
        seed=seed,
        context=AttachedContext(frames),
    )
    given = {o.name: options.get(o.name, o.default) for o in entry.free}
    made = Attachment(
        variant=name,
        options={o.name: plain(converted(o.name, o.annotation, given[o.name])) for o in entry.free},
        frames=frames,
        slots=where,
        stack=what,
        inflation=inflation,
    )
    unet.__dict__[_KEPT_AS] = made
    _forget_compiled()
    return made


def detach(model: Any) -> None:
    """Makes a model what it was before `attach`, bit for bit: modules, keys, weights, hooks.

    Self-attentions and motion modules come back with the weights and `requires_grad` that they
    went with; `attnzoo.save_modules` keeps what was trained. Other parameters are not touched, nor
    are adapters (LoRA) that were there before.

    Raises:
        UserError: nothing is attached; an adapter was added to, or merged into, modules that would
            go with it; weights are offloaded layer by layer. The model stays as it is then.
    """
    unet = unet_of(model)
    present = attachment_of(unet)
    if present is None:
        raise UserError(f"nothing is attached to this {type(unet).__name__}")
    present.inflation.remove()
    del unet.__dict__[_KEPT_AS]
    _forget_compiled()


def attachment_of(model: Any) -> Attachment | None:
    """What is attached to a model or to a pipeline's U-Net, None where nothing is."""
    found: Attachment | None = unet_of(model).__dict__.get(_KEPT_AS)
    return found


def unet_of(model: Any) -> Any:
    """The module that carries slots: `model` itself, or a pipeline's U-Net.

    Raises:
        UserError: it is nothing that can carry them.
    """
    unet = model if isinstance(model, nn.Module) else getattr(model, "unet", None)
    unet = getattr(unet, "_orig_mod", unet)  # what torch.compile was given
    if not isinstance(unet, nn.Module) or not hasattr(unet, "down_blocks"):
        raise UserError(
            f"a {type(model).__name__} has no U-Net of 2-D blocks; right are UNet2DConditionModel, "
            "ControlNetModel, UNetMotionModel and pipelines that have one as `unet`"
        )
    return unet


def plain(value: Any) -> Any:
    """An option's value as JSON has it: an Enum by its member's name, a tuple as a list."""
    if isinstance(value, Enum):
        return value.name
    return [plain(item) for item in value] if isinstance(value, tuple) else value


def _forget_compiled() -> None:
    """Makes TorchDynamo trace again; by default its guards do not see that hooks have come."""
    if "torch._dynamo" in sys.modules:
        torch.compiler.reset()


def _refuse_offloaded(unet: nn.Module) -> None:
    """A new module among layers whose weights accelerate keeps elsewhere would have none."""
    for block in blocks(unet):
        for module in block.modules():
            own = next(module.parameters(recurse=False), None)
            if hasattr(module, "_hf_hook") and own is not None and own.is_meta:
                raise UserError(
                    "the model is offloaded layer by layer: "
                    "attach first, then enable_sequential_cpu_offload"
                )
