"""How far scores move along training, beside how far its end tells the same rows apart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from attnzoo.report.folder import Folder
from attnzoo.report.measures import MEASURES

TOLD = ("ssim", "warp_error_1")

Points = Sequence[tuple[int, float]]
"""Steps of training with the score there."""


def transient(folder: Folder) -> str:
    """What the rows with a curve of training go through, in words; empty without two of them."""
    curves = {cell: one["training"] for cell, one in folder.curves.items() if one.get("training")}
    told = [text for key in TOLD if (text := _moves(key, list(curves.values())))]
    if not told:
        return ""
    rows = ", ".join(folder.cells[cell].label for cell in curves)
    return (
        "The numbers are of one moment of training, along which scores move. Of one seed of "
        f"{rows}: {'; '.join(told)}. Where rows move more than they are apart, another moment may "
        "have another order."
    )


def _moves(key: str, curves: Sequence[Mapping[str, Any]]) -> str:
    """The ranges of one score; nothing unless two rows have two points each."""
    points = [found for curve in curves if len(found := _points(curve, key)) > 1]
    if len(points) < 2:
        return ""
    whole = [_range(found) for found in points]
    late = [_range(kept) for kept in map(_second_half, points) if len(kept) > 1]
    half = f" and by {_told(late)} from its middle on" if late else ""
    apart = _range([found[-1] for found in points])
    return (
        f"{MEASURES[key].name} moves by {_told(whole)} along training{half}, and the rows are "
        f"{apart:.2g} apart at the end"
    )


def _points(curve: Mapping[str, Any], key: str) -> Points:
    found = (
        (int(step), scores.get(key, {}).get("value"))
        for step, scores in zip(curve["steps"], curve["scores"], strict=True)
    )
    return sorted((step, float(value)) for step, value in found if step > 0 and value is not None)


def _second_half(points: Points) -> Points:
    return [point for point in points if 2 * point[0] >= points[-1][0]]


def _range(points: Points) -> float:
    values = [value for _, value in points]
    return max(values) - min(values)


def _told(ranges: Sequence[float]) -> str:
    return " to ".join(dict.fromkeys(f"{end:.2g}" for end in (min(ranges), max(ranges))))
