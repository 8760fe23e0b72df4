"""`python -m attnzoo flow`: tables and pictures that compare the sources of flow."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from attnzoo import flow as flow_command
from attnzoo.errors import UserError
from attnzoo.testing.flow_pictures import colours, wheel
from attnzoo.testing.flow_sources import BINS, NOTHING


@pytest.fixture(scope="module")
def poses(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A body with texture that moves 2 pixels a frame on black, and shows no surface."""
    folder = tmp_path_factory.mktemp("poses")
    coarse = np.random.default_rng(0).integers(60, 250, (16, 16, 3)).astype(np.uint8)
    body = cv2.resize(coarse, (120, 120), interpolation=cv2.INTER_CUBIC)
    for k in range(3):
        picture = np.zeros((256, 256, 3), np.uint8)
        picture[60:180, 50 + 8 * k : 170 + 8 * k] = body
        Image.fromarray(picture).save(folder / f"{k}.png")
    return folder


def test_the_command_prints_and_writes(
    poses: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "new" / "out"
    given = ["--count", "1", "--frames", "3", "--pose", str(poses), "--out", str(out)]
    flow_command.command(given)
    printed = capsys.readouterr().out
    assert "flow=iuv: the pose pictures hold no U and V" in printed
    assert "RAFT is left out" in printed
    names = ["clips.csv", "clips.png", "dancers.csv", "dancers.png", "flow.json", "flow.md"]
    assert sorted(p.name for p in out.iterdir()) == names
    table = pd.read_csv(out / "dancers.csv", keep_default_na=False, na_values=[""])
    rows = {(r["camera"], r["source"], r["frames"]): r for _, r in table.iterrows()}
    for camera in ("still", "moving"):
        one = {name: rows[camera, name, 1]["error"] for name in set(table["source"])}
        assert one["iuv"] < one["skeleton"] < one[NOTHING]
        assert one["classical dis"] < one[NOTHING]
    assert set(table["frames"]) == {1, 2} and set(BINS) < set(table)
    assert rows["still", "iuv", 1]["background"] == 0 < rows["moving", "iuv", 1]["background"]
    clips = pd.read_csv(out / "clips.csv").set_index("source")
    assert clips.loc["classical dis", "photometric"] < 0.5 * clips.loc[NOTHING, "photometric"]
    assert clips.loc["classical dis", "length"] == pytest.approx(8, abs=1)
    assert clips.loc["classical dis", "cycle"] < 1 and "iuv" not in clips.index
    about = json.loads((out / "flow.json").read_text())
    assert about["command"].startswith("python -m attnzoo flow ") and about["hardware"]["cpu"]
    for name in ("clips.png", "dancers.png"):
        assert np.asarray(Image.open(out / name).convert("RGB")).std() > 10


def test_colours_say_direction_and_length() -> None:
    flow = torch.zeros(2, 1, 4)
    flow[0, 0, 1:] = torch.tensor([2.0, 4.0, -4.0])
    still, half, right, left = colours(flow, 4.0)[0]
    assert np.allclose(still, 1) and np.allclose(right, (1, 0, 0), atol=1e-6)
    assert np.allclose(half, (1, 0.5, 0.5), atol=1e-6) and np.allclose(left, (0, 1, 1), atol=1e-6)
    assert np.allclose(wheel(11)[5, 5], 1) and np.allclose(wheel(11)[0, 0], 1)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--count", "0"], "--count 0: must be at least one clip"),
        (["--frames", "1"], "data.frames=1: must be at least 2"),
        (["--pose", "nowhere.mp4"], "nowhere.mp4: no such file"),
        (["--weights", "nowhere.pth"], "motion.weights=nowhere.pth: no such file"),
    ],
)
def test_what_cannot_be_compared_is_refused(arguments: list[str], words: str) -> None:
    with pytest.raises(UserError, match=words):
        flow_command.command(arguments)
