"""A cell of a grid: one thing to be measured, as plain values, and its address."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from enum import Enum
from typing import Any

import torch

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}

SHAPE_AXES = ("batch", "frames", "height", "width", "channels")


class What(Enum):
    """What is measured.

    module: one module on tokens; level: one module as it sits at one level of the U-Net;
    unet: one step of the U-Net without gradients; training: its forward, backward and optimizer's
    step for what `attach` added; flow: classical flow between the neighbours of a clip; maps:
    index maps of all levels from flow that is there.
    """

    module = "module"
    level = "level"
    unet = "unet"
    training = "training"
    flow = "flow"
    maps = "maps"


@dataclass(frozen=True)
class Cell:
    """One thing to be measured.

    name: a variant, or a peer's class; options: of the variant, as JSON has them; height, width:
    tokens of the finest grid (latents of a U-Net); channels: of a module, 0 in a U-Net; unet: the
    U-Net's widths; mirrors: the variant that a peer of a single module computes, which has these
    options; level: where a module of kind `level` sits.
    """

    what: What
    name: str
    frames: int
    height: int
    width: int
    batch: int = 1
    channels: int = 0
    heads: int = 8
    options: Mapping[str, Any] = field(default_factory=dict)
    peer: bool = False
    mirrors: str = ""
    unet: str = ""
    level: str = ""
    dtype: str = "fp32"
    backward: bool = False
    compiled: bool = False
    device: str = "cpu"

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """Clips, frames, rows and columns."""
        return self.batch, self.frames, self.height, self.width

    @property
    def tokens(self) -> int:
        """Tokens of the finest grid."""
        return self.batch * self.frames * self.height * self.width

    @property
    def torch_dtype(self) -> torch.dtype:
        """The dtype of weights and input."""
        return DTYPES[self.dtype]

    @property
    def plain(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {**asdict(self), "what": self.what.value, "options": dict(self.options)}

    @staticmethod
    def of(values: Mapping[str, Any]) -> Cell:
        """The cell of what `plain` gave."""
        return Cell(**{**values, "what": What(values["what"])})

    @property
    def digest(self) -> str:
        """The address of what is measured, whatever measures it."""
        return digest_of(self.plain)

    @property
    def series(self) -> str:
        """The address without sizes: what can be followed as it grows."""
        return digest_of({**self.plain, **dict.fromkeys(SHAPE_AXES, 0)})

    def at(self, **sizes: Any) -> Cell:
        """The same at other sizes."""
        return replace(self, **sizes)

    @property
    def variant(self) -> str:
        """Name and options, as they are typed."""
        typed = [f"{key}={_typed(value)}" for key, value in self.options.items()]
        return " ".join([f"{self.name} for {self.mirrors}" if self.mirrors else self.name, *typed])

    @property
    def where(self) -> str:
        """What is measured of it, in short."""
        if self.what is What.level:
            return f"level {self.level}"
        how = {What.module: "module", What.unet: "U-Net step", What.training: "training step"}
        return how.get(self.what, str(self.what.value))

    @property
    def manner(self) -> str:
        """Precision and direction, in short."""
        backward = " fwd+bwd" if self.backward else ""
        return f"{self.dtype}{backward}{' compiled' if self.compiled else ''}"

    @property
    def sizes(self) -> str:
        """Clips, frames, grid and channels, in short."""
        b = f"{self.batch}x" if self.batch > 1 else ""
        c = f" c={self.channels}" if self.channels else ""
        return f"{b}{self.frames}x{self.height}x{self.width}{c}"

    def __str__(self) -> str:
        return f"{self.variant}, {self.where}, {self.sizes}, {self.manner}"


def digest_of(values: Any) -> str:
    """SHA-256 of plain values, its first 16 digits."""
    text = json.dumps(values, sort_keys=True, default=list)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _typed(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return f"[{','.join(map(_typed, value))}]" if isinstance(value, list | tuple) else str(value)
