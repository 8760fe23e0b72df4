"""Data at size: many dances, the published folders, lists of dances, damage, one crop for all."""

from __future__ import annotations

import json
import logging
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from dances import (
    HEIGHT,
    WIDTH,
    folder,
    iuv,
    mask,
    picture,
    png,
    published,
    rewrite,
    tsv,
    write_tsv,
)
from PIL import Image

from attnzoo.data.flow_settings import FlowSource
from attnzoo.data.flow_source import with_flow
from attnzoo.data.kept import Kept
from attnzoo.data.tiktok import open_tiktok
from attnzoo.data.tiktok_split import dance_of
from attnzoo.data.tiktok_tsv import Tsv
from attnzoo.data.windows import Damaged
from attnzoo.errors import UserError

TOP = (HEIGHT - WIDTH) // 2
INSIDE = slice(TOP, TOP + WIDTH)


# --- many dances


def many(root: Path, dances: int, count: int, filling: int) -> Path:
    """TSV files of so many dances; pictures are `filling` letters that are none."""
    keys = [f"TiktokDance_{d:05d}_{i:04d}png" for d in range(dances) for i in range(count)]
    starts = [n // count * count for n in range(len(keys))]
    columns = {field: ["A" * filling] * len(keys) for field in ("images", "masks", "poses")}
    columns["vid2line"] = [json.dumps([s, s + count - 1]) for s in starts]
    for field, values in columns.items():
        write_tsv(root / f"train_{field}.tsv", list(zip(keys, values, strict=True)))
    (root / "train.yaml").write_text(
        "img: train_images.tsv\nmasks: train_masks.tsv\nposes: train_poses.tsv\n"
        "vid2line: train_vid2line.tsv\n"
    )
    return root


def test_opening_340_dances_reads_their_index_alone(tmp_path: Path) -> None:
    root = many(tmp_path, dances=340, count=16, filling=1000)
    size = sum(file.stat().st_size for file in root.iterdir())
    tracemalloc.start()
    try:
        source = open_tiktok(str(root))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert (len(source.train), len(source.test)) == (340, 340)
    assert size > 16e6
    assert peak < 6e6


def test_rows_may_be_read_from_several_threads(tmp_path: Path) -> None:
    rows = Tsv(many(tmp_path, dances=20, count=16, filling=50) / "train_vid2line.tsv")
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(rows.row, list(range(320)) * 4))
    assert [json.loads(row[1])[0] for row in found] == [n // 16 * 16 for n in range(320)] * 4


def test_all_dances_together_keep_no_more_than_the_limit() -> None:
    kept = Kept(100)
    assert [kept(i, 30, lambda i=i: i * i) for i in range(9)] == [i * i for i in range(9)]
    assert kept.held == 90
    made: list[int] = []
    for i in (8, 7, 0, 8):
        kept(i, 30, lambda i=i: made.append(i))
    assert made == [0]
    kept("large", 500, lambda: None)
    assert kept.held == 500


# --- the published folders


def test_the_published_folders(tmp_path: Path) -> None:
    source = open_tiktok(str(published(tmp_path, ("00002", "00010"), 18)))
    assert [clip.name for clip in source.test] == ["00002-00000", "00010-00000"]
    clip = source.train[1]
    values = (clip.video[2].movedim(0, -1).numpy() * 255).round()
    assert np.array_equal(values, picture(3)[INSIDE])
    assert np.array_equal(clip.mask[0].numpy() > 0, mask(1)[INSIDE])
    assert np.array_equal((clip.pose[0, :3].movedim(0, -1).numpy() * 255).round(), iuv(1)[INSIDE])
    on = torch.from_numpy(mask(1)[INSIDE])
    assert torch.equal(clip.pose[0, 3] * 255, torch.from_numpy(iuv(1)[INSIDE][..., 1]).float())
    wheel = 2 * clip.pose[0, 4:] - 1
    assert (wheel.square().sum(0)[on] - 1).abs().max() < 0.02
    assert not clip.pose[0, :, ~on].any()


def test_flow_by_iuv_follows_the_body_and_renderings_are_refused(tmp_path: Path) -> None:
    root = published(tmp_path / "iuv")
    clip = with_flow(open_tiktok(str(root)), FlowSource.iuv).test[0]
    assert clip.followed is not None
    flow = clip.followed(0, 3)
    on = torch.from_numpy(mask(0)[INSIDE])
    assert (flow[0][on] - 3).abs().max() < 0.01
    assert flow[1][on].abs().max() < 0.01
    assert not flow[:, ~on].any()
    for file in (root / "00001/densepose").iterdir():
        rendered = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
        rendered[mask(int(file.stem) - 1)] = (120, 40, 200)
        file.write_bytes(png(rendered))
    with pytest.raises(UserError, match="flow=iuv: the pose pictures hold no U and V"):
        with_flow(open_tiktok(str(root)), FlowSource.iuv)


# --- one crop for all


@pytest.mark.parametrize("size", [32, 64])
def test_picture_mask_pose_and_coordinates_are_cut_alike(tmp_path: Path, size: int) -> None:
    """The body's box is where the same box of the source lands, in every frame and condition."""
    clip = open_tiktok(str(published(tmp_path)), size=size).test[0]
    for i in (0, 6, 14):  # even, so that no cell of two pixels is mixed
        box = torch.from_numpy(mask(i)[INSIDE]).float()
        scale = WIDTH // size
        expected = box.unflatten(0, (size, scale)).unflatten(2, (size, scale)).mean((1, 3)) > 0.5
        body = {
            "picture": clip.video[i, 2] < 0.72,
            "mask": clip.body[i, 0] > 0,
            "pose": clip.pose[i, 0] > 0,
            "coordinates": clip.pose[i, 5] > 0,
        }
        for name, found in body.items():
            assert torch.equal(found, expected), name


def test_a_mask_of_twice_the_size_is_cut_to_the_same_place(tmp_path: Path) -> None:
    plain = open_tiktok(str(published(tmp_path))).test[0]
    for file in (tmp_path / "00001/masks").iterdir():
        image = Image.open(file)
        image.resize((2 * WIDTH, 2 * HEIGHT), Image.Resampling.NEAREST).save(file)
    assert torch.equal(open_tiktok(str(tmp_path)).test[0].body, plain.body)


# --- lists of dances


def test_lists_say_what_is_trained_on_and_what_is_tested(tmp_path: Path) -> None:
    names = ("00001", "00002", "00335", "00340", "00341")
    root = str(published(tmp_path / "data", names))
    source = open_tiktok(root, test="disco")
    assert [clip.name[:5] for clip in source.test] == ["00335", "00340"]
    assert [clip.name[:5] for clip in source.train] == ["00001", "00002", "00341"]
    assert source.split["test_sequences"] == {"00335": 16, "00340": 16}
    (tmp_path / "test.txt").write_text("# held out\n2\n\n00341  # the last\n")
    (tmp_path / "marked.txt").write_text("2\n00341\n", "utf-8-sig")  # as some editors begin it
    by_list = open_tiktok(root, test=str(tmp_path / "test.txt"))
    assert [clip.name[:5] for clip in by_list.test] == ["00002", "00341"]
    (tmp_path / "train.txt").write_text("00001\n")
    few = open_tiktok(root, train=str(tmp_path / "train.txt"), test=str(tmp_path / "test.txt"))
    assert [clip.name[:5] for clip in few.train] == ["00001"]
    every = open_tiktok(root)
    assert len({s.split_hash for s in (source, by_list, few, every)}) == 4
    for name in ("test.txt", "marked.txt"):
        assert by_list.split_hash == open_tiktok(root, test=str(tmp_path / name)).split_hash


def test_another_data_set_may_be_tested_on(tmp_path: Path) -> None:
    root, other = tsv(tmp_path / "train", ("000", "001")), tsv(tmp_path / "test", ("001", "007"))
    source = open_tiktok(str(root), test=str(other / "train.yaml"))
    assert [clip.name for clip in source.train] == ["Custom_000-00000"]
    assert [clip.name for clip in source.test] == ["Custom_001-00000", "Custom_007-00000"]


def test_a_dance_that_another_layout_calls_otherwise_is_not_trained_on(tmp_path: Path) -> None:
    root = folder(tmp_path / "train", ("00001", "00002", "002"))
    other = tsv(tmp_path / "test", ("00002",), prefix="TiktokDance")
    source = open_tiktok(str(root), test=str(other / "train.yaml"))
    assert [clip.name for clip in source.train] == ["00001-00000", "002-00000"]
    assert [clip.name for clip in source.test] == ["TiktokDance_00002-00000"]
    (tmp_path / "list.txt").write_text("00002\n")
    with pytest.raises(UserError, match=r"data.train and data.test both have 00002"):
        open_tiktok(str(root), train=str(tmp_path / "list.txt"), test=str(other / "train.yaml"))


def test_only_published_names_name_the_same_dance() -> None:
    names = ("TiktokDance_00335", "00335", "Custom_00335", "335", "TiktokDance_00335_1x1")
    assert [dance_of(name) for name in names] == ["00335", "00335", *names[2:]]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("00009\n", r"line 1: there is no dance 00009; there are 00001, 00002"),
        ("# nothing\n", r"names no dance; must hold one name on each line"),
        ("1\n2\n", r"leaves no dance to train on"),
        (None, r"list.txt: cannot be read \(No such file"),
    ],
)
def test_bad_lists(tmp_path: Path, text: str | None, message: str) -> None:
    root = published(tmp_path / "data", ("00001", "00002"))
    if text is not None:
        (tmp_path / "list.txt").write_text(text)
    with pytest.raises(UserError, match=message):
        open_tiktok(str(root), test=str(tmp_path / "list.txt"))


def test_disco_s_numbers_and_common_dances(tmp_path: Path) -> None:
    root = str(published(tmp_path / "data", ("00001", "00002")))
    with pytest.raises(UserError, match=r"data.test=disco: no dance has a number from 335 to 340"):
        open_tiktok(root, test="disco")
    (tmp_path / "both.txt").write_text("00001\n")
    both = str(tmp_path / "both.txt")
    with pytest.raises(UserError, match=r"data.train and data.test both have 00001"):
        open_tiktok(root, train=both, test=both)


def test_windows_may_begin_some_frames_apart(tmp_path: Path) -> None:
    source = open_tiktok(str(published(tmp_path, count=25)), every=4)
    assert [clip.name for clip in source.train] == ["00001-00000", "00001-00004", "00001-00008"]


# --- damage


def damaged(root: Path) -> Path:
    """Two dances of 20; of the first frame 19 is cut off and 20 has no mask."""
    folder(root, ("002", "003"), 20)
    (root / "002/000019.png").write_bytes(png(picture(18))[:150])
    (root / "002/groundsam/000020.png.mask.png").unlink()
    return root


def test_damage_is_refused_by_name(tmp_path: Path) -> None:
    root = damaged(tmp_path)
    with pytest.raises(UserError, match=r"000020\.png: has no mask; must be .*mask\.png or \.jpg"):
        open_tiktok(str(root))
    (root / "002/000020.png").unlink()
    with pytest.raises(UserError, match=r"000019\.png: damaged picture"):
        open_tiktok(str(root))


def test_skipped_windows_are_counted_and_not_replaced(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    root = damaged(tmp_path / "damaged")
    with caplog.at_level(logging.WARNING):
        source = open_tiktok(str(root), damaged=Damaged.skip)
    assert "2 damaged frames, 2 windows left out; the first: " in caplog.text
    assert [clip.name for clip in source.train] == [
        "002-00000", "002-00001", "002-00002", *(f"003-{i:05d}" for i in range(5)),
    ]  # fmt: skip
    skipped = source.split["skipped"]
    assert (skipped["windows"], skipped["frames"]) == (2, 2)
    assert sorted(skipped["damaged"]["002"]) == ["000019.png", "000020.png"]
    whole = open_tiktok(str(folder(tmp_path / "whole", ("002", "003"), 20)))
    for clip in source.train:
        same = next(c for c in whole.train if c.name == clip.name)
        assert torch.equal(clip.video, same.video)


def test_a_damaged_first_window_leaves_the_dance_without_a_test(tmp_path: Path) -> None:
    root = folder(tmp_path, ("002", "003"), 20)
    (root / "002/000003.png").write_bytes(b"")
    source = open_tiktok(str(root), damaged=Damaged.skip)
    assert [clip.name for clip in source.test] == ["003-00000"]
    assert [clip.name for clip in source.train][:3] == ["002-00003", "002-00004", "003-00000"]
    for file in (root / "003").glob("*.png"):
        file.write_bytes(b"")
    with pytest.raises(UserError, match="every window to test on holds a damaged frame"):
        open_tiktok(str(root), damaged=Damaged.skip)


def test_a_row_of_the_wrong_key_in_a_large_set_is_named_when_it_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("attnzoo.data.tiktok.CHECKED", 0)
    root = rewrite(tmp_path, "masks", lambda rows: rows.insert(3, rows.pop(4)))
    source = open_tiktok(str(root))
    with pytest.raises(
        UserError, match=r"train_masks.tsv: row 3 is of Custom_000_000005.png; must"
    ):
        source.train[0]
