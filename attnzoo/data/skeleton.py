"""Drawing 17 COCO keypoints as the OpenPose skeleton that pose networks are conditioned on.

Order, colours and blending are those of DisCo's preparation of TikTok
(`create_custom_dataset_tsvs.py`), which draws 18 points: the seventeen and the neck.
"""

from __future__ import annotations

import json

import cv2
import numpy as np
from numpy.typing import NDArray

from attnzoo.errors import UserError

KEYPOINTS = 17
"""Nose, then left before right: eyes, ears, shoulders, elbows, wrists, hips, knees, ankles."""

HALF_WIDTH = 4.0
"""Half the width of a limb, and the radius of a joint, in pixels of DisCo's drawings."""

_LEFT_SHOULDER, _RIGHT_SHOULDER, _NECK = 5, 6, 17
_ORDER = (0, _NECK, 6, 8, 10, 5, 7, 9, 12, 14, 16, 11, 13, 15, 2, 1, 4, 3)
"""OpenPose's eighteen points: for each, which COCO point it is."""

_LIMBS = (
    (1, 2), (1, 5), (2, 3), (3, 4), (5, 6), (6, 7), (1, 8), (8, 9), (9, 10), (1, 11), (11, 12),
    (12, 13), (1, 0), (0, 14), (14, 16), (0, 15), (15, 17),
)  # fmt: skip
_COLOURS = (
    (255, 0, 0), (255, 85, 0), (255, 170, 0), (255, 255, 0), (170, 255, 0), (85, 255, 0),
    (0, 255, 0), (0, 255, 85), (0, 255, 170), (0, 255, 255), (0, 170, 255), (0, 85, 255),
    (0, 0, 255), (85, 0, 255), (170, 0, 255), (255, 0, 255), (255, 0, 170), (255, 0, 85),
)  # fmt: skip
_FRACTION = 4
"""Bits of OpenCV's fixed-point coordinates: drawn to a sixteenth of a pixel."""

Points = NDArray[np.float64]
"""x and y of each keypoint `[17, 2]` in pixels; negative = absent."""


def keypoints(text: str | bytes, name: str) -> Points | None:
    """Reads `[{"keypoints": [[x, y, score], ...17]}, ...]`: the first person, None for no person.

    Raises:
        UserError: it is no such JSON, or a person has not 17 keypoints; says which is right.
    """
    try:
        people = json.loads(text)
    except (ValueError, RecursionError) as error:  # broken JSON, or bytes that are no text
        raise UserError(f"{name}: not JSON ({error})") from error
    if not isinstance(people, list) or not all(isinstance(p, dict) for p in people):
        raise UserError(
            f'{name}: must be a list of people, [{{"keypoints": [[x, y, score], ...]}}]'
        )
    if not people:
        return None
    points = people[0].get("keypoints")
    if not isinstance(points, list) or len(points) != KEYPOINTS:
        count = len(points) if isinstance(points, list) else "no"
        raise UserError(f"{name}: {count} keypoints; must be {KEYPOINTS} in COCO's order")
    rows = np.full((KEYPOINTS, 2), -1.0)
    for row, point in zip(rows, points, strict=True):
        if not (isinstance(point, list) and len(point) >= 2 and all(map(_number, point[:2]))):
            raise UserError(f"{name}: keypoint {point!r:.60}; must be [x, y, score], -1 = absent")
        row[:] = point[:2]
    return rows


def _number(value: object) -> bool:
    kind = isinstance(value, (int, float)) and not isinstance(value, bool)
    return kind and abs(value) < 1e6  # type: ignore[arg-type]  # neither NaN nor beyond floats


def with_neck(points: Points) -> Points:
    """The eighteen points of OpenPose, in its order; the neck only where both shoulders exist."""
    shoulders = points[[_LEFT_SHOULDER, _RIGHT_SHOULDER]]
    neck = shoulders.mean(0) if (shoulders >= 0).all() else np.full(2, -1.0)
    every: Points = np.concatenate([points, neck[None]])[list(_ORDER)]
    return every


def draw(
    points: Points | None, height: int, width: int, *, half_width: float = HALF_WIDTH
) -> NDArray[np.uint8]:
    """The skeleton as an RGB picture `[height, width, 3]` on black; None draws nobody.

    A point with a negative coordinate is absent, and so is each limb that it ends.
    """
    canvas = np.zeros((height, width, 3), np.uint8)
    if points is None:
        return canvas
    body = with_neck(points)
    there = [bool(row.min() >= 0) for row in body]
    one = 1 << _FRACTION
    for (x, y), colour, seen in zip(body, _COLOURS, there, strict=True):
        if seen:
            centre, radius = (round(x * one), round(y * one)), round(half_width * one)
            cv2.circle(canvas, centre, radius, colour, cv2.FILLED, cv2.LINE_AA, _FRACTION)
    for (a, b), colour in zip(_LIMBS, _COLOURS, strict=False):
        if there[a] and there[b]:
            _blend(canvas, _ellipse(body[a], body[b], half_width), colour)
    return canvas


def _blend(canvas: NDArray[np.uint8], outline: Points, colour: tuple[int, int, int]) -> None:
    """Lays a filled outline `[n, 2]` over the canvas, three fifths of it."""
    height, width = canvas.shape[:2]
    left, top = np.clip(np.floor(outline.min(0)).astype(int) - 1, 0, (width, height))
    right, bottom = np.clip(np.ceil(outline.max(0)).astype(int) + 2, 0, (width, height))
    under = canvas[top:bottom, left:right]
    if under.size:
        over = under.copy()
        corners = np.rint((outline - (left, top)) * (1 << _FRACTION)).astype(np.int32)
        cv2.fillConvexPoly(over, corners, colour, cv2.LINE_AA, _FRACTION)
        canvas[top:bottom, left:right] = cv2.addWeighted(under, 0.4, over, 0.6, 0)


def _ellipse(start: Points, end: Points, half_width: float) -> Points:
    """The outline `[n, 2]` of the ellipse whose long axis goes from start to end."""
    axis = (end - start) / 2
    length = float(np.hypot(*axis))
    along = axis / length if length > 0 else np.array([1.0, 0.0])
    across = np.array([-along[1], along[0]]) * half_width
    angle = np.linspace(0, 2 * np.pi, 64, endpoint=False)[:, None]
    outline: Points = (start + end) / 2 + np.cos(angle) * axis + np.sin(angle) * across
    return outline
