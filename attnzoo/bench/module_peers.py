"""Other people's ways to compute what our mechanisms compute, one a file of the folder of peers."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import nn


def everywhere(device: torch.device) -> str | None:
    """Nothing keeps a peer from running on `device`."""
    return None


@dataclass(frozen=True)
class ModulePeer:
    """A module to be compared with, `[b, f, h, w, c]` to its delta like a mechanism's.

    name: under which it stands in rows; title: what it is; computes: the entries whose function
    it computes where sizes divide; build: makes it from one of their modules, with that one's
    weights; missing: why it cannot run on a device, in one line, None where it can; no_backward:
    why it has none on a device; one_frame: it sees each frame alone, so that it computes the same
    on clips of one frame only.
    """

    name: str
    title: str
    computes: tuple[str, ...]
    build: Callable[[Any], nn.Module]
    missing: Callable[[torch.device], str | None] = everywhere
    no_backward: Callable[[torch.device], str | None] = everywhere
    one_frame: bool = False


@cache
def module_peers() -> Mapping[str, ModulePeer]:
    """All peers by name."""
    folder = Path(__file__).parent / "peers"
    files = sorted(file for file in folder.glob("[!_]*.py") if not file.stem.startswith("unet_"))
    modules = [importlib.import_module(f"attnzoo.bench.peers.{file.stem}") for file in files]
    return {module.PEER.name: module.PEER for module in modules}
