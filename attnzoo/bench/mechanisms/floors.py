"""Limits and floors: what no implementation of a mechanism can leave out."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention

from attnzoo.bench.mechanisms.setting import Setting

Run = Callable[[], object]


class Projections:
    """The limit: the qkv and the out product of a module, alone, by its own layers."""

    def __init__(self, to_qkv: nn.Linear, to_out: nn.Linear, x: Tensor) -> None:
        """`x` is the module's input, of any shape with channels last."""
        self._layers = to_qkv, to_out
        self._x = x.flatten(0, -2)
        self._gradient = torch.ones_like(self._x)
        self._gradients = torch.ones_like(self._x).repeat(1, 3)
        with torch.no_grad():
            self._qkv, self._out = to_qkv(self._x), to_out(self._x)

    def forward(self) -> None:
        """Both products, each into memory that is asked for anew, as a module has it."""
        with torch.no_grad():
            for layer in self._layers:
                layer(self._x)

    def kept(self) -> None:
        """Both products into memory that is there already: what new memory costs is left out."""
        with torch.no_grad():
            for layer, out in zip(self._layers, (self._qkv, self._out), strict=True):
                torch.mm(self._x, layer.weight.t(), out=out)

    def both(self) -> None:
        """Both products and their backward, to input and weights."""
        gradients = (self._gradients, self._gradient)
        for layer, gradient in zip(self._layers, gradients, strict=True):
            layer(self._x.detach().requires_grad_()).backward(gradient)
            layer.zero_grad(set_to_none=True)


class Floor:
    """Projections, and fused attention over sequences that lie ready: nothing is copied."""

    def __init__(self, limit: Projections, sequences: Counter[int], setting: Setting) -> None:
        """sequences: how many there are of each length; those of one length are one call."""
        self._limit = limit
        d = setting.channels // setting.heads
        generator = torch.Generator().manual_seed(0)
        self._ready: list[Tensor] = []
        for length, count in sorted(sequences.items()):
            qkv = torch.randn(count, length, 3, setting.heads, d, generator=generator)
            self._ready.append(qkv.to(setting.device, setting.torch_dtype).permute(2, 0, 3, 1, 4))
        self._gradients = [torch.ones_like(qkv[0]) for qkv in self._ready]

    def forward(self) -> None:
        """Without gradients."""
        self._limit.forward()
        with torch.no_grad():
            for qkv in self._ready:
                scaled_dot_product_attention(*qkv)

    def both(self) -> None:
        """With the backward of products and attention."""
        self._limit.both()
        for qkv, gradient in zip(self._ready, self._gradients, strict=True):
            parts = [t.detach().requires_grad_() for t in qkv]
            scaled_dot_product_attention(*parts).backward(gradient)


def window_lengths(shape: Sequence[int], size: Sequence[int], shift: bool) -> Counter[int]:
    """How many windows of each number of tokens there are in a clip `(f, h, w)`."""
    axes = [_lengths(n, s, shift) for n, s in zip(shape, size, strict=True)]
    return Counter(a * b * c for a, b, c in itertools.product(*axes))


def _lengths(n: int, size: int, shift: bool) -> list[int]:
    if n <= size:
        return [n]
    first = size // 2 if shift else 0
    whole, last = divmod(n - first, size)
    return [length for length in (first, *[size] * whole, last) if length]


INPUT, QKV, ATTENDED = 1, 3, 1
"""Sizes of what a module works on, in inputs."""

MEMORY_UNIT = INPUT + QKV + ATTENDED

MEMORY_FLOORS = {
    "autograd": (INPUT + QKV + ATTENDED + ATTENDED + QKV) / MEMORY_UNIT,
    "own backward": (INPUT + QKV + ATTENDED + INPUT + INPUT) / MEMORY_UNIT,
}
"""Least peak of forward and backward, over input, qkv and attention output.

autograd: when attention's backward ends there are the input, qkv and the attention's output, kept
for it and for the products' weights, the gradient of that output, and the gradients of q, k and v:
(1 + 3 + 1 + 1 + 3) / 5 = 1.8. own backward: in pieces, none of which counts, it reads the
output's gradient and writes the input's beside what was kept: (1 + 3 + 1 + 1 + 1) / 5 = 1.4. Less
is possible only where qkv is computed a second time.
"""
