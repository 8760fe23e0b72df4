"""3D-ResNet-50 (Hara, Kataoka and Satoh, 2018) with shortcut B, in its published layout.

Names of parameters are those of `resnet-50-kinetics.pth` without its prefix `module.`. The
features are the average over the last layer, 2048 of them; the classifier is not applied.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

FEATURES = 2048


class Bottleneck(nn.Module):
    """Three convolutions around a residual; the shortcut is a strided 1x1x1 where sizes differ."""

    def __init__(self, inner: int, planes: int, stride: int, shortcut: bool) -> None:
        super().__init__()
        self.conv1 = nn.Conv3d(inner, planes, 1, bias=False)
        self.bn1 = nn.BatchNorm3d(planes)
        self.conv2 = nn.Conv3d(planes, planes, 3, stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm3d(planes)
        self.conv3 = nn.Conv3d(planes, 4 * planes, 1, bias=False)
        self.bn3 = nn.BatchNorm3d(4 * planes)
        self.downsample = (
            nn.Sequential(
                nn.Conv3d(inner, 4 * planes, 1, stride, bias=False), nn.BatchNorm3d(4 * planes)
            )
            if shortcut
            else None
        )

    def forward(self, x: Tensor) -> Tensor:
        """`[b, inner, t, h, w]` to `[b, 4 planes, t', h', w']`."""
        residual = x if self.downsample is None else self.downsample(x)
        y = F.relu(self.bn1(self.conv1(x)))
        y = F.relu(self.bn2(self.conv2(y)))
        return F.relu(self.bn3(self.conv3(y)) + residual)


class ResNet3D(nn.Module):
    """Clips `[b, 3, 16, 112, 112]`, mean subtracted, to features `[b, 2048]`."""

    def __init__(self, blocks: tuple[int, int, int, int] = (3, 4, 6, 3)) -> None:
        super().__init__()
        self.conv1 = nn.Conv3d(3, 64, 7, (1, 2, 2), padding=3, bias=False)
        self.bn1 = nn.BatchNorm3d(64)
        self.layer1 = _stage(64, 64, blocks[0], stride=1)
        self.layer2 = _stage(256, 128, blocks[1], stride=2)
        self.layer3 = _stage(512, 256, blocks[2], stride=2)
        self.layer4 = _stage(1024, 512, blocks[3], stride=2)
        self.fc = nn.Linear(FEATURES, 400)

    def forward(self, x: Tensor) -> Tensor:
        """The features before the classifier."""
        x = F.max_pool3d(F.relu(self.bn1(self.conv1(x))), 3, 2, padding=1)
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return x.mean(dim=(2, 3, 4))


def _stage(inner: int, planes: int, blocks: int, stride: int) -> nn.Sequential:
    first = Bottleneck(inner, planes, stride, shortcut=True)
    rest = [Bottleneck(4 * planes, planes, 1, shortcut=False) for _ in range(blocks - 1)]
    return nn.Sequential(first, *rest)
