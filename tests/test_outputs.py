"""Loss curve, strip and video: what is in the files, read back."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from safetensors.torch import load_file
from tiny_run import FRAMES, SIZE, tiny_clip, tiny_experiment, tiny_run

from attnzoo.metrics.score import score
from attnzoo.train.outputs import (
    CELL,
    COLUMNS,
    LABEL,
    LINE,
    PANEL,
    Shown,
    enlarged,
    picture,
    write_loss,
    write_strip,
    write_video,
)
from attnzoo.train.settings import Precision


def flat(number: int, size: int = SIZE) -> Shown:
    """A clip of plain colours, so that compression keeps them."""
    clip = tiny_clip(number, "unseen person")
    ones = torch.ones(3, size, size)
    red, green, blue = (torch.tensor(c)[:, None, None] * ones for c in np.eye(3, dtype=np.float32))
    object.__setattr__(clip, "foreground", red)
    object.__setattr__(clip, "background", 0.5 * ones)
    object.__setattr__(clip, "video", torch.stack([blue] * FRAMES))
    object.__setattr__(clip, "pose", torch.stack([torch.cat([green, 0 * green])] * FRAMES))
    return Shown(clip, torch.stack([ones] * FRAMES))


COLOURS = {
    "reference": (255, 0, 0),
    "pose": (0, 255, 0),
    "generated": (255, 255, 255),
    "real": (0, 0, 255),
}


@given(height=st.integers(1, 40), width=st.integers(1, 40), least=st.integers(1, 100))
def test_enlarged_by_whole_squares(height: int, width: int, least: int) -> None:
    image = np.arange(height * width * 3, dtype=np.uint32).reshape(height, width, 3) % 251
    big = enlarged(image.astype(np.uint8), least)
    factor = big.shape[0] // height
    assert big.shape == (factor * height, factor * width, 3)
    assert big.shape[0] >= least and (factor == 1 or (factor - 1) * height < least)
    for y in range(factor):
        assert np.array_equal(big[y::factor, (factor - 1) :: factor], image)


def test_picture_rounds_and_clips() -> None:
    values = torch.tensor([-1.0, 0.0, 0.5, 1.0, 2.0]).expand(3, 1, 5)
    assert picture(values)[0, :, 1].tolist() == [0, 0, 128, 255, 255]


def test_strip_has_its_rows_in_order(tmp_path: Path) -> None:
    write_strip(tmp_path / "strip.png", [flat(0), flat(1)])
    with Image.open(tmp_path / "strip.png") as image:
        sheet = np.asarray(image)
    assert len(list(tmp_path.iterdir())) == 1
    block = LINE + 4 * (CELL + 2)
    assert sheet.shape == (2 * block, LABEL + FRAMES * (CELL + 2), 3)
    for top in (0, block):
        assert (sheet[top : top + LINE, :LABEL] < 128).any()  # a title
        for r, name in enumerate(COLUMNS):
            y = top + LINE + r * (CELL + 2)
            assert (sheet[y : y + CELL, :LABEL] < 128).any()  # a label
            for f in range(FRAMES if name != "reference" else 1):
                x = LABEL + f * (CELL + 2)
                assert (sheet[y : y + CELL, x : x + CELL] == COLOURS[name]).all()
    x = LABEL + CELL + 2
    assert (sheet[LINE : LINE + CELL, x : x + CELL] == 128).all()  # the background


@pytest.mark.parametrize("size", [16, 17, 300, 301])
def test_video_side_by_side(tmp_path: Path, size: int) -> None:
    path = tmp_path / "sample.mp4"
    write_video(path, [flat(0, size), flat(1, size)], fps=5)
    with av.open(str(path)) as file:
        stream = file.streams.video[0]
        assert stream.codec_context.name == "h264" and stream.average_rate == 5
        frames = [f.to_ndarray(format="rgb24") for f in file.decode(stream)]
    assert len(frames) == 2 * FRAMES
    height, width = frames[0].shape[:2]
    panel = enlarged(np.zeros((size, size, 3), np.uint8), PANEL).shape[0]
    assert panel >= PANEL and height % 2 == width % 2 == 0
    assert (height - LINE - panel, width - 4 * panel) in {(0, 0), (1, 0)}
    assert [p.name for p in tmp_path.iterdir()] == ["sample.mp4"]
    for frame in frames:
        for i, name in enumerate(COLUMNS):
            middle = frame[LINE + 40 : LINE + panel - 40, i * panel + 40 : (i + 1) * panel - 40]
            assert np.abs(middle.mean((0, 1)) - COLOURS[name]).max() < 6


def test_video_keeps_every_frame_apart(tmp_path: Path) -> None:
    shown = flat(0)
    levels = torch.linspace(0, 1, FRAMES)[:, None, None, None]
    grey = Shown(shown.clip, levels.expand(FRAMES, 3, SIZE, SIZE))
    write_video(tmp_path / "sample.mp4", [grey], fps=8)
    with av.open(str(tmp_path / "sample.mp4")) as file:
        frames = [f.to_ndarray(format="rgb24") for f in file.decode(video=0)]
    found = [f[LINE + 40 : -40, 2 * PANEL + 40 : 3 * PANEL - 40].mean() / 255 for f in frames]
    assert np.abs(np.array(found) - levels.flatten().numpy()).max() < 0.03


@pytest.mark.parametrize("steps", [0, 1, 19, 45])
def test_loss_curve(tmp_path: Path, steps: int) -> None:
    path = tmp_path / "loss.png"
    write_loss(path, {"stage 1": [1.0 / (i + 1) for i in range(steps)], "stage 2": [0.5] * 45})
    with Image.open(path) as image:
        assert image.format == "PNG" and image.width > 600
    assert [p.name for p in tmp_path.iterdir()] == ["loss.png"]


def test_loss_curves_of_other_losses_are_other_pictures(tmp_path: Path) -> None:
    falling, rising = ([float(i) for i in range(*ends)] for ends in ((50, 5, -1), (5, 50)))
    drawn = []
    for name, losses in (("a", falling), ("b", rising), ("c", falling)):
        write_loss(tmp_path / f"{name}.png", {"stage 1": losses, "stage 2": [0.5] * 45})
        drawn.append((tmp_path / f"{name}.png").read_bytes())
    assert drawn[0] != drawn[1] and drawn[0] == drawn[2]


def test_a_run_leaves_all_of_them_and_the_real_scores(tmp_path: Path) -> None:
    experiment = tiny_experiment("stsa", precision=Precision.bf16, options={"size": [2, 2, 2]})
    record, weights = tiny_run(tmp_path, experiment, scores=score, pictures=True)
    assert all(t.dtype == torch.float32 for t in weights.values() if t.is_floating_point())
    assert record["precision"] == "bf16" and record["options"]["size"] == [2, 2, 2]
    assert record["scores"]["l1"]["value"] > 0 and "warp_error_1" in record["scores"]
    assert record["sampling"]["scenarios"] == ["seen", "unseen"]
    left = {p.name for p in tmp_path.iterdir()}
    assert left == {"record.json", *record["files"]}
    kept = load_file(tmp_path / "weights.safetensors")
    assert all(torch.equal(tensor, weights[name]) for name, tensor in kept.items())
    assert {n for n in weights if n.startswith(("unet.", "image_projection."))} == set(kept)
    block = LINE + 4 * (CELL + 2)
    with Image.open(tmp_path / "strip.png") as strip:
        assert strip.height == 2 * block


LITTLE = """
import resource, sys
import subprocess
import sys
from pathlib import Path
import numpy as np
from attnzoo.errors import lacking
from attnzoo.train.outputs import encode

path, most = Path(sys.argv[1]), resource.getrlimit(resource.RLIMIT_AS)
for mebibytes in (0.5, 2, 8, 16, 24, 32, 48, 64, 1024):
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    allowed = pages * resource.getpagesize() + int(mebibytes * 2**20)
    resource.setrlimit(resource.RLIMIT_AS, (allowed, most[1]))
    try:
        encode(path, [np.zeros((512, 512, 3), np.uint8)] * 3, 8)
        said = "done"
    except Exception as error:
        said = "lacks" if lacking(error) else repr(error)
    resource.setrlimit(resource.RLIMIT_AS, most)
    print(said, path.exists())
"""


def test_too_little_memory_for_the_encoder_is_told_as_that(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    command = [sys.executable, "-c", LITTLE, str(path)]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    assert told[0] == "lacks False" and told[-1] == "done True"
    assert set(told) <= {"lacks False", "lacks True", "done True"}
    assert [p.name for p in tmp_path.iterdir()] == ["a.mp4"]
