"""Cross-frame attention: queries of each frame, keys and values of other frames, whole.

The four entries differ only in the frames that a query frame looks at; they take over the
U-Net's self-attention under diffusers' names, so that its weights load as they are.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from attnzoo.attention._backend import Backend, attention
from attnzoo.attention._mechanism import Mechanism, Query, Shape

if TYPE_CHECKING:
    from attnzoo.motion import Motion


class CrossFrame(Mechanism):
    """The four projections, named and shaped as diffusers' `Attention` has them."""

    def __init__(self, channels: int, heads: int, *, include_self: bool, backend: Backend) -> None:
        """No bias but in `to_out.0`."""
        super().__init__(channels, heads, backend=backend)
        self.include_self = include_self
        self.to_q = nn.Linear(channels, channels, bias=False)
        self.to_k = nn.Linear(channels, channels, bias=False)
        self.to_v = nn.Linear(channels, channels, bias=False)
        self.to_out = nn.ModuleList([nn.Linear(channels, channels), nn.Dropout(0.0)])

    def attend(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """Projected `[n, m, c]`, `[n, l, c]`, `[n, l, c]` to the delta `[n, m, c]`."""
        q, k, v = (t.unflatten(-1, (self.heads, -1)) for t in (q, k, v))
        delta = attention(q, k, v, backend=self.backend).flatten(-2)
        for layer in self.to_out:
            delta = layer(delta)
        return delta


class OneReference(CrossFrame):
    """Keys and values of one reference frame per query frame, or beside it the frame itself.

    Where all frames share the reference, its keys and values are made once, and the tokens of all
    frames attend to them together. With `include_self` and a reference that is the frame itself,
    its keys stand there twice, which leaves the softmax's mean of values what it was.
    """

    @abstractmethod
    def references(self, frames: int) -> list[int]:
        """The reference frame of each of so many query frames."""

    def forward(self, x: Tensor, *, flow: Motion | Tensor | None = None) -> Tensor:
        """`[b, f, h, w, c]` to the same shape."""
        self.check(x)
        frames = x.flatten(2, 3)
        references = self.references(frames.shape[1])
        first, last = min(references), max(references)
        if first == last and not self.include_self:
            shared = frames[:, first]
            q, k, v = self.to_q(frames.flatten(1, 2)), self.to_k(shared), self.to_v(shared)
        else:
            if self.include_self:
                first, last = 0, len(references) - 1
            # Frames that nobody looks at are not projected.
            needed = frames[:, first : last + 1]
            indices = [reference - first for reference in references]
            q = self.to_q(frames).flatten(0, 1)
            k = self._per_query_frame(self.to_k(needed), indices)
            v = self._per_query_frame(self.to_v(needed), indices)
        return self.attend(q, k, v).reshape(x.shape)

    def _per_query_frame(self, projected: Tensor, indices: list[int]) -> Tensor:
        """`[b, needed, n, c]` to the sequence of each query frame, `[b f, n or 2n, c]`."""
        each = projected.unbind(1)
        sequences = torch.stack([each[index] for index in indices], dim=1)
        if self.include_self:
            sequences = torch.cat([sequences, projected], dim=2)
        return sequences.flatten(0, 1)

    def sees(self, query: Query, shape: Shape) -> Tensor:
        """The reference frame, with `include_self` the query's own, and the query itself."""
        mask = torch.zeros(shape, dtype=torch.bool)
        mask[self.references(shape[0])[query[0]]] = True
        if self.include_self:
            mask[query[0]] = True
        mask[query] = True
        return mask
