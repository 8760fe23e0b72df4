"""What Align does to clips: numbers and picture of `python -m attnzoo align`."""

from __future__ import annotations

import json
import os
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from attnzoo import align as align_command
from attnzoo.errors import UserError
from attnzoo.testing.alignment import aligned

CLIPS = os.environ.get("ATTNZOO_CLIPS")


@pytest.fixture(scope="module")
def walk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dark block with texture that walks 8 pixels a frame through a resting, textured room."""
    folder = tmp_path_factory.mktemp("walk")
    draw = np.random.default_rng(0)

    def texture(low: int, high: int) -> np.ndarray:
        coarse = draw.integers(low, high, (32, 32, 3)).astype(np.uint8)
        return cv2.resize(coarse, (256, 256), interpolation=cv2.INTER_CUBIC)

    room, block = texture(150, 250), texture(0, 110)
    for k in range(8):
        picture = room.copy()
        left = 40 + 8 * k
        picture[80:180, left : left + 90] = block[80:180, 20:110]
        Image.fromarray(picture).save(folder / f"{k}.png")
    return folder


def test_what_moves_varies_less_once_aligned(walk: Path) -> None:
    rows = {row["align"]: row for row in aligned(str(walk), frames=8).rows()}
    assert set(rows) == {"scatter", "permute", "cycles"}
    for row in rows.values():
        assert row["groups"] == 2 and 0.05 < row["cells that move"] < 0.25
        assert 0 < row["collisions"] < row["cells that move"]
        assert row["variance before"] > 0
        ratio = row["variance after"] / row["variance before"]
        assert row["after / before"] == pytest.approx(ratio)
    assert rows["scatter"]["after / before"] < 0.8
    assert rows["cycles"]["after / before"] < 1


def test_what_rests_is_left_alone(walk: Path, tmp_path: Path) -> None:
    for k in range(4):
        (tmp_path / f"{k}.png").write_bytes((walk / "0.png").read_bytes())
    for row in aligned(str(tmp_path), frames=4).rows():
        assert row["cells that move"] == row["collisions"] == row["variance after"] == 0
        assert row["worst group"] == 1 and row["groups made worse"] == 0


def test_the_command_prints_and_writes(
    walk: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "new" / "out"
    arguments = [str(walk), "--frames", "8", "--grid", "16", "--size", "64", "--out", str(out)]
    align_command.command(arguments)
    printed = capsys.readouterr().out.splitlines()
    assert printed[0].split()[:2] == ["clip", "align"] and len(printed) == 5
    assert sorted(p.name for p in out.iterdir()) == ["align.csv", "align.json", "align.png"]
    table = pd.read_csv(out / "align.csv")
    assert list(table["align"]) == ["scatter", "permute", "cycles"]
    about = json.loads((out / "align.json").read_text())
    assert about["command"].startswith("python -m attnzoo align ") and about["hardware"]["cpu"]
    assert np.asarray(Image.open(out / "align.png").convert("RGB")).std() > 10


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "no clip given"),
        (["nowhere.mp4"], "nowhere.mp4: no such file"),
        (["nowhere.mp4", "--grid", "0"], "grid=0: must be from 1 to the 256 pixels"),
        (["nowhere.mp4", "--grid", "300"], "grid=300: must be"),
        (["nowhere.mp4", "--group", "0"], "group=0: must be at least one frame"),
        (["no.mp4", "--frames", "4", "--group", "5"], "group=5: must be at most the 4 frames"),
        (["nowhere.mp4", "--frames", "3"], "nowhere.mp4: no such file"),
    ],
)
def test_what_cannot_be_measured_is_refused(arguments: list[str], words: str) -> None:
    with pytest.raises(UserError, match=words):
        align_command.command(arguments)


@pytest.mark.skipif(CLIPS is None, reason="ATTNZOO_CLIPS names no folder of clips")
@pytest.mark.parametrize("clip", ["densepose/running", "videos/car-turn"])
def test_on_real_clips_cycles_do_no_harm_where_permute_may(clip: str) -> None:
    path = str(Path(CLIPS or "") / f"{clip}.mp4")
    found = aligned(path, pose="densepose" in clip)
    ratios = {row["align"]: row["after / before"] for row in found.rows()}
    assert ratios["cycles"] < 1 and ratios["scatter"] < 0.8
    assert ratios["permute"] > 1 if "car" in clip else ratios["permute"] < 0.9
