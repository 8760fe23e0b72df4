"""What a mechanism declares about itself, as a frozen record. Standard library only."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from attnzoo._options import Option


class Kind(Enum):
    """How the slot carries a mechanism.

    insert: a new layer with norm and residual of its own, identity when inserted;
    replace: in place of the U-Net's self-attention, with its weights; norm and residual are the
    block's.
    """

    insert = "insert"
    replace = "replace"


@dataclass(frozen=True, eq=False)
class Entry:
    """What a mechanism declares about itself; `attnzoo.testing` holds it to every word.

    `last_linear` is a dotted path inside the module (None: it has none, and its slot gets a zero
    gate). `modules` has one mapping of options for each module that a slot carries; an option
    named in any of them is fixed by the slot and is no command-line option. `norm` says that the
    slot puts a LayerNorm before each module; a module that begins with a norm of its own has False.
    `every_layer` says that in blocks without attention a slot sits behind each ResNet, not only
    behind the last; both concern kind insert alone. `cost` is an expression in b, f, h, w, c and
    the options: FLOPs of scores and values of one module, forward, 2 per multiply-add.
    `sees_exactly`: the module's `sees` is what its output depends on, and not only a bound on it.
    `reference`: a function `(module, x, flow=None)` that computes the delta plainly, for float64.
    `expected_failures` has a reason for each check that fails and is meant to. `place` is
    `file:line` of the registration, `sha256` that of the file's text as it was then, of a plug-in
    with the files beside it that it imports (None: there is no text, as in `python -c`).
    """

    name: str
    title: str
    source: str
    kind: Kind
    needs_flow: bool
    min_frames: int
    last_linear: str | None
    modules: tuple[Mapping[str, Any], ...]
    norm: bool
    every_layer: bool
    cost: str
    cls: type
    options: tuple[Option, ...]
    place: str
    sha256: str | None = None
    sees_exactly: bool = True
    reference: Callable[..., Any] | None = None
    expected_failures: Mapping[str, str] = field(default_factory=dict)

    @property
    def built_in(self) -> bool:
        """Whether it is one of the package's own."""
        return self.cls.__module__.startswith("attnzoo.")

    @property
    def fixed(self) -> frozenset[str]:
        """Names of the options that the slot fixes."""
        return frozenset(key for module in self.modules for key in module)

    @property
    def free(self) -> tuple[Option, ...]:
        """The options that are a user's choice."""
        return tuple(option for option in self.options if option.name not in self.fixed)

    def describe(self) -> str:
        """All that is declared, to be printed."""
        frames = f"at least {self.min_frames} frame" + "s" * (self.min_frames > 1)
        count = len(self.modules)
        rows = [
            ("source", self.source),
            ("kind", self.kind.name),
            ("needs", ("motion flow, " if self.needs_flow else "") + frames),
            ("last linear", self.last_linear or "none"),
            ("modules", f"{count} per slot" + _listed(self.modules)),
            *([("slot", "behind every ResNet where there is no attention")] * self.every_layer),
            *([("norm", "the module's own")] * (not self.norm)),
            ("cost", f"{self.cost} FLOPs per module"),
            ("place", self.place),
            *(("fails", f"{check}: {why}") for check, why in self.expected_failures.items()),
            *(("option", option.describe(option.name in self.fixed)) for option in self.options),
        ]
        lines = [f"{self.name}: {self.title}", *(f"  {key:<12} {value}" for key, value in rows)]
        doc = (self.cls.__doc__ or "").strip().splitlines()
        return "\n".join([*lines, "", *(line.removeprefix("    ") for line in doc)]).rstrip()


def _listed(modules: Sequence[Mapping[str, Any]]) -> str:
    if not any(modules):
        return ""
    each = (", ".join(f"{key}={value}" for key, value in m.items()) or "as is" for m in modules)
    return " (" + "; ".join(each) + ")"
