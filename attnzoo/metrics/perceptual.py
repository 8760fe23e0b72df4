"""LPIPS (Zhang et al., 2018), where the package and its backbone's weights are on this machine."""

from __future__ import annotations

import importlib.util
import warnings
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from attnzoo.errors import UserError
from attnzoo.metrics.networks.weights import read_weights

BACKBONE = "vgg16-397923af.pth"
"""torchvision's file of VGG16 weights, which `lpips` would otherwise download."""


def backbone_here() -> Path:
    """Where PyTorch keeps the backbone once somebody has downloaded it."""
    return Path(torch.hub.get_dir()) / "checkpoints" / BACKBONE


def lpips_missing() -> str | None:
    """Why LPIPS cannot be had here, or None if it can; nothing is ever downloaded for it."""
    if importlib.util.find_spec("lpips") is None:
        return "the package lpips is not installed"
    if not backbone_here().is_file():
        return f"the weights of its backbone ({BACKBONE}) are not on this machine"
    return None


def load_lpips(path: Path) -> Any:
    """LPIPS v0.1 with VGG16 from torchvision's file; its linear layers come with the package.

    Raises:
        UserError: the file holds no VGG16.
    """
    import lpips as package

    with warnings.catch_warnings():
        # torchvision deprecates the arguments with which the package builds its backbone.
        warnings.simplefilter("ignore")
        network: Any = package.LPIPS(net="vgg", pnet_rand=True, verbose=False)
    state = read_weights(path)
    own = network.net.state_dict()
    # The package cuts torchvision's `features` into slices and keeps their numbers.
    wanted = {name: "features." + name.split(".", 1)[1] for name in own}
    lacking = [name for name in wanted.values() if name not in state]
    if lacking:
        raise UserError(f"{path}: not torchvision's VGG16: no {lacking[0]}")
    network.net.load_state_dict({name: state[there] for name, there in wanted.items()})
    return network.eval().requires_grad_(False)


@torch.no_grad()
def lpips_of_frames(network: Any, real: Tensor, fake: Tensor, *, scaled: bool) -> Tensor:
    """LPIPS of each frame, `[f]` float64, from frames `[f, 3, H, W]` in [0, 1].

    `scaled` maps them to [-1, 1], the range that the network was trained with.
    """
    pairs = zip(real, fake, strict=True)
    rows = [network(a[None].float(), b[None].float(), normalize=scaled) for a, b in pairs]
    return torch.cat(rows).flatten().double()


def lpips(real: Tensor, fake: Tensor) -> Tensor:
    """LPIPS per clip, mean over frames, `[n]` float64; asks `lpips_missing` first.

    Clips `[n, f, 3, H, W]` in [0, 1] are scaled to the [-1, 1] that the network was trained with
    (DisCo leaves them in [0, 1], so its values differ).
    """
    network = load_lpips(backbone_here()).to(real.device)
    rows = [
        lpips_of_frames(network, a, b, scaled=True).mean() for a, b in zip(real, fake, strict=True)
    ]
    return torch.stack(rows)
