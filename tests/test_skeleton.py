"""The drawn skeleton: which points, which colours, and what is refused."""

from __future__ import annotations

import base64
import io
import json
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

from attnzoo.data.skeleton import KEYPOINTS, Points, draw, keypoints, with_neck
from attnzoo.errors import UserError

CLIPS = os.environ.get("ATTNZOO_CLIPS")

STANDING = np.array(
    [
        (100, 30), (106, 24), (94, 24), (112, 28), (88, 28), (130, 60), (70, 60), (140, 100),
        (60, 100), (145, 140), (55, 140), (118, 130), (82, 130), (120, 170), (80, 170), (122, 195),
        (78, 195),
    ],
    float,
)  # fmt: skip
"""Someone who faces the camera: her left is on the picture's right."""


def test_the_neck_is_between_the_shoulders() -> None:
    body = with_neck(STANDING)
    assert body.shape == (18, 2)
    assert tuple(body[1]) == (100, 60)
    assert tuple(body[0]) == tuple(STANDING[0])
    # OpenPose counts the right side first, COCO the left.
    assert tuple(body[2]) == tuple(STANDING[6])
    assert tuple(body[5]) == tuple(STANDING[5])
    assert sorted(map(tuple, body)) == sorted([*map(tuple, STANDING), (100, 60)])


@pytest.mark.parametrize("shoulder", [5, 6])
def test_one_shoulder_makes_no_neck(shoulder: int) -> None:
    points = STANDING.copy()
    points[shoulder] = -1
    assert tuple(with_neck(points)[1]) == (-1, -1)
    picture = draw(points, 200, 200)
    assert not picture[40:50, 100].any()  # nothing between neck and nose


def test_limbs_have_openpose_colours() -> None:
    picture = draw(STANDING, 200, 200)
    assert picture.shape == (200, 200, 3)
    assert picture.dtype == np.uint8
    for middle, colour in (
        ((85, 60), (153, 0, 0)),  # neck to right shoulder: three fifths of red
        ((115, 60), (153, 51, 0)),
        ((65, 80), (153, 102, 0)),  # right upper arm
        ((135, 80), (102, 153, 0)),  # left upper arm
        ((100, 45), (0, 0, 153)),  # neck to nose
        ((81, 150), (0, 153, 51)),  # right thigh
        ((119, 150), (0, 102, 153)),  # left thigh
    ):
        x, y = middle
        assert np.abs(picture[y, x].astype(int) - colour).max() <= 3, middle


def test_an_absent_point_takes_its_limbs_away() -> None:
    points = STANDING.copy()
    points[9] = -1  # left wrist
    picture = draw(points, 200, 200)
    assert draw(STANDING, 200, 200)[120, 142].any()
    assert not picture[112:160, 140:160].any()


def test_nobody_is_black() -> None:
    assert not draw(None, 20, 30).any()
    assert not draw(np.full((KEYPOINTS, 2), -1.0), 20, 30).any()
    assert draw(None, 20, 30).shape == (20, 30, 3)


@given(hnp.arrays(np.float64, (KEYPOINTS, 2), elements=st.floats(-1, 300)), st.integers(8, 80))
@settings(max_examples=40, deadline=None)
def test_points_outside_the_picture_are_drawn_as_far_as_it_goes(points: Points, size: int) -> None:
    wide = draw(points, 340, 340)
    small = draw(points, size, size)
    # OpenCV smooths an edge that it has to clip a little differently.
    assert np.abs(small.astype(float) - wide[:size, :size]).mean() < 3


def test_wider_lines() -> None:
    thin, thick = (draw(STANDING, 200, 200, half_width=w) for w in (2, 6))
    assert (thick.any(-1).sum() / thin.any(-1).sum()) > 2


def text(points: object, **other: object) -> str:
    return json.dumps([{"keypoints": points, **other}])


def test_reading_keypoints() -> None:
    rows = [[x, y, 0.9] for x, y in STANDING]
    rows[16] = [-1, -1, -1]
    read = keypoints(text(rows), "a.json")
    assert read is not None
    assert np.array_equal(read[:16], STANDING[:16])
    assert tuple(read[16]) == (-1, -1)
    assert keypoints("[]", "a.json") is None


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ("{", "a.json: not JSON"),
        (b"\xff\xfe", "a.json: not JSON"),
        ('{"keypoints": []}', "must be a list of people"),
        ("[1]", "must be a list of people"),
        ("[{}]", "no keypoints; must be 17"),
        (text([[1, 2, 3]] * 18), "18 keypoints; must be 17 in COCO's order"),
        (text([[1, 2, 3]] * 16 + [[1]]), r"keypoint \[1\]; must be \[x, y, score\]"),
        (text([[1, 2, 3]] * 16 + [["a", 2, 3]]), r"keypoint \['a', 2, 3\]; must be"),
        (text([[1, 2, 3]] * 16 + [[float("nan"), 2, 3]]), r"keypoint \[nan, 2, 3\]; must be"),
        (text([[1, 2, 3]] * 16 + [[True, 2, 3]]), "keypoint .True, 2, 3.; must be"),
    ],
)
def test_bad_keypoints_are_one_line(written: str | bytes, message: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        keypoints(written, "a.json")
    assert "\n" not in str(caught.value)


@pytest.mark.skipif(CLIPS is None, reason="ATTNZOO_CLIPS names no folder of clips")
def test_a_real_dance_is_drawn_as_disco_drew_it() -> None:
    folder = Path(CLIPS or "") / "tiktok"
    rows = (folder / "tsv/train_poses.tsv").read_text().splitlines()
    (row,) = [r for r in rows if r.startswith("Custom_002_000001.png\t")]
    with Image.open(io.BytesIO(base64.b64decode(row.split("\t")[1]))) as image:
        theirs = np.asarray(image.convert("RGB")).astype(float)
    written = (folder / "frames/002/openpose_json/000001.png.json").read_text()
    ours = draw(keypoints(written, "002"), *theirs.shape[:2]).astype(float)
    lines = ours.max(-1) > 50
    assert np.abs(ours - theirs)[~lines].mean() < 1
    assert np.abs(ours - theirs)[lines].mean() < 25
    assert np.corrcoef(ours.ravel(), theirs.ravel())[0, 1] > 0.95
