"""I3D (Carreira and Zisserman, 2017) in the layout of pytorch-i3d, 400 logits of Kinetics.

Names of parameters are those of `rgb_imagenet.pt` and DisCo's `i3d_pretrained_400.pt`. Padding is
TensorFlow's SAME: as much as the size needs, the odd cell behind.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

Triple = tuple[int, int, int]


def _same(x: Tensor, kernel: Triple, stride: Triple) -> Tensor:
    """Zeros around `[b, c, t, h, w]` so that sizes divide by the stride without loss."""
    pads: list[int] = []
    for size, k, s in zip(reversed(x.shape[2:]), reversed(kernel), reversed(stride), strict=True):
        total = max(k - (size % s or s), 0)
        pads += [total // 2, total - total // 2]
    return F.pad(x, pads)


class Unit3D(nn.Module):
    """Convolution, batch normalisation, ReLU; the logits' layer has a bias instead of the two."""

    def __init__(self, inner: int, outer: int, kernel: int, stride: int = 1, last: bool = False):
        super().__init__()
        self.kernel, self.stride = (kernel,) * 3, (stride,) * 3
        self.conv3d = nn.Conv3d(inner, outer, kernel, stride, bias=last)
        self.bn = None if last else nn.BatchNorm3d(outer, eps=0.001, momentum=0.01)

    def forward(self, x: Tensor) -> Tensor:
        """`[b, inner, t, h, w]` to `[b, outer, t', h', w']`."""
        x = self.conv3d(_same(x, self.kernel, self.stride))
        return x if self.bn is None else F.relu(self.bn(x))


class Pool(nn.Module):
    """Maximum over a block, SAME padding with zeros."""

    def __init__(self, kernel: Triple, stride: Triple):
        super().__init__()
        self.kernel, self.stride = kernel, stride

    def forward(self, x: Tensor) -> Tensor:
        """`[b, c, t, h, w]` to fewer cells."""
        return F.max_pool3d(_same(x, self.kernel, self.stride), self.kernel, self.stride)


class Mixed(nn.Module):
    """Four branches side by side."""

    def __init__(self, inner: int, outer: tuple[int, int, int, int, int, int]):
        super().__init__()
        one, three_in, three, five_in, five, pooled = outer
        self.b0 = Unit3D(inner, one, 1)
        self.b1a, self.b1b = Unit3D(inner, three_in, 1), Unit3D(three_in, three, 3)
        self.b2a, self.b2b = Unit3D(inner, five_in, 1), Unit3D(five_in, five, 3)
        self.b3a, self.b3b = Pool((3, 3, 3), (1, 1, 1)), Unit3D(inner, pooled, 1)

    def forward(self, x: Tensor) -> Tensor:
        """`[b, inner, t, h, w]` to `[b, sum of the branches, t, h, w]`."""

        branches = [
            self.b0(x), self.b1b(self.b1a(x)), self.b2b(self.b2a(x)), self.b3b(self.b3a(x)),
        ]  # fmt: skip
        return torch.cat(branches, dim=1)


class I3D(nn.Module):
    """Clips `[b, 3, t, 224, 224]` in [-1, 1] to logits `[b, 400]`, averaged over time."""

    def __init__(self) -> None:
        super().__init__()
        self.Conv3d_1a_7x7 = Unit3D(3, 64, 7, stride=2)
        self.MaxPool3d_2a_3x3 = Pool((1, 3, 3), (1, 2, 2))
        self.Conv3d_2b_1x1 = Unit3D(64, 64, 1)
        self.Conv3d_2c_3x3 = Unit3D(64, 192, 3)
        self.MaxPool3d_3a_3x3 = Pool((1, 3, 3), (1, 2, 2))
        self.Mixed_3b = Mixed(192, (64, 96, 128, 16, 32, 32))
        self.Mixed_3c = Mixed(256, (128, 128, 192, 32, 96, 64))
        self.MaxPool3d_4a_3x3 = Pool((3, 3, 3), (2, 2, 2))
        self.Mixed_4b = Mixed(480, (192, 96, 208, 16, 48, 64))
        self.Mixed_4c = Mixed(512, (160, 112, 224, 24, 64, 64))
        self.Mixed_4d = Mixed(512, (128, 128, 256, 24, 64, 64))
        self.Mixed_4e = Mixed(512, (112, 144, 288, 32, 64, 64))
        self.Mixed_4f = Mixed(528, (256, 160, 320, 32, 128, 128))
        self.MaxPool3d_5a_2x2 = Pool((2, 2, 2), (2, 2, 2))
        self.Mixed_5b = Mixed(832, (256, 160, 320, 32, 128, 128))
        self.Mixed_5c = Mixed(832, (384, 192, 384, 48, 128, 128))
        self.logits = Unit3D(1024, 400, 1, last=True)

    def forward(self, x: Tensor) -> Tensor:
        """The logits; t of at least 9, or nothing is left to average."""
        for name, layer in self.named_children():
            if name != "logits":
                x = layer(x)
        x = F.avg_pool3d(x, (1, 7, 7), stride=1)
        logits: Tensor = self.logits(x)[..., 0, 0].mean(dim=2)
        return logits
