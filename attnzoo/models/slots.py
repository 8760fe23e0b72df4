"""Slots: what carries a mechanism inside a stock 2-D U-Net.

The U-Net sees a clip as a batch of images, `[(b f), c, h, w]`; a mechanism sees `[b, f, h, w, c]`
and returns its delta only. Between the two stands a slot: it knows the layout and the clip's
motion, and, by kind, owns norm, residual and the identity at the start (`InsertSlot`) or leaves
them to the block whose self-attention it stands for (`ReplaceSlot`). Two forms of the first stand
elsewhere: `TokenSlot` inside a spatial transformer, `MotionSlot` for a motion module of diffusers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any, cast

import torch
from einops import rearrange
from torch import Tensor, nn

from attnzoo.errors import UserError

if TYPE_CHECKING:
    from attnzoo.motion import Motion

GATE_LEARNING_RATE = 10.0
"""Learning-rate factor of zero gates: Adam moves one scalar by at most the rate per step."""


class Slots(Enum):
    """Where mechanisms of kind insert sit.

    attention: after every spatial transformer; all: also after the last ResNet of each block
    that has no attention (after each of them where the entry says `every_layer`); inside: after
    every block of a spatial transformer, before its own projection out (Tune-A-Video).
    """

    attention = "attention"
    all = "all"
    inside = "inside"


class Stack(Enum):
    """What the modules of one slot are.

    declared: as the entry declares them (for `stsa` the second is shifted); flat: each like the
    first (the paper's "no shift").
    """

    declared = "declared"
    flat = "flat"


@dataclass(eq=False)
class ClipContext:
    """What all slots of one U-Net know of the clips that pass through it.

    Set before each forward and left until its backward is done: gradient checkpointing runs parts
    of the forward again. One frame a clip, the start value, treats images as images.
    """

    frames: int = 1
    motion: Motion | None = None

    def set(self, frames: int, motion: Motion | None = None) -> None:
        """Says that clips of `frames` frames, moving by `motion`, come next."""
        self.frames, self.motion = frames, motion

    def clips(self, images: int) -> int:
        """How many clips a batch of so many images is; UserError if that is no whole number."""
        if images % self.frames:
            raise UserError(f"{images} images are no whole number of clips of {self.frames} frames")
        return images // self.frames

    def motion_of(self, clips: int) -> Motion | None:
        """The motion for so many clips: repeated whole where they are the same clips again.

        Guidance doubles a batch, first half without and second half with condition.
        """
        motion = self.motion
        if motion is None or motion.batch == clips:
            return motion
        if clips % motion.batch:
            raise UserError(f"motion of {motion.batch} clips does not fit a batch of {clips} clips")
        return motion.repeat(clips // motion.batch)

    def __deepcopy__(self, memo: dict[int, Any]) -> ClipContext:
        """A context of its own for a copied U-Net; motion is only ever read, so it is shared."""
        return type(self)(self.frames, self.motion)


@dataclass(frozen=True)
class Needs:
    """What a variant cannot do without, for the one message that says so."""

    variant: str
    flow: bool = False
    min_frames: int = 1

    def check(self, frames: int, motion: Motion | None) -> None:
        """UserError that names the variant if something is missing."""
        if self.flow and motion is None:
            raise UserError(
                f"attn={self.variant} needs flow and the clip has none: "
                "use data with motion, or a variant that needs no flow"
            )
        if frames < self.min_frames:
            raise UserError(
                f"attn={self.variant} needs clips of at least {self.min_frames} frames, "
                f"not {frames}"
            )


class SlotLayer(nn.Module):
    """One new layer, `x + mechanism(norm(x))`, LayerNorm over c; the identity at the start.

    A mechanism that begins with a norm of its own has `norm=False`, `x + mechanism(x)`. With
    `last_linear` (a path inside the mechanism) that layer's weight and bias are zeroed, as the
    published modules do; without it the delta passes a zero gate per channel.
    """

    def __init__(
        self, channels: int, mechanism: nn.Module, last_linear: str | None, *, norm: bool = True
    ) -> None:
        """Takes `mechanism` over and makes it the identity."""
        super().__init__()
        self.norm: nn.Module = nn.LayerNorm(channels) if norm else nn.Identity()
        self.mechanism = mechanism
        self.gate: nn.Parameter | None = None
        if last_linear is None:
            self.gate = nn.Parameter(torch.zeros(channels))
        else:
            _zero(mechanism, last_linear)

    def forward(self, x: Tensor, motion: Motion | None = None) -> Tensor:
        """`[b, f, h, w, c]` to the same shape and dtype."""
        delta = delta_of(self.mechanism, self.norm(x), motion)
        if self.gate is not None:
            delta = delta * self.gate
        return x + delta.to(x.dtype)


class InsertSlot(nn.Module):
    """New layers behind a spatial transformer or a ResNet, run as that module's forward hook.

    As child `slot` of its host it moves, saves and copies with the U-Net, and every pre-trained
    key stays what it was. `checkpoints` says that the slot may checkpoint itself: diffusers'
    `enable_gradient_checkpointing` switches whatever carries the attribute, and a transformer
    checkpoints its blocks only, whereas a ResNet is checkpointed with its hooks.
    """

    _gradient_checkpointing_func: Callable[..., Tensor]

    def __init__(
        self, layers: Sequence[SlotLayer], context: ClipContext, needs: Needs, *, checkpoints: bool
    ) -> None:
        """A slot of these layers, run in this order."""
        super().__init__()
        self.layers = nn.ModuleList(layers)
        self.context = context
        self.needs = needs
        if checkpoints:
            self.gradient_checkpointing = False

    def forward(self, images: Tensor) -> Tensor:
        """`[(b f), c, h, w]` to the same shape and memory format."""
        # One copy to channels-last for all layers and one back; none where the U-Net runs
        # channels-last itself.
        x = rearrange(images, "(b f) c h w -> b f h w c", f=self._frames(images)).contiguous()
        return rearrange(self.run(x), "b f h w c -> (b f) c h w").contiguous(
            memory_format=_memory_format(images)
        )

    def _frames(self, batch: Tensor) -> int:
        """Frames of a clip; UserError if the batch is no whole number of clips."""
        self.context.clips(batch.shape[0])
        return self.context.frames

    def run(self, x: Tensor) -> Tensor:
        """All layers on `[b, f, h, w, c]`."""
        motion = self.context.motion_of(x.shape[0])
        self.needs.check(self.context.frames, motion)
        again = getattr(self, "gradient_checkpointing", False) and torch.is_grad_enabled()
        for layer in self.layers:
            x = self._gradient_checkpointing_func(layer, x, motion) if again else layer(x, motion)
        return x

    def after_host(self, host: nn.Module, args: Any, output: Any) -> Any:
        """Forward hook of the host: passes on its output, inflated.

        A ResNet gives a tensor; a transformer a tuple or an output record, image first.
        """
        if isinstance(output, Tensor):
            return self(output)
        if isinstance(output, tuple):
            return (self(output[0]), *output[1:])
        return type(output)(sample=self(output.sample))


class _Grid:
    """Height and width of the image whose tokens a slot sees; tokens themselves do not show it."""

    grid: tuple[int, int] | None = None

    def note_grid(self, host: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Forward pre-hook of the transformer: keeps the grid of its image `[(b f), c, h, w]`."""
        image = args[0] if args else kwargs["hidden_states"]
        self.grid = (image.shape[-2], image.shape[-1])

    def height(self, tokens: int) -> int:
        """Rows of the grid; RuntimeError unless so many tokens fill it."""
        if self.grid is None or self.grid[0] * self.grid[1] != tokens:
            raise RuntimeError(f"{tokens} tokens do not fill the grid {self.grid} of this forward")
        return self.grid[0]


class TokenSlot(_Grid, InsertSlot):
    """New layers behind a block inside a spatial transformer, which passes on tokens."""

    def forward(self, tokens: Tensor) -> Tensor:
        """`[(b f), (h w), c]` to the same shape; RuntimeError as `ReplaceSlot.forward`."""
        f, h = self._frames(tokens), self.height(tokens.shape[1])
        x = rearrange(tokens, "(b f) (h w) c -> b f h w c", f=f, h=h)
        return rearrange(self.run(x), "b f h w c -> (b f) (h w) c")


class MotionSlot(InsertSlot):
    """New layers in the place of a motion module of diffusers' `UNetMotionModel`; none: nothing."""

    def forward(
        self,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor | None = None,
        timestep: Tensor | None = None,
        class_labels: Tensor | None = None,
        num_frames: int = 1,
        cross_attention_kwargs: dict[str, Any] | None = None,
    ) -> Tensor:
        """`[(b f), c, h, w]` to the same shape, called as `AnimateDiffTransformer3D` is.

        Raises:
            UserError: the model runs clips of another length than the modules were put in for.
        """
        if num_frames != self.context.frames:
            raise UserError(
                f"attn={self.needs.variant} is attached for clips of {self.context.frames} frames "
                f"and the model runs clips of {num_frames}"
            )
        return super().forward(hidden_states) if len(self.layers) else hidden_states


class ReplaceSlot(_Grid, nn.Module):
    """Stands where a transformer block's self-attention stood, and takes over its weights.

    The slot's children and parameters are the mechanism's own, under the same names: the keys
    `attn1.to_q.weight`, `attn1.to_out.0.bias` stay, and what swaps a child here (LoRA) swaps it
    there. Norm and residual are the block's. The grid is noted by a pre-hook on the transformer,
    because tokens do not show it.
    """

    mechanism: nn.Module

    def __init__(self, mechanism: nn.Module, context: ClipContext, needs: Needs) -> None:
        """Shares everything that `mechanism` has registered."""
        super().__init__()
        # Past nn.Module.__setattr__: as a registered child it would add a level to every key.
        self.__dict__["mechanism"] = mechanism
        for shared in ("_modules", "_parameters", "_buffers", "_non_persistent_buffers_set"):
            self.__dict__[shared] = mechanism.__dict__[shared]
        self.context = context
        self.needs = needs

    def forward(
        self,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor | None = None,
        attention_mask: Tensor | None = None,
        **cross_attention_kwargs: object,
    ) -> Tensor:
        """`[(b f), (h w), c]`, normed, to the delta of the same shape, as diffusers' Attention.

        A transformer block gives `cross_attention_kwargs` to both of its attentions, though they
        concern the other one.

        Raises:
            ValueError: with an attention mask or encoder states; a clip's frames see all of it.
            RuntimeError: if the grid is not that of the tokens (a checkpointed forward whose
                backward came after another forward with a different grid).
        """
        if attention_mask is not None or encoder_hidden_states is not None:
            raise ValueError(f"{self.needs.variant} takes neither attention mask nor text states")
        f, h = self.context.frames, self.height(hidden_states.shape[1])
        motion = self.context.motion_of(self.context.clips(hidden_states.shape[0]))
        self.needs.check(f, motion)
        x = rearrange(hidden_states, "(b f) (h w) c -> b f h w c", f=f, h=h)
        delta = delta_of(self.mechanism, x, motion)
        return rearrange(delta, "b f h w c -> (b f) (h w) c")

    def train(self, mode: bool = True) -> ReplaceSlot:
        """Sets the mode of slot, mechanism and children."""
        self.mechanism.training = mode
        return super().train(mode)


def delta_of(mechanism: nn.Module, x: Tensor, motion: Motion | None) -> Tensor:
    """What a mechanism makes of `x`; UserError where that cannot be added to it.

    One channel would be added to all, and a change of `x` itself is none of the delta: numbers
    would come out of either.
    """
    if torch.compiler.is_compiling():
        return cast(Tensor, mechanism(x, flow=motion))
    version = None if x.is_inference() else x._version
    delta: object = mechanism(x, flow=motion)
    wrong = ""
    if not isinstance(delta, Tensor):
        wrong = f"gives {type(delta).__name__}, and must give one tensor"
    elif delta.shape != x.shape:
        wrong = f"gives {list(delta.shape)} for {list(x.shape)}, and must keep the shape"
    elif version is not None and x._version != version:
        wrong = "changes its input in place, and must work on a copy"
    if wrong or not isinstance(delta, Tensor):
        raise UserError(
            f"the mechanism {type(mechanism).__name__} {wrong}; `python -m attnzoo check NAME` "
            "tries more of the kind"
        )
    return delta


def _zero(mechanism: nn.Module, last_linear: str) -> None:
    try:
        layer = mechanism.get_submodule(last_linear)
    except AttributeError as error:
        raise UserError(
            f"{type(mechanism).__name__} declares last_linear={last_linear!r} and has no such layer"
        ) from error
    for parameter in layer.parameters(recurse=False):
        nn.init.zeros_(parameter)


def _memory_format(images: Tensor) -> torch.memory_format:
    if not images.is_contiguous() and images.is_contiguous(memory_format=torch.channels_last):
        return torch.channels_last
    return torch.contiguous_format
