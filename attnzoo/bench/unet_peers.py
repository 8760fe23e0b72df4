"""Whole U-Nets of other people, one in each file `unet_*.py` of the folder of peers."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from attnzoo.bench.unets import Form, Widths


@dataclass(frozen=True)
class UNetPeer:
    """A U-Net to be compared with.

    name: its class, under which it stands in rows; build: makes it with random weights; call: runs
    it on images `[(b f), c, h, w]`, a timestep, text `[(b f), n, d]` and the number of frames;
    trained: what a training step trains, the temporal layers.
    """

    name: str
    build: Callable[[Widths, Form], Any]
    call: Callable[[Any, Tensor, Tensor, Tensor, int], Tensor]
    trained: Callable[[Any], list[nn.Parameter]]


@cache
def unet_peers() -> Mapping[str, UNetPeer]:
    """All peers by name."""
    files = sorted((Path(__file__).parent / "peers").glob("unet_*.py"))
    modules = [importlib.import_module(f"attnzoo.bench.peers.{file.stem}") for file in files]
    return {module.UNET.name: module.UNET for module in modules}


def clips(images: Tensor, frames: int) -> Tensor:
    """`[(b f), c, h, w]` to `[b, c, f, h, w]`, as diffusers' video models take it."""
    b = images.shape[0] // frames
    return images.view(b, frames, *images.shape[1:]).transpose(1, 2)


def images(clips: Tensor) -> Tensor:
    """The way back."""
    return clips.transpose(1, 2).flatten(0, 1)
