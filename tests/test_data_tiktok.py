"""TikTok dances in DisCo's two layouts: made-up files, then the real ones where they are."""

from __future__ import annotations

import base64
import json
import logging
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from dances import (
    HEIGHT,
    WIDTH,
    Frame,
    folder,
    mask,
    picture,
    png,
    points,
    published,
    rewrite,
    tsv,
)
from PIL import Image

from attnzoo.data.tiktok import open_tiktok
from attnzoo.data.tiktok_take import BACKDROP, person
from attnzoo.data.windows import Short
from attnzoo.errors import UserError

CLIPS = os.environ.get("ATTNZOO_CLIPS")
TOP = (HEIGHT - WIDTH) // 2


def as_bytes(images: torch.Tensor) -> Frame:
    return (images.movedim(-3, -1).numpy() * 255).round().astype(np.uint8)


def test_a_folder_of_dances(tmp_path: Path) -> None:
    source = open_tiktok(str(folder(tmp_path, ("002", "010"), 18)))
    assert (source.name, source.frames, source.size) == ("tiktok", 16, 64)
    assert [clip.name for clip in source.train] == [
        f"{name}-{start:05d}" for name in ("002", "010") for start in range(3)
    ]
    assert [clip.name for clip in source.test] == ["002-00000", "010-00000"]
    assert source.split["sequences"] == {"002": 18, "010": 18}
    clip = source.train[1]
    square = slice(TOP, TOP + WIDTH)
    assert np.array_equal(as_bytes(clip.video[2]), picture(3)[square])
    assert np.array_equal(clip.body[2, 0].numpy() > 0, mask(3)[square])
    assert np.array_equal(clip.mask[0].numpy() > 0, mask(1)[square])
    assert torch.equal(clip.foreground, clip.video[0] * clip.mask)
    assert (clip.background - 200 / 255).abs().max() < 0.02
    assert clip.pose[:, :3].any()
    assert not clip.pose[:, 3:].any()
    assert torch.equal(clip.reference_pose, clip.pose[0])
    assert clip.flow is not None
    assert clip.flow(0, 3)[0].shape == (2, 64, 64)


def test_tsv_and_folder_give_the_same_clips(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        rows = open_tiktok(str(tsv(tmp_path / "tsv")))
    assert "names train_img.tsv, which is missing: train_images.tsv is read" in caplog.text
    files = open_tiktok(str(folder(tmp_path / "files", ("000", "001"))))
    assert [clip.name for clip in rows.test] == ["Custom_000-00000", "Custom_001-00000"]
    for a, b in zip(rows.train, files.train, strict=True):
        for field in ("video", "pose", "foreground", "mask", "background", "body"):
            assert torch.equal(getattr(a, field), getattr(b, field)), field


def test_the_yaml_itself_and_the_right_name(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    root = tsv(tmp_path)
    text = (root / "train.yaml").read_text().replace("train_img", "train_images")
    (root / "other.yaml").write_text(text)
    with caplog.at_level(logging.WARNING):
        source = open_tiktok(str(root / "other.yaml"))
    assert not caplog.text
    assert len(source.test) == 2
    with pytest.raises(UserError, match=r"holds other.yaml, train.yaml; name one of them"):
        open_tiktok(str(root))
    (root / "other.yaml").rename(root / "Other.YAML")
    (root / "train.yaml").unlink()
    for place in (root, root / "Other.YAML"):
        assert open_tiktok(str(place)).split["sequences"] == source.split["sequences"]


def test_poses_may_be_pictures(tmp_path: Path) -> None:
    drawn = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    drawn[40:50, 20:30] = (255, 85, 0)
    value = base64.b64encode(png(drawn)).decode()

    def change(rows: list[tuple[str, str]]) -> None:
        rows[:] = [(key, value) for key, _ in rows]

    clip = open_tiktok(str(rewrite(tmp_path, "poses", change))).test[0]
    assert np.array_equal(as_bytes(clip.pose[5, :3]), drawn[TOP : TOP + WIDTH])


def test_one_dance_of_several(tmp_path: Path) -> None:
    root = str(folder(tmp_path, ("002", "003")))
    source = open_tiktok(root, sequence="003")
    assert [clip.name for clip in source.test] == ["003-00000"]
    with pytest.raises(
        UserError, match=r"data.sequence=004: not in data.path=.*there are 002, 003"
    ):
        open_tiktok(root, sequence="004")


def test_the_folder_of_one_dance(tmp_path: Path) -> None:
    source = open_tiktok(str(folder(tmp_path) / "002"))
    assert [clip.name for clip in source.test] == ["002-00000"]


def test_dances_of_another_layout_are_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    open_tiktok(str(folder(tmp_path, ("002",)) / "002"))
    assert not caplog.text
    published(tmp_path, ("003", "004"))
    published(tmp_path / "more", ("005",))
    (tmp_path / "004/images").rename(tmp_path / "004/Images")
    source = open_tiktok(str(tmp_path))
    assert source.split["sequences"] == {"003": 16}
    said = f"data.path={tmp_path}: 3 left out that hold no dance as the others do: 002, 004, more"
    assert said in caplog.text


def test_missing_frames_are_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    root = folder(tmp_path, ("002", "003"), 18)
    open_tiktok(str(root))
    assert not caplog.text
    (root / "003/000005.png").unlink()
    open_tiktok(str(root))
    assert f"data.path={root}: frames are missing, and what remains counts" in caplog.text
    assert "as successive: 003 (5)" in caplog.text


def test_nobody_found_is_a_blank_pose(tmp_path: Path) -> None:
    root = folder(tmp_path)
    (root / "002/openpose_json/000003.png.json").write_text("[]")
    clip = open_tiktok(str(root)).test[0]
    assert clip.pose[1].any()
    assert not clip.pose[2].any()


def test_short_dances(tmp_path: Path) -> None:
    root = str(folder(tmp_path, count=9))
    with pytest.raises(UserError, match=r"002: 9 frames, but a clip takes 16: .*data.short=loop"):
        open_tiktok(root)
    clip = open_tiktok(root, short=Short.loop).test[0]
    assert torch.equal(clip.video[10], clip.video[6])
    assert len(open_tiktok(root, frames=9).train) == 1


def test_masks_of_each_kind() -> None:
    shown = mask(0)
    white = np.repeat(shown[..., None], 3, 2).astype(np.uint8) * 255
    coloured = np.where(shown[..., None], (253, 231, 36), BACKDROP).astype(np.uint8)
    several = coloured.copy()
    several[40:60, 20:30] = (49, 104, 142)
    noisy = (several.astype(int) + np.random.default_rng(0).integers(-9, 10, several.shape)).clip(
        0, 255
    )
    for image in (white, coloured, several, noisy.astype(np.uint8)):
        assert np.array_equal(person(image), shown)
    numbers = np.repeat(shown[..., None], 3, 2).astype(np.uint8) * 2
    assert np.array_equal(person(numbers, labels=True), shown)
    assert not person(numbers).any()
    assert not person(numbers * 0, labels=True).any()
    assert np.array_equal(person(white, labels=True), shown)


def test_coloured_masks_of_another_size(tmp_path: Path) -> None:
    root = folder(tmp_path)
    for i in range(16):
        file = root / f"002/groundsam/{i + 1:06d}.png.mask.png"
        file.unlink()
        coloured = np.where(mask(i)[..., None], (253, 231, 36), BACKDROP).astype(np.uint8)
        large = Image.fromarray(coloured).resize((WIDTH * 2, HEIGHT * 2), Image.Resampling.NEAREST)
        large.save(file.with_suffix(".jpg"), quality=95)
    clip = open_tiktok(str(root)).test[0]
    expected = mask(4)[TOP : TOP + WIDTH]
    found = clip.body[4, 0].numpy() > 0
    # JPEG halves the resolution of colour: the outline may move by a pixel.
    assert (found != expected).mean() < 0.05


def test_a_large_set_is_read_when_needed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("attnzoo.data.tiktok.CHECKED", 20)

    def change(rows: list[tuple[str, str]]) -> None:
        rows[25] = (rows[25][0], "damaged")

    source = open_tiktok(str(rewrite(tmp_path, "images", change)))
    assert source.train[0].video.shape == (16, 3, 64, 64)
    with pytest.raises(UserError, match=r"train_images.tsv: row 25 \(Custom_001_000010.png\)"):
        source.train[1]


def _file(change: Callable[[Path], object]) -> Callable[[Path], Path]:
    def made(root: Path) -> Path:
        change(folder(root))
        return root

    return made


def _row(field: str, number: int, value: str) -> Callable[[Path], Path]:
    def change(rows: list[tuple[str, str]]) -> None:
        rows[number] = (rows[number][0], value)

    return lambda root: rewrite(root, field, change)


def _text(name: str, change: Callable[[str], str]) -> Callable[[Path], Path]:
    def made(root: Path) -> Path:
        file = tsv(root) / name
        file.write_text(change(file.read_text()))
        return root

    return made


def _halves(root: Path) -> Path:
    def change(rows: list[tuple[str, str]]) -> None:
        for row in range(8):
            rows[row], rows[row + 8] = (rows[row][0], "[0, 7]"), (rows[row + 8][0], "[8, 15]")

    return rewrite(root, "vid2line", change)


def _outside(root: Path) -> Path:
    shutil.copy(tsv(root / "in") / "train_masks.tsv", root / "train_masks.tsv")
    return _text("train.yaml", lambda s: s.replace("train_masks", "../train_masks"))(root / "in")


def _small(folder_name: str, suffix: str) -> Callable[[Path], object]:
    image = np.zeros((48, 48, 3), np.uint8)
    return lambda root: (root / "002" / folder_name / f"000004.png{suffix}").write_bytes(png(image))


def _doubled(root: Path) -> Path:
    shutil.copy(root / "00001/masks/0004.png", root / "00001/masks/4.png")
    return root


BROKEN: dict[str, tuple[Callable[[Path], Path], str]] = {
    "missing": (lambda root: root / "none", "none: no such folder"),
    "empty": (lambda root: root, "no dances there; must hold folders of pictures with groundsam"),
    "no mask": (
        _file(lambda r: (r / "002/groundsam/000004.png.mask.png").unlink()),
        r"000004\.png: has no mask; must be .*000004\.png\.mask\.png or \.jpg",
    ),
    "no keypoints": (
        _file(lambda r: (r / "002/openpose_json/000004.png.json").unlink()),
        r"000004\.png: has no keypoints; must be .*000004\.png\.json",
    ),
    "sixteen keypoints": (
        _file(lambda r: (r / "002/openpose_json/000004.png.json").write_text(
            json.dumps([{"keypoints": points(0)[:16]}]))),
        r"000004\.png\.json: 16 keypoints; must be 17",
    ),
    "damaged frame": (
        _file(lambda r: (r / "002/000004.png").write_bytes(png(picture(0))[:150])),
        r"000004\.png: damaged picture",
    ),
    "two pictures for a frame": (
        _file(lambda r: (r / "002/000004.jpg").write_bytes(png(picture(0)))),
        r"002: holds 000004\.jpg and 000004\.png, two pictures for one frame",
    ),
    "two masks for a frame": (
        lambda r: _doubled(published(r)),
        r"masks: holds 0004\.png and 4\.png, two pictures for one frame",
    ),
    "unequal frames": (_file(_small("", "")), r"000004\.png: 48x48, the dance's first .* 64x96"),
    "mask of another shape": (
        _file(_small("groundsam", ".mask.png")), r"the mask is 48x48; must be .* 64x96",
    ),
    "broken base64": (_row("images", 5, "@@@"), r"row 5 \(Custom_000_000006.png\): broken base64"),
    "no picture": (_row("masks", 5, "aGVsbG8="), r"train_masks.tsv: row 5 .*not a picture"),
    "half a picture": (
        _row("images", 5, base64.b64encode(png(picture(0))[:160]).decode()), "row 5 .*damaged",
    ),
    "no second column": (_row("poses", 5, ""), "train_poses.tsv: row 5 .*has no second column"),
    "keypoints in a row": (
        _row("poses", 5, json.dumps([{"keypoints": [*points(0), [1, 1, 1]]}])),
        "train_poses.tsv: row 5 .*18 keypoints; must be 17",
    ),
    "pose of another size": (
        _row("poses", 5, base64.b64encode(png(np.zeros((48, 48, 3), np.uint8))).decode()),
        "row 5 .*the pose is 48x48; must be as large as the frame, 64x96",
    ),
    "rows of a dance": (_row("vid2line", 0, "[0, 99]"), r"row 0 .*must hold .*\[0, END\], END bel"),
    "rows of two dances": (
        _row("vid2line", 0, "[0, 31]"),
        r"row 16 \(Custom_001_000001.png\): lies among the rows of Custom_000; each dance must",
    ),
    "a dance of two halves": (
        lambda root: _halves(root), "rows 0 and 8 both begin a dance Custom_000; each must have a",
    ),
    "rows of no dance": (_row("vid2line", 16, "what"), r"row 16 .*must hold .*\[16, END\]"),
    "another key": (
        _text("train_masks.tsv", lambda s: s.replace("000_000003", "000_000009")),
        "train_masks.tsv: row 2 is of Custom_000_000009.png; must be of Custom_000_000003.png",
    ),
    "index that does not fit": (
        _text("train_images.lineidx", lambda s: s.replace("\n", "1\n", 3)), "(grow|no row begins)",
    ),
    "index of words": (_text("train_poses.lineidx", lambda s: "a\n" + s), "one byte offset a line"),
    "empty index": (_text("train_poses.lineidx", lambda s: ""), "lineidx: empty; must hold"),
    "index of fewer rows": (
        _text("train_poses.lineidx", lambda s: s[: s.rindex("\n", 0, -1) + 1]),
        "train_poses.tsv: 31 rows; train_images.tsv has 32",
    ),
    "cut off": (_text("train_images.tsv", lambda s: s[: len(s) // 2]), "bytes: cut off"),
    "no file": (
        _text("train.yaml", lambda s: s.replace("train_poses", "poses")),
        "train.yaml: poses: poses.tsv does not lie beside it",
    ),
    "outside": (_outside, r"train.yaml: masks: ../train_masks.tsv leaves the yaml's folder"),
    "absolute": (
        _text("train.yaml", lambda s: s.replace("train_masks", "/etc/train_masks")),
        "/etc/train_masks.tsv leaves the yaml's folder",
    ),
    "composite": (_text("train.yaml", lambda s: s.replace("false", "true")), "composite: true"),
    "fewer fields": (_text("train.yaml", lambda s: "img: a.tsv\n"), "must name a file for each of"),
    "no yaml": (_text("train.yaml", lambda s: "img: [\n"), "train.yaml: not YAML"),
}  # fmt: skip


@pytest.mark.parametrize(("checked", "frames"), [(32, [0, 5, 15]), (8, [0, 15])])
def test_other_pictures_under_the_same_names_are_another_split(
    checked: int, frames: list[int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("attnzoo.data.tiktok.CHECKED", checked)
    root = folder(tmp_path)
    found = {open_tiktok(str(root)).split_hash}
    for frame in frames:
        (root / f"002/{frame + 1:06d}.png").write_bytes(png(255 - picture(frame)))
        found.add(open_tiktok(str(root)).split_hash)
    assert len(found) == 1 + len(frames)


@pytest.mark.parametrize("case", BROKEN)
def test_bad_input_is_one_line(case: str, tmp_path: Path) -> None:
    made, message = BROKEN[case]
    with pytest.raises(UserError, match=message) as caught:
        open_tiktok(str(made(tmp_path)))
    assert "\n" not in str(caught.value)


def test_a_link_may_not_leave_the_folder(tmp_path: Path) -> None:
    root = tsv(tmp_path / "in")
    (root / "train_masks.tsv").rename(tmp_path / "away.tsv")
    (root / "train_masks.tsv").symlink_to(tmp_path / "away.tsv")
    with pytest.raises(UserError, match="leaves the yaml's folder"):
        open_tiktok(str(root))


@pytest.mark.skipif(CLIPS is None, reason="ATTNZOO_CLIPS names no folder of clips")
def test_real_dances_of_both_layouts() -> None:
    root = Path(CLIPS or "") / "tiktok"
    with pytest.raises(UserError, match="9 frames, but a clip takes 16"):
        open_tiktok(str(root / "tsv"))
    rows = open_tiktok(str(root / "tsv"), short=Short.loop)
    files = open_tiktok(str(root / "frames"), short=Short.loop)
    assert list(rows.split["sequences"].values()) == [9, 9, 9]
    assert files.split["sequences"] == {"002": 9}
    a, b = rows.test[2], files.test[0]
    assert (a.video - b.video).abs().mean() < 0.01
    assert (a.body - b.body).abs().mean() < 0.02
    assert (a.background - b.background).abs().mean() < 0.05
    lines = b.pose[:, :3].amax(1) > 0.3
    assert a.pose[:, :3].amax(1)[lines].mean() > 3 * a.pose[:, :3].amax(1)[~lines].mean()
