"""my_attention: temporal attention within a window of frames.

A start to be changed. It is complete: `python -m attnzoo check my_attention.py` passes and
`python -m attnzoo.run +plugins=[my_attention.py] attn=my_attention` trains it.
"""

from __future__ import annotations

import torch
from einops import rearrange
from torch import Tensor, nn

from attnzoo import Kind, Motion, UserError, register
from attnzoo.attention import Mechanism, Query, Shape, attention


# What is declared here is held against what the module does; `attnzoo check` says where they
# differ. Kind.insert: a new layer behind the U-Net's own, as if it were not there at first. The
# slot brings norm and residual, and sets the weights of `last_linear` to zero. `cost`: FLOPs of
# scores and values, 2 per multiply-add, in b, f, h, w, c and the options.
@register(
    "my_attention",
    title="Temporal attention within a window of frames",
    source="where it is published",
    kind=Kind.insert,
    last_linear="to_out",
    cost="4*b*f**2*h*w*c",  # the window is a mask, so all pairs of frames are computed
)
class MyAttention(Mechanism):
    """A token attends to the tokens at its own place in the `width` frames around its own.

    A learned bias for each displacement and head is added to the scores.
    """

    # Keyword-only arguments are the options: `attn.width=3` on the command line, with type and
    # default from here. Right are bool, int, float, str, an Enum, and tuples of those.
    def __init__(self, channels: int, heads: int, *, width: int = 5) -> None:
        """`width`: an odd number of frames, the token's own in the middle."""
        super().__init__(channels, heads)
        if width < 1 or width % 2 == 0:
            raise UserError(f"width={width} must be a positive odd number")
        self.reach = width // 2
        self.to_qkv = nn.Linear(channels, 3 * channels, bias=False)
        self.to_out = nn.Linear(channels, channels)
        self.bias = nn.Parameter(torch.zeros(heads, width))

    # b clips, f frames, h rows, w columns, c channels; all sizes must do. The delta is returned,
    # without x. With needs_flow=True above, `flow` is the clip's motion.
    def forward(self, x: Tensor, *, flow: Motion | Tensor | None = None) -> Tensor:
        """`[b, f, h, w, c]` to the same shape."""
        self.check(x)
        _, f, h, w, _ = x.shape
        qkv = rearrange(self.to_qkv(x), "b f h w (t n d) -> t (b h w) f n d", t=3, n=self.heads)
        q, k, v = qkv
        frame = torch.arange(f, device=x.device)
        apart = frame - frame[:, None]
        near = apart.abs() <= self.reach
        bias = self.bias[:, apart.clamp(-self.reach, self.reach) + self.reach]
        out = attention(q, k, v, bias.masked_fill(~near, -torch.inf))
        delta: Tensor = self.to_out(rearrange(out, "(b h w) f n d -> b f h w (n d)", h=h, w=w))
        return delta

    # Where a token's delta may depend on more than this, `attnzoo check` fails. Where it depends
    # on less, too, unless `register` has sees_exactly=False.
    def sees(self, query: Query, shape: Shape) -> Tensor:
        """The query's place in the frames of its window."""
        i, row, column = query
        mask = torch.zeros(shape, dtype=torch.bool)
        mask[max(i - self.reach, 0) : i + self.reach + 1, row, column] = True
        return mask
