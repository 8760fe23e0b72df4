"""Video Swin's windows with the mask given to PyTorch's fused attention."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from attnzoo.bench.module_peers import ModulePeer
from attnzoo.bench.peers._windows import PaddedWindows


class MaskedWindows(PaddedWindows):
    """The same partition and mask; what the fused kernel masks it has computed before."""

    def attend(
        self, windows: Tensor, padded: Sequence[int], size: Sequence[int], shifts: Sequence[int]
    ) -> Tensor:
        """See the base."""
        q, k, v = self.split(windows)
        added = self.bias(size)
        if any(shifts):
            mask = self.mask(padded, size, shifts, q)[:, None]
            mask = mask.repeat(windows.shape[0] // mask.shape[0], 1, 1, 1)
            added = mask if added is None else mask + added
        elif added is not None:
            added = added[None]
        out = scaled_dot_product_attention(q, k, v, attn_mask=added)
        return out.transpose(1, 2).reshape(windows.shape)


PEER = ModulePeer(
    "masked_sdpa",
    "pad, roll, partition, scaled_dot_product_attention with a mask",
    ("stsa",),
    MaskedWindows,
)
