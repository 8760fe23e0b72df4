"""What a damage states about itself, and the list of them."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

import torch
from torch import Tensor


class Kind(Enum):
    """What is damaged: every frame by itself and alike, or what holds from frame to frame."""

    spatial = "spatial"
    temporal = "temporal"


@dataclass(frozen=True)
class Scene:
    """What a damage may use beside the clip.

    generator: of this clip and damage, the same for every grade, so that grades differ by their
    strength alone. body `[f, 1, H, W]`: where the person is. logo `[f, 1, H, W]`: where a sign on
    the clothes is seen, None where none is known.
    """

    generator: torch.Generator
    body: Tensor
    logo: Tensor | None = None


@dataclass(frozen=True)
class Damage:
    """A damage in grades.

    name: the key in files. title: what it does. unit: of the grades. grades: from mild to severe,
    in this order by construction. apply: `(clip, grade, scene)`, `[f, 3, H, W]` in [0, 1] to the
    same. Lengths are given for pictures of 64 pixels and grow with them. needs_logo: without
    `scene.logo` it cannot be done.
    """

    name: str
    title: str
    kind: Kind
    unit: str
    grades: tuple[float, ...]
    apply: Callable[[Tensor, float, Scene], Tensor]
    needs_logo: bool = False


_registered: dict[str, Damage] = {}


def register(damage: Damage) -> Damage:
    """Enters a damage.

    Raises:
        ValueError: the name is taken, or there are fewer than two grades.
    """
    if damage.name in _registered:
        raise ValueError(f"there are two damages {damage.name!r}")
    if len(damage.grades) < 2:
        raise ValueError(f"damage {damage.name!r} has no two grades to order")
    _registered[damage.name] = damage
    return damage


def damages() -> list[Damage]:
    """All of them, spatial ones first, by name."""
    for file in sorted(Path(__file__).parent.glob("[!_]*.py")):
        importlib.import_module(f"attnzoo.damage.{file.stem}")
    kinds = list(Kind)
    return sorted(_registered.values(), key=lambda one: (kinds.index(one.kind), one.name))


def scale(clip: Tensor) -> float:
    """How many pixels of this clip are one pixel of a picture of 64."""
    return min(clip.shape[-2:]) / 64
