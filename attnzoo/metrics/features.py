"""The embedded feature network: what stands in for Inception, I3D and LPIPS without a download.

A small convolutional network over clips. Its 2-D layers see one frame at a time and give frame
features and the layers of `perceptual_distance`; 3-D layers on top of them give video features.
It was trained on the embedded dancers (`python -m attnzoo.train.features`), so its distances mean
something on pictures like those, are comparable only with one another, and are neither FID nor
FVD nor LPIPS. Elsewhere (real videos) they are a weak measure.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from pathlib import Path

import torch
from einops import rearrange
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn
from torch.nn import functional as F

from attnzoo.errors import UserError, lacking

WEIGHTS = Path(__file__).parent.parent / "weights" / "features.safetensors"
SIDE = 64
"""Pictures of another size are resized to so many pixels a side, the size it was trained on."""
WIDTHS = (32, 48, 64)
FEATURES = 64
SLOPE = 0.1
PLACES = 4
"""Layers are averaged over so many places a side before the features: where things are counts."""


class FeatureNetwork(nn.Module):
    """Clips `[n, f, 3, H, W]` in [0, 1] to frame features `[n, f, 64]` and video ones `[n, 64]`.

    No layer mixes the clips of a batch, and frame features do not depend on other frames. There
    is no normalisation either: it would hide how strong a grain is.
    """

    def __init__(self) -> None:
        """Weights after He (2015), so that five layers without normalisation keep their scale."""
        super().__init__()
        first, second, third = WIDTHS
        self.levels = nn.ModuleList(
            [
                # 2x2 pixels side by side keep the finest grain visible at a quarter of the cost.
                nn.Sequential(nn.PixelUnshuffle(2), _conv2d(12, first, stride=1)),
                _conv2d(first, second, stride=2),
                _conv2d(second, third, stride=2),
            ]
        )
        self.frame_head = nn.Linear(third * PLACES**2, FEATURES)
        self.motion = nn.Sequential(
            nn.Conv3d(second, third, 3, stride=(1, 2, 2), padding=1),
            nn.LeakyReLU(SLOPE),
            nn.Conv3d(third, third, 3, stride=2, padding=1),
            nn.LeakyReLU(SLOPE),
        )
        self.video_head = nn.Linear(2 * third * PLACES**2, FEATURES)
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d | nn.Conv3d):
                nn.init.kaiming_normal_(layer.weight, SLOPE)

    def layers(self, images: Tensor) -> list[Tensor]:
        """Images `[m, 3, H, W]` to the 2-D layers' outputs, finest first."""
        if images.shape[-2:] != (SIDE, SIDE):
            images = F.interpolate(images, (SIDE, SIDE), mode="bilinear", antialias=True)
        x = 2 * images - 1
        outputs = []
        for level in self.levels:
            x = level(x)
            outputs.append(x)
        return outputs

    def forward(self, clips: Tensor) -> tuple[Tensor, Tensor]:
        """Frame features `[n, f, 64]` and video features `[n, 64]` of clips `[n, f, 3, H, W]`."""
        n, f = clips.shape[:2]
        layers = self.layers(clips.flatten(0, 1))
        still = F.adaptive_avg_pool2d(layers[2], PLACES).flatten(1)
        # What changes is all that the 3-D layers see; what stays is in the mean of the frames. The
        # first frame's change is zero, so that a clip of one frame has features too.
        x = rearrange(layers[1], "(n f) c h w -> n c f h w", n=n)
        changes = x - torch.cat([x[:, :, :1], x[:, :, :-1]], dim=2)
        moving = F.adaptive_avg_pool2d(self.motion(changes).mean(dim=2), PLACES).flatten(1)
        clip = torch.cat([still.view(n, f, -1).mean(dim=1), moving], dim=1)
        return self.frame_head(still).view(n, f, -1), self.video_head(clip)


def _conv2d(inner: int, outer: int, *, stride: int) -> nn.Sequential:
    conv = nn.Conv2d(inner, outer, 3, stride=stride, padding=1)
    return nn.Sequential(conv, nn.LeakyReLU(SLOPE))


@torch.no_grad()
def features(network: FeatureNetwork, clips: Tensor) -> tuple[Tensor, Tensor]:
    """Frame features `[n, f, 64]` and video features `[n, 64]`, float32, clip by clip."""
    parts = [network(clip.float().unsqueeze(0)) for clip in clips]
    return torch.cat([part[0] for part in parts]), torch.cat([part[1] for part in parts])


@torch.no_grad()
def perceptual_distance(network: FeatureNetwork, real: Tensor, fake: Tensor) -> Tensor:
    """Distance of two sets of clips by the network's 2-D layers, `[n]` float64.

    As LPIPS without its learned weights: at each place of each layer the channels are scaled to
    length 1; squared distance, mean over places and frames, mean over the layers. From 0 (equal)
    to 4 (opposite).

    Raises:
        ValueError: for unequal shapes.
    """
    if real.shape != fake.shape:
        raise ValueError(f"shapes differ: {tuple(real.shape)} and {tuple(fake.shape)}")
    return torch.stack([_distance(network, a, b) for a, b in zip(real, fake, strict=True)])


def _distance(network: FeatureNetwork, real: Tensor, fake: Tensor) -> Tensor:
    pairs = zip(network.layers(real.float()), network.layers(fake.float()), strict=True)
    levels = [
        (F.normalize(a, dim=1) - F.normalize(b, dim=1)).square().sum(dim=1).mean() for a, b in pairs
    ]
    return torch.stack(levels).double().mean()


@functools.cache
def load_features(path: Path = WEIGHTS) -> FeatureNetwork:
    """The trained network, float32 on the CPU, in evaluation mode, gradients off; kept once read.

    Raises:
        UserError: if the file is missing or holds no such network.
    """
    try:
        with safe_open(path, framework="pt") as file:
            state = {key: file.get_tensor(key).float() for key in file.keys()}  # noqa: SIM118
        network = FeatureNetwork()
        network.load_state_dict(state)
    except (OSError, SafetensorError, RuntimeError) as error:
        if lacking(error):
            raise  # of a file that may be whole
        raise UserError(
            f"no feature network in {path}: make it with python -m attnzoo.train.features"
        ) from error
    return network.eval().requires_grad_(False)


def read_notes(path: Path = WEIGHTS) -> Mapping[str, object]:
    """What the training command noted beside the weights: steps, seed, seconds, loss, command."""
    with safe_open(path, framework="pt") as file:
        notes: dict[str, object] = json.loads((file.metadata() or {}).get("notes", "{}"))
    return notes
