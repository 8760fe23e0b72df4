"""LPIPS (Zhang et al., 2018), where the package and its backbone's weights are on this machine."""

from __future__ import annotations

import importlib.util
import warnings
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

BACKBONE = "vgg16-397923af.pth"
"""torchvision's file of VGG16 weights, which `lpips` would otherwise download."""


def lpips_missing() -> str | None:
    """Why LPIPS cannot be had here, or None if it can; nothing is ever downloaded for it."""
    if importlib.util.find_spec("lpips") is None:
        return "the package lpips is not installed"
    if not (Path(torch.hub.get_dir()) / "checkpoints" / BACKBONE).is_file():
        return f"the weights of its backbone ({BACKBONE}) are not on this machine"
    return None


@torch.no_grad()
def lpips(real: Tensor, fake: Tensor) -> Tensor:
    """LPIPS v0.1 with VGG16 per clip, mean over frames, `[n]` float64; asks `lpips_missing` first.

    Clips `[n, f, 3, H, W]` in [0, 1] are scaled to the [-1, 1] that the network was trained with
    (DisCo leaves them in [0, 1], so its values differ).
    """
    import lpips as package

    with warnings.catch_warnings():
        # torchvision deprecates the arguments with which the package builds its backbone.
        warnings.simplefilter("ignore")
        network: Any = package.LPIPS(net="vgg", verbose=False).to(real.device).eval()
    rows = [
        network(a.float(), b.float(), normalize=True).double().mean()
        for a, b in zip(real, fake, strict=True)
    ]
    return torch.stack(rows)
