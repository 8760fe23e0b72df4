"""Flow by RAFT (Teed and Deng 2020) in torchvision's form, with weights from a file."""

from __future__ import annotations

import pickle
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor
from torch.nn import functional as F

from attnzoo.data.frames import Picture
from attnzoo.errors import DAMAGED, UserError
from attnzoo.paths import typed

UNREADABLE: tuple[type[Exception], ...] = (SafetensorError, pickle.UnpicklingError, *DAMAGED)

NETWORKS = ("raft_small", "raft_large")

LEAST, UNIT = 128, 8
"""Pixels of a side that RAFT's coarsest level needs, and of what a side must be a multiple."""


class Raft:
    """The network, ready to be asked; on a graphics card where there is one."""

    def __init__(self, weights: str | None) -> None:
        """`weights`: a `.pth` or `.safetensors` file of torchvision's raft_large or raft_small.

        Raises:
            UserError: torchvision is missing, no weights are given, or they are not such a file.
        """
        networks = _networks()
        if weights is None:
            raise UserError(
                "flow=raft needs motion.weights=FILE, torchvision's raft_large or raft_small; "
                "weights are never downloaded"
            )
        path = typed(weights, f"motion.weights={weights}")
        state = _state(path, f"motion.weights={weights}")
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.network = _fitting(networks, state, f"motion.weights={weights}").to(self.device).eval()

    def __call__(self, start: Picture, end: Picture) -> NDArray[np.float32]:
        """Flow `[2, h, w]` in pixels between pictures `[h, w, 3]`, at the first one's positions."""
        images = [_image(picture).to(self.device) for picture in (start, end)]
        height, width = start.shape[:2]
        missing = [max(side, LEAST) + (-max(side, LEAST)) % UNIT - side for side in (width, height)]
        padding = [part for m in missing for part in (m // 2, m - m // 2)]
        with torch.inference_mode():
            padded = [F.pad(image, padding, mode="replicate") for image in images]
            flow: Tensor = self.network(*padded)[-1][0]
        left, top = padding[0], padding[2]
        found = flow[:, top : top + height, left : left + width].float().cpu().numpy()
        return np.ascontiguousarray(found)


def _image(picture: Picture) -> Tensor:
    """`[1, 3, h, w]` in [-1, 1], as the network was trained on."""
    return torch.from_numpy(picture).permute(2, 0, 1)[None].float() / 127.5 - 1


def _networks() -> Any:
    try:
        from torchvision.models import optical_flow
    except ImportError as error:
        raise UserError(
            f"flow=raft needs torchvision ({error}); pip install 'attnzoo[flow]'"
        ) from error
    return optical_flow


def _state(path: Path, setting: str) -> Mapping[str, Tensor]:
    if not path.is_file():
        raise UserError(f"{setting}: no such file")
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # of other pickle protocols
            state = torch.load(path, map_location="cpu", weights_only=True)
    except UNREADABLE as error:
        line = str(error).strip().splitlines()[0][:120] if str(error).strip() else "empty"
        raise UserError(f"{setting}: not a file of weights ({line})") from error
    if not isinstance(state, Mapping) or not all(isinstance(key, str) for key in state):
        raise UserError(f"{setting}: holds a {type(state).__name__}; must be a state dict")
    return state


def _fitting(networks: Any, state: Mapping[str, Tensor], setting: str) -> torch.nn.Module:
    """The network whose layers the weights have, with them."""
    odd: dict[str, list[str]] = {}
    for name in NETWORKS:
        with torch.device("meta"):
            network: torch.nn.Module = getattr(networks, name)(weights=None)
        shapes = {key: value.shape for key, value in network.state_dict().items()}
        given = {key: value.shape for key, value in state.items() if isinstance(value, Tensor)}
        odd[name] = sorted(k for k in shapes.keys() | state.keys() if shapes.get(k) != given.get(k))
        if not odd[name]:
            network = network.to_empty(device="cpu")
            network.load_state_dict(dict(state))
            return network
    nearest = min(NETWORKS, key=lambda name: len(odd[name]))
    shown = ", ".join(odd[nearest][:3]) + (", ..." if len(odd[nearest]) > 3 else "")
    raise UserError(
        f"{setting}: neither raft_large nor raft_small of torchvision; {len(odd[nearest])} layers "
        f"are missing, left over or of another shape than {nearest}'s: {shown}"
    )
