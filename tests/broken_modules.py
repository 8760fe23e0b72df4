"""Mechanisms with one fault each, and which check must name it.

Each is one of two sound ones with something changed that somebody has done, or might.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from attnzoo.attention import Mechanism, attention
from attnzoo.attention.crossframe_first import CrossFrameFirst
from attnzoo.errors import UserError
from attnzoo.registry import Kind

ABOUT: dict[str, Any] = {
    "title": "t", "source": "s", "kind": Kind.insert, "last_linear": "to_out",
    "cost": "4*b*f**2*h*w*c",
}  # fmt: skip
REPLACE: dict[str, Any] = {
    "kind": Kind.replace, "last_linear": "to_out.0", "cost": "4*b*f*(h*w)**2*c*(1+include_self)",
}  # fmt: skip


class Sound(Mechanism):
    """Attention to all frames at one's own place, unless `backwards` to those up to one's own."""

    def __init__(self, channels: int, heads: int, *, backwards: bool = False) -> None:
        super().__init__(channels, heads)
        self.backwards = backwards
        self.to_qkv = nn.Linear(channels, 3 * channels, bias=False)
        self.to_out = nn.Linear(channels, channels)

    def forward(self, x: Tensor, *, flow: object = None) -> Tensor:
        self.check(x)
        return self.delta(x)

    def delta(self, x: Tensor) -> Tensor:
        b, f, h, w, c = x.shape
        tokens = x.permute(0, 2, 3, 1, 4).reshape(b * h * w, f, c)
        q, k, v = self.to_qkv(tokens).unflatten(-1, (3, self.heads, -1)).unbind(2)
        bias = None
        if self.backwards:
            i = torch.arange(f)
            bias = torch.zeros(f, f).masked_fill(i > i[:, None], -torch.inf)
            bias = bias.expand(self.heads, f, f)
        out = self.to_out(attention(q, k, v, bias).flatten(2))
        return out.reshape(b, h, w, f, c).permute(0, 3, 1, 2, 4)

    def sees(self, query: tuple[int, int, int], shape: tuple[int, int, int]) -> Tensor:
        mask = torch.zeros(shape, dtype=torch.bool)
        mask[: query[0] + 1 if self.backwards else None, query[1], query[2]] = True
        return mask


class TableForEightFrames(Sound):
    def __init__(self, channels: int, heads: int) -> None:
        super().__init__(channels, heads)
        self.table = nn.Parameter(torch.randn(8, channels))

    def delta(self, x: Tensor) -> Tensor:
        return super().delta(x + self.table[: x.shape[1], None, None])


class DoesNotLookAtItsInput(Sound):
    def forward(self, x: Tensor, *, flow: object = None) -> Tensor:
        return self.delta(x)


class ClampsItsInput(Sound):
    def delta(self, x: Tensor) -> Tensor:
        x.data.clamp_(max=2)
        return super().delta(x)


def forgiving(init: Callable[..., None]) -> Callable[..., None]:
    @functools.wraps(init)
    def wrapped(self: object, channels: int, heads: int, **options: Any) -> None:
        init(self, channels, heads, **{k: v for k, v in options.items() if k == "backwards"})

    return wrapped


class SwallowsOptions(Sound):
    __init__ = forgiving(Sound.__init__)


class TakesAnyHeads(Sound):
    def __init__(self, channels: int, heads: int) -> None:
        nn.Module.__init__(self)
        self.channels, self.heads, self.backwards = channels, heads or 1, False
        self.to_qkv = nn.Linear(channels, 3 * channels, bias=False)
        self.to_out = nn.Linear(channels, channels)


class LeaksBetweenClips(Sound):
    def delta(self, x: Tensor) -> Tensor:
        return super().delta(x + 0.1 * x.roll(1, 0))


class SeesTheFuture(Sound):
    """Says that it looks back only."""

    def sees(self, query: tuple[int, int, int], shape: tuple[int, int, int]) -> Tensor:
        return super().sees(query, shape) & (torch.arange(shape[0]) <= query[0])[:, None, None]


class ClaimsTooMuch(Sound):
    def sees(self, query: tuple[int, int, int], shape: tuple[int, int, int]) -> Tensor:
        return torch.ones(shape, dtype=torch.bool)


def unscaled(module: Sound, x: Tensor, flow: object = None) -> Tensor:
    """A reference that forgets the scores' division by the root of the head's width."""
    b, f, h, w, c = x.shape
    tokens = x.permute(0, 2, 3, 1, 4).reshape(b, h, w, f, c)
    q, k, v = module.to_qkv(tokens).chunk(3, -1)
    heads = (t.unflatten(-1, (module.heads, -1)).transpose(-2, -3) for t in (q, k, v))
    q, k, v = heads
    scores = q @ k.transpose(-1, -2)
    if module.backwards:
        i = torch.arange(f)
        scores = scores.masked_fill(i > i[:, None], -torch.inf)
    out = (scores.softmax(-1) @ v).transpose(-2, -3).flatten(-2)
    return module.to_out(out).permute(0, 3, 1, 2, 4)


class DropsOut(Sound):
    def delta(self, x: Tensor) -> Tensor:
        return nn.functional.dropout(super().delta(x), 0.1, self.training)


class KeepsAListOfNumbers(Sound):
    def __init__(self, channels: int, heads: int) -> None:
        super().__init__(channels, heads)
        self.scales = torch.rand(channels).tolist()

    def delta(self, x: Tensor) -> Tensor:
        return super().delta(x * x.new_tensor(self.scales))


class ConstantInFloat32(Sound):
    def delta(self, x: Tensor) -> Tensor:
        return super().delta(x) * torch.ones(self.channels)


class AddsIntoABuffer(Sound):
    def delta(self, x: Tensor) -> Tensor:
        delta = super().delta(x)
        return torch.zeros_like(x).index_add(0, torch.arange(len(x)), delta)


class UnusedParameter(Sound):
    def __init__(self, channels: int, heads: int) -> None:
        super().__init__(channels, heads)
        self.unused = nn.Parameter(torch.ones(channels))


class NormWithoutEpsilon(Sound):
    def delta(self, x: Tensor) -> Tensor:
        norm = x.square().sum(-1, keepdim=True).sqrt()
        return super().delta(x / norm.where(norm > 0, 1.0))


class CountsItsCalls(Sound):
    def __init__(self, channels: int, heads: int) -> None:
        super().__init__(channels, heads)
        self.calls = 0

    def delta(self, x: Tensor) -> Tensor:
        self.calls += 1
        return super().delta(x * (1 + self.calls % 2))


class KeepsATable(Sound):
    def __init__(self, channels: int, heads: int) -> None:
        super().__init__(channels, heads)
        self.kept: dict[int, Tensor] = {}

    def delta(self, x: Tensor) -> Tensor:
        f = x.shape[1]
        if f not in self.kept:
            self.kept[f] = torch.linspace(1, 2, f, dtype=x.dtype).view(f, 1, 1, 1)
        return super().delta(x * self.kept[f].to(x.dtype))


class MovesWithoutSayingSo(Sound):
    def forward(self, x: Tensor, *, flow: Any = None) -> Tensor:
        delta = super().forward(x)
        if flow is not None:
            reference = [0] * x.shape[1]
            delta = delta * (1 + flow.to(reference, *x.shape[2:4]).square().mean().to(x.dtype))
        return delta


class NarrowWithoutFlow(Sound):
    """Follows motion; says without it that a token sees its own frame alone."""

    def forward(self, x: Tensor, *, flow: Any = None) -> Tensor:
        if flow is None:
            raise UserError("mine needs the clip's motion")
        moved = flow.to([0] * x.shape[1], *x.shape[2:4]).square().mean((1, 2, 3, 4))
        return super().forward(x) * (1 + moved.to(x.dtype).view(-1, 1, 1, 1, 1))

    def sees(
        self, query: tuple[int, int, int], shape: tuple[int, int, int], *, flow: object = None
    ) -> Tensor:
        mask = super().sees(query, shape)
        own = (torch.arange(shape[0]) == query[0])[:, None, None]
        return mask & own if flow is None else mask


class NeedsThreeFrames(Sound):
    def delta(self, x: Tensor) -> Tensor:
        if x.shape[1] < 3:
            raise ValueError(f"curvature needs three frames, not {x.shape[1]}")
        return super().delta(x)


class BreaksItsGraph(Sound):
    def delta(self, x: Tensor) -> Tensor:
        return super().delta(x.clamp(-100, 100) if x.abs().max() > 100 else x)


class OtherwiseCompiled(Sound):
    def delta(self, x: Tensor) -> Tensor:
        return super().delta(x) * (2 if torch.compiler.is_compiling() else 1)


class OtherwiseExported(Sound):
    def delta(self, x: Tensor) -> Tensor:
        return super().delta(x) * (2 if torch.compiler.is_exporting() else 1)


class AddsTheResidual(Sound):
    """A whole layer, though the residual is the slot's."""

    def delta(self, x: Tensor) -> Tensor:
        return x + super().delta(x)

    def sees(self, query: tuple[int, int, int], shape: tuple[int, int, int]) -> Tensor:
        return super().sees(query, shape)


class PowersOfTwoOnly(Sound):
    def __init__(self, channels: int, heads: int) -> None:
        super().__init__(channels, heads)
        if channels & (channels - 1):
            raise UserError(f"channels={channels} must be a power of two")


class MakesItsParameterAnew(Sound):
    def delta(self, x: Tensor) -> Tensor:
        for layer in (self.to_qkv, self.to_out):
            layer.weight = nn.Parameter(layer.weight.detach())
        self.to_out.bias = nn.Parameter(self.to_out.bias.detach())
        return super().delta(x)


class OtherNames(CrossFrameFirst):
    def __init__(self, channels: int, heads: int, *, include_self: bool = False) -> None:
        super().__init__(channels, heads, include_self=include_self)
        self.to_out = nn.ModuleList([nn.Linear(channels, channels, bias=False)])


@dataclass(frozen=True)
class Broken:
    """A class, what it declares, the check that must name its fault, and with which words.

    `others` are the checks that fail too; those that compile are left out of this.
    """

    check: str
    cls: type
    words: str
    others: tuple[str, ...] = ()
    about: dict[str, Any] = field(default_factory=dict)


NOISY = ("shapes", "batch_independence", "state_dict", "dtypes", "autocast", "flow")
"""Whatever compares two calls fails where they differ."""

BROKEN = [
    Broken("shapes", TableForEightFrames, "no error; came RuntimeError"),
    Broken("wrong_shapes", DoesNotLookAtItsInput, "a ValueError for x of shape"),
    Broken("input_untouched", ClampsItsInput, "has changed in place"),
    Broken("unknown_options", SwallowsOptions, "the class to refuse the option 'no_such_option'"),
    Broken("wrong_heads", TakesAnyHeads, "a UserError for channels=10, heads=4"),
    Broken("batch_independence", LeaksBetweenClips, "delta to be that of the clip alone"),
    Broken("receptive_field", SeesTheFuture, "no token outside sees; came a gradient at (1,0,0)"),
    Broken("receptive_field", ClaimsTooMuch, "no gradient at (0,0,1), (0,0,2), (0,0,3) and 52"),
    Broken(
        "receptive_field",
        NarrowWithoutFlow,
        "outside sees without flow; came a gradient at (1,0,0)",
        about={"needs_flow": True},
    ),
    Broken("reference", Sound, "the reference's delta", about={"reference": unscaled}),
    Broken(
        "determinism",
        DropsOut,
        "the same delta at a second call; came another, in training",
        (*NOISY, "checkpointing"),
    ),
    Broken("state_dict", KeepsAListOfNumbers, "neither parameter nor buffer"),
    Broken("dtypes", ConstantInFloat32, "torch.bfloat16 for torch.bfloat16; came torch.float32"),
    Broken("autocast", AddsIntoABuffer, "no error; came RuntimeError"),
    Broken("gradients", UnusedParameter, "a gradient of parameter unused; came none"),
    Broken("gradients", NormWithoutEpsilon, "a finite gradient of x for a blank clip; came NaN"),
    Broken("checkpointing", CountsItsCalls, "with checkpointing", ("determinism", *NOISY)),
    Broken("inference_mode", KeepsATable, "Inference tensors cannot be saved for backward"),
    Broken("flow", Sound, "the same delta for two motions", about={"needs_flow": True}),
    Broken("flow", MovesWithoutSayingSo, "no difference by motion (needs_flow=False); came one"),
    Broken("min_frames", NeedsThreeFrames, "three frames, not 2", ("shapes",), {"min_frames": 2}),
    Broken(
        "last_linear",
        Sound,
        "a layer at last_linear='to_output'; came no such layer",
        ("identity_at_insertion", "unet_step"),
        about={"last_linear": "to_output"},
    ),
    Broken(
        "cost",
        Sound,
        "at most 9,600 FLOPs at b=2, f=5, h=3, w=4, c=8",
        about={"cost": "2*b*f**2*h*w*c"},
    ),
    Broken(
        "cost",
        Sound,
        "expected 524,288 FLOPs at b=1, f=8, h=8, w=16, c=8",
        about={"cost": "8*b*f**2*h*w*c"},
    ),
    Broken(
        "compile",
        OtherwiseCompiled,
        "the same delta compiled",
        ("compile_fullgraph", "export"),
    ),
    Broken("compile_fullgraph", BreaksItsGraph, "a forward in one graph", ("export",)),
    Broken("export", OtherwiseExported, "the same delta exported"),
    Broken(
        "identity_at_insertion",
        AddsTheResidual,
        "own output right after insertion",
        ("last_linear",),
    ),
    Broken(
        "takes_over_weights",
        OtherNames,
        "to_out.0.bias of a self-attention",
        ("unet_step",),
        REPLACE,
    ),
    Broken(
        "unet_step",
        PowersOfTwoOnly,
        "channels=24 must be a power of two",
        ("identity_at_insertion",),
    ),
    Broken(
        "unet_step",
        MakesItsParameterAnew,
        "to learn in a step; came no weight of it",
        ("checkpointing",),
    ),
]
