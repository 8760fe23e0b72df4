"""What a reader of the claims has to know of how this comparison is not the paper's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

_MODEL = (
    "The paper trains modules inside Stable Diffusion for 50,000 steps and then the whole U-Net "
    "for 20,000, on 335 videos of real dancers. Here a small model of the same classes learns "
    "rendered dancers{steps}. What is not found may need more of all that, and what is found need "
    "not hold there."
)
_SETTINGS = (
    "Cells that the protocol gives settings of their own, by a search on the validation part or "
    "without one, may differ in these, too: they stand below each claim."
)
_FLOW = (
    "Motion flow is the renderer's own, better than any estimate{others}. Where it sends several "
    "patches to one place, scatter lets the one that moved least stay there, which the paper "
    "leaves open: a resting background keeps its place against a limb that moves onto it."
)
_OTHERS = ", but in the rows of Table 5 that name another"
_DREAMPOSE = " DreamPose's row begins as the common base, and is stronger than the published one."
_ZERO = (
    "Gains in warp errors are counted from 0, which even real clips do not reach{tried}: what real "
    "clips have stands in the tables' last row or below them."
)
_TRIED = ", but in the predictions that the sixth table tries"


def unlike(protocol: Mapping[str, Any]) -> list[str]:
    """Paragraphs, on the rows and tables that were run."""
    settings = protocol.get("settings") or {}
    numbers = [settings.get(f"train.stage{stage}.steps") for stage in (1, 2)]
    steps = f" in {numbers[0]} and {numbers[1]} steps" if None not in numbers else ""
    tables, cells = protocol.get("tables") or {}, protocol.get("cells") or {}
    flow = _FLOW.format(others=_OTHERS if "table5" in tables else "")
    return [
        _MODEL.format(steps=steps),
        _SETTINGS,
        flow + (_DREAMPOSE if "dreampose" in cells else ""),
        _ZERO.format(tried=_TRIED if "table6" in tables else ""),
    ]


def chosen(protocol: Mapping[str, Any], cells: Sequence[str]) -> str:
    """The chosen settings of some cells in a line, those of equal ones once; empty without any."""
    found: dict[str, list[str]] = {}
    for cell in dict.fromkeys(cells):
        stored = protocol["cells"][cell]
        text = ", ".join(f"{k.split('.')[-1]}={v}" for k, v in (stored.get("chosen") or {}).items())
        found.setdefault(text, []).append(str(stored["label"]))
    if set(found) == {""}:
        return ""
    return "; ".join(f"{', '.join(names)}: {text or 'defaults'}" for text, names in found.items())
