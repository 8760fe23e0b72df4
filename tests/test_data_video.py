"""Videos and folders of frames as data: made-up files, then the real clips where they are."""

from __future__ import annotations

import os
import struct
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from functools import partial
from itertools import islice, pairwise
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from av.stream import Disposition
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from attnzoo.composing import composed
from attnzoo.config import source_of
from attnzoo.data import video as video_module
from attnzoo.data.clip import collate
from attnzoo.data.frames import frames_of, gaps, square
from attnzoo.data.source import Source
from attnzoo.data.spool import Spool
from attnzoo.data.whole import lacks
from attnzoo.data.windows import Frame, Short, all_starts, places, separate_starts, span, without
from attnzoo.errors import UserError
from attnzoo.metrics.warp_error import correspondence, warp_error
from attnzoo.scoring.reading import shape_of

Frames = NDArray[np.uint8]

open_video = partial(video_module.open_video, windows=0)

CLIPS = os.environ.get("ATTNZOO_CLIPS")
needs_clips = pytest.mark.skipif(CLIPS is None, reason="ATTNZOO_CLIPS names no folder of clips")


def moving(count: int, size: int = 64, *, seed: int = 0) -> Frames:
    """A texture that moves 2 pixels to the right in each frame, `[count, size, size, 3]`."""
    rng = np.random.default_rng(seed)
    coarse = Image.fromarray(rng.integers(0, 256, (16, 16, 3), np.uint8))
    wide = np.asarray(coarse.resize((size * 2, size), Image.Resampling.BICUBIC))
    return np.stack([np.roll(wide, 2 * i, 1)[:, :size] for i in range(count)])


def dancing(count: int, size: int = 64) -> Frames:
    """DensePose-like: a body of flat colours that moves over an even background."""
    frames = np.full((count, size, size, 3), (68, 0, 83), np.uint8)
    for i, frame in enumerate(frames):
        frame[16:56, 10 + i : 30 + i] = (40, 120, 140)
        frame[20:30, 14 + i : 26 + i] = (220, 220, 40)
    return frames


def write_video(path: Path, frames: Frames) -> Path:
    """Lossless in Matroska, H.264 in MP4."""
    lossless = path.suffix == ".mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1" if lossless else "libx264", rate=10)
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt = "bgr0" if lossless else "yuv420p"
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode(None))
    return path


def write_folder(path: Path, frames: Frames) -> Path:
    path.mkdir()
    for i, frame in enumerate(frames):
        Image.fromarray(frame).save(path / f"{i + 1}.png")
    return path


def as_bytes(video: torch.Tensor) -> Frames:
    return (video.permute(0, 2, 3, 1).numpy() * 255).round().astype(np.uint8)


def test_windows_of_a_lossless_video_are_its_frames(tmp_path: Path) -> None:
    frames = moving(40)
    source = open_video(str(write_video(tmp_path / "a.mkv", frames)))
    assert (source.name, source.frames, source.size) == ("video", 16, 64)
    assert len(source.train) == 25
    assert len(source.test) == 2
    for start, clip in ((3, source.train[3]), (16, source.test[1])):
        assert np.array_equal(as_bytes(clip.video), frames[start : start + 16])
        assert clip.name == f"a-{start:05d}"
        assert not clip.pose.any()
        assert clip.pose.shape == (16, 6, 64, 64)
        assert not clip.body.any()
        assert clip.mask.all()
        assert torch.equal(clip.foreground, clip.video[0])
        median = np.median(frames, 0).round().astype(np.uint8)
        assert np.array_equal(as_bytes(clip.background[None])[0], median)
    assert [clip.name for clip in source.train[-2:]] == ["a-00023", "a-00024"]


def test_a_folder_is_read_in_the_order_of_its_numbers(tmp_path: Path) -> None:
    frames = moving(12)
    source = open_video(str(write_folder(tmp_path / "f", frames)), frames=12)
    assert np.array_equal(as_bytes(source.test[0].video), frames)
    (tmp_path / "f" / "notes.txt").write_text("no frame")
    (tmp_path / "f" / ".hidden.png").write_text("no frame")
    again = open_video(str(tmp_path / "f"), frames=12)
    assert again.split_hash == source.split_hash


def test_the_hash_of_the_split_follows_the_content(tmp_path: Path) -> None:
    hashes = set()
    for name, seed, size in (("a", 0, 64), ("b", 1, 64), ("c", 0, 32)):
        (tmp_path / name).mkdir()
        path = write_folder(tmp_path / name / "f", moving(16, seed=seed))
        hashes.add(open_video(str(path), size=size).split_hash)
    assert len(hashes) == 3


def test_stride_takes_frames_apart(tmp_path: Path) -> None:
    frames = moving(20)
    source = open_video(str(write_folder(tmp_path / "f", frames)), frames=4, stride=3)
    assert len(source.train) == 11
    assert len(source.test) == 2
    assert np.array_equal(as_bytes(source.test[1].video), frames[10:20:3])


@given(st.integers(32, 97), st.integers(32, 97), st.sampled_from([8, 16, 32]))
@settings(max_examples=20, deadline=None)
def test_a_square_is_the_centre_reduced_by_area(height: int, width: int, size: int) -> None:
    rng = np.random.default_rng(height * 100 + width)
    image = rng.integers(0, 256, (height, width, 3), np.uint8)
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    share = np.zeros((size, side))
    for cell in range(size):
        low, high = cell * side / size, (cell + 1) * side / size
        for pixel in range(side):
            share[cell, pixel] = max(0.0, min(high, pixel + 1) - max(low, pixel)) * size / side
    centre = image[top : top + side, left : left + side].astype(np.float64)
    expected = np.einsum("ip,pqc,jq->ijc", share, centre, share)
    assert np.abs(square(image, size) - expected).max() <= 1.0


@given(st.integers(1, 30), st.integers(2, 40), st.integers(1, 5))
@settings(max_examples=60, deadline=None)
def test_which_frames_a_clip_takes(count: int, frames: int, stride: int) -> None:
    to_and_fro = [*range(count), *range(count - 2, 0, -1)]
    for start in all_starts(count, frames, stride):
        expected = [to_and_fro[(start + i * stride) % len(to_and_fro)] for i in range(frames)]
        assert list(places(start, count, frames, stride)) == expected
    starts = separate_starts(count, frames, stride)
    assert starts[0] == 0
    assert len(starts) == max(1, count // span(frames, stride))
    taken = [range(s, s + span(frames, stride)) for s in starts]
    assert all(a.stop <= b.start for a, b in pairwise(taken))
    assert len(starts) == 1 or taken[-1].stop <= count


def test_few_windows_are_trained_on_and_tested_alike(tmp_path: Path) -> None:
    path = str(write_folder(tmp_path / "f", moving(40)))
    names = {
        count: [[clip.name for clip in part] for part in (source.train, source.test)]
        for count in (1, 2, 9)
        for source in [video_module.open_video(path, windows=count)]
    }
    assert names[1] == [["f-00000"]] * 2
    assert names[2] == names[9] == [["f-00000", "f-00016"]] * 2
    with pytest.raises(UserError, match=r"data\.windows=-1: must be at least 0"):
        video_module.open_video(path, windows=-1)


def test_fewer_windows_than_asked_for_are_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = str(write_folder(tmp_path / "f", moving(9)))
    line = ["attn=none", "data=video", f"data.path={path}", "data.frames=4"]
    assert len(source_of(composed([*line, "data.windows=2"])).train) == 2
    assert not caplog.text
    assert len(source_of(composed([*line, "data.windows=50"])).train) == 2
    assert "data.windows=50: the video has 2 without a common frame" in caplog.text


def test_a_short_video_is_refused_or_loops(tmp_path: Path) -> None:
    frames = moving(9)
    path = str(write_folder(tmp_path / "f", frames))
    with pytest.raises(UserError, match=r"9 frames, but a clip takes 16: .*data.short=loop"):
        open_video(path)
    source = open_video(path, short=Short.loop)
    assert len(source.train) == len(source.test) == 1
    order = [*range(9), *range(7, 0, -1)]
    assert np.array_equal(as_bytes(source.test[0].video), frames[order])
    flow = source.test[0].flow
    assert flow is not None
    assert torch.equal(flow(7, 8)[0], flow(9, 8)[0])


def test_one_frame_loops_without_motion(tmp_path: Path) -> None:
    path = write_folder(tmp_path / "f", moving(1))
    clip = open_video(str(path), frames=3, short=Short.loop).test[0]
    assert torch.equal(clip.video[0], clip.video[2])
    assert clip.flow is not None
    assert clip.flow(0, 2)[0].abs().max() < 0.05


def test_declared_rotation_is_applied(tmp_path: Path) -> None:
    frames = np.zeros((4, 64, 96, 3), np.uint8)
    frames[:, :, :48] = 255  # white on the left
    path = write_video(tmp_path / "a.mp4", frames)
    data = bytearray(path.read_bytes())
    header = data.index(b"tkhd")
    matrix = header + 4 + 40  # version 0: nine numbers of 32 bits
    assert struct.unpack_from(">9i", data, matrix) == (65536, 0, 0, 0, 65536, 0, 0, 0, 1 << 30)
    # A quarter turn clockwise, (x, y) -> (-y, x): what a phone held upright declares.
    struct.pack_into(">9i", data, matrix, 0, 65536, 0, -65536, 0, 0, 0, 0, 1 << 30)
    path.write_bytes(data)
    shown = next(frames_of(path, "data.path"))
    assert shown.shape == (96, 64, 3)
    assert shown[:40].min() > 200  # left has become top
    assert shown[56:].max() < 50


def test_exif_rotation_is_applied(tmp_path: Path) -> None:
    image = Image.fromarray(np.zeros((40, 60, 3), np.uint8))
    exif = Image.Exif()
    exif[0x0112] = 6  # a quarter turn clockwise
    image.save(tmp_path / "1.jpg", exif=exif)
    assert next(frames_of(tmp_path, "data.path")).shape == (60, 40, 3)


def test_one_file_as_video_and_pose(tmp_path: Path) -> None:
    frames = dancing(16)
    path = str(write_video(tmp_path / "a.mkv", frames))
    clip = open_video(path, pose=path).test[0]
    empty = (frames == (68, 0, 83)).all(-1)
    shown = np.where(empty[..., None], 0, frames)
    assert np.array_equal(as_bytes(clip.pose[:, :3]), shown)
    assert not clip.pose[:, 3:].any()
    assert np.array_equal(clip.body[:, 0].numpy() > 0, ~empty)
    assert torch.equal(clip.reference_pose, clip.pose[0])
    assert np.array_equal(as_bytes(clip.video), frames)
    assert clip.flow is not None
    flow, seen = clip.flow(3, 4)
    assert not flow[:, torch.from_numpy(empty[3])].any()
    inside = flow[:, 20:52, 16:30]
    assert inside[0].mean() == pytest.approx(1, abs=0.2)
    assert inside[1].abs().mean() < 0.1
    assert seen.float().mean() > 0.9


def test_a_pose_without_even_background_stays_as_it_is(tmp_path: Path) -> None:
    frames, poses = moving(16), moving(16, seed=5)
    video, pose = write_folder(tmp_path / "v", frames), write_folder(tmp_path / "p", poses)
    clip = open_video(str(video), pose=str(pose)).test[0]
    assert np.array_equal(as_bytes(clip.pose[:, :3]), poses)
    assert np.array_equal(as_bytes(clip.video), frames)
    assert not clip.body.any()


def test_a_mask_splits_person_and_background(tmp_path: Path) -> None:
    frames = np.full((16, 64, 64, 3), 200, np.uint8)
    masks = np.zeros_like(frames)
    for i in range(16):
        frames[i, 20:50, 10 + i : 30 + i] = (30, 60, 90)
        masks[i, 20:50, 10 + i : 30 + i] = 255
    video, mask = write_folder(tmp_path / "v", frames), write_folder(tmp_path / "m", masks)
    clip = open_video(str(video), mask=str(mask)).test[0]
    assert np.array_equal(clip.body[:, 0].numpy() * 255, masks[..., 0])
    assert torch.equal(clip.mask, clip.body[0])
    assert torch.equal(clip.foreground, clip.video[0] * clip.mask)
    assert (clip.background - 200 / 255).abs().max() < 0.02


def test_nothing_to_paint_from_gives_black() -> None:
    image = np.full((32, 32, 3), 7, np.uint8)
    assert not without(image, np.ones((32, 32), bool)).any()


def test_frames_come_one_by_one(tmp_path: Path) -> None:
    path = write_folder(tmp_path / "f", moving(5))
    (path / "4.png").write_bytes((path / "4.png").read_bytes()[:200])
    frames = frames_of(path, "data.path")
    assert len(list(islice(frames, 3))) == 3
    with pytest.raises(UserError, match=r"4\.png: damaged picture"):
        next(frames)


def test_what_memory_has_no_room_for_lies_in_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = str(write_folder(tmp_path / "f", moving(25)))
    whole = open_video(path, windows=0)
    monkeypatch.setattr(Spool.__init__, "__defaults__", (1_000_000,))
    source = open_video(path, windows=0)
    recording = source.train.starts[0][0]  # type: ignore[attr-defined]
    assert 0 < len(recording._frames._kept) < 5
    assert len(recording._frames) == source.split["frames_used"] == 25
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(source.train.__getitem__, range(10)))
    for a, b in zip(found, whole.train, strict=True):
        assert torch.equal(a.video, b.video)
        assert torch.equal(a.background, b.background)


def test_a_disk_that_takes_a_part_is_given_the_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    frames = [
        Frame(picture, None, None, picture[..., 0])
        for picture in np.random.default_rng(0).integers(0, 256, (3, 64, 64, 3), np.uint8)
    ]
    write = os.pwrite
    monkeypatch.setattr(os, "pwrite", lambda file, data, at: write(file, data[:7], at))
    spool = Spool(frames, limit=0)
    monkeypatch.undo()
    assert all(np.array_equal(spool[i].picture, frames[i].picture) for i in range(3))


def test_clips_are_the_same_from_several_threads(tmp_path: Path) -> None:
    path = str(write_folder(tmp_path / "f", moving(18)))

    def flows(source: Source, index: int) -> torch.Tensor:
        flow = source.train[index].flow
        assert flow is not None
        return torch.stack([flow(0, 15)[0], flow(9, 2)[0]])

    alone, together = open_video(path), open_video(path)
    expected = [flows(alone, i) for i in range(3)]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda i: flows(together, i), range(3)))
    assert all(torch.equal(a, b) for a, b in zip(expected, found, strict=True))


def test_clips_stack_into_a_batch_with_motion(tmp_path: Path) -> None:
    source = open_video(str(write_folder(tmp_path / "f", moving(18))))
    batch = collate([source.train[0], source.train[2]])
    assert batch.motion is not None
    flow = batch.motion.to([8] * 16, 16, 16)
    assert flow.shape == (2, 16, 2, 16, 16)
    # 2 pixels a frame over 8 frames, a cell is 4 pixels; away from the borders.
    assert flow[:, 0, 0, 4:12, 4:10].median().item() == pytest.approx(4, abs=0.2)


class Files:
    """Broken inputs, by name: the arguments of `open_video` and what its error must say."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def good(self, count: int = 16, size: int = 64) -> str:
        path = self.folder / f"good{count}x{size}"
        return str(path if path.exists() else write_folder(path, moving(count, size)))

    def written(self, name: str, data: bytes) -> str:
        (self.folder / name).write_bytes(data)
        return str(self.folder / name)

    def mp4(self) -> bytes:
        frames = np.random.default_rng(0).integers(0, 256, (20, 64, 64, 3), np.uint8)
        return write_video(self.folder / "whole.mp4", frames).read_bytes()


def _missing(files: Files) -> tuple[dict[str, object], str]:
    return {"path": str(files.folder / "none.mp4")}, r"data.path=.*none.mp4: no such file"


def _empty_file(files: Files) -> tuple[dict[str, object], str]:
    return {"path": files.written("e.mp4", b"")}, r"e\.mp4: an empty file"


def _no_video(files: Files) -> tuple[dict[str, object], str]:
    return {"path": files.written("t.mp4", b"hello " * 99)}, r"t\.mp4: cannot be decoded at its"


def _damaged(files: Files) -> tuple[dict[str, object], str]:
    data = bytearray(files.mp4())
    start = data.index(b"mdat") + 4 + len(data) // 3
    data[start : start + 4000] = bytes(4000)
    return {"path": files.written("d.mp4", bytes(data))}, r"d\.mp4: .*(damaged|cannot be decoded)"


def _cut_off(files: Files) -> tuple[dict[str, object], str]:
    data = files.mp4()
    # The index first, as in files made for the web: then half of the frames can be found.
    mdat, moov = data.index(b"mdat") - 4, data.index(b"moov") - 4
    index = bytearray(data[moov:])
    table = index.index(b"stco") + 8
    (entries,) = struct.unpack_from(">i", index, table)
    for i in range(entries):
        place = table + 4 + 4 * i
        (offset,) = struct.unpack_from(">i", index, place)
        struct.pack_into(">i", index, place, offset + len(index))
    whole = data[:mdat] + bytes(index) + data[mdat:moov]
    assert len(list(frames_of(Path(files.written("w.mp4", whole)), "data.path"))) == 20
    cut = whole[: len(whole) * 2 // 3]
    return {"path": files.written("c.mp4", cut)}, r"c\.mp4: .*(cut off|damaged|cannot be decoded)"


def _no_pictures(files: Files) -> tuple[dict[str, object], str]:
    (files.folder / "bare").mkdir()
    return {"path": str(files.folder / "bare")}, r"bare: no pictures in this folder \(\.png"


def _broken_picture(files: Files) -> tuple[dict[str, object], str]:
    path = Path(files.good())
    (path / "7.png").write_bytes((path / "7.png").read_bytes()[:300])
    return {"path": str(path)}, r"7\.png: damaged picture"


def _no_picture(files: Files) -> tuple[dict[str, object], str]:
    path = Path(files.good())
    (path / "7.png").write_text("hello")
    return {"path": str(path)}, r"7\.png: not a picture"


def _deep_picture(files: Files) -> tuple[dict[str, object], str]:
    path = Path(files.good())
    Image.fromarray(np.zeros((64, 64), np.uint16)).save(path / "7.png")
    return {"path": str(path)}, r"7\.png: I;16 pixels; a frame has 8 bits a channel"


def _unequal_frames(files: Files) -> tuple[dict[str, object], str]:
    path = Path(files.good())
    Image.fromarray(moving(1, 48)[0]).save(path / "7.png")
    return {"path": str(path)}, "frame 6 is 48x48, the first one 64x64"


def _other_picture(files: Files) -> tuple[dict[str, object], str]:
    path = Path(files.good())
    (path / "7.png").rename(path / "7.TIF")
    return {"path": str(path)}, r"good16x64: holds 7\.TIF beside its frames; a frame is a picture"


def _another_of_one_name(files: Files) -> tuple[dict[str, object], str]:
    path = Path(files.good())
    (path / "7.jpg").write_bytes((path / "8.png").read_bytes())
    return {"path": str(path)}, r"good16x64: holds 7\.jpg and 7\.png, two pictures for one frame"


def _another_of_one_number(files: Files) -> tuple[dict[str, object], str]:
    path = Path(files.good())
    (path / "07.png").write_bytes((path / "8.png").read_bytes())
    return {"path": str(path)}, r"good16x64: holds 07\.png and 7\.png, two pictures for one frame"


def _gif_among_frames(files: Files) -> tuple[dict[str, object], str]:
    path = Path(files.good())
    (path / "17.gif").write_bytes((path / "8.png").read_bytes())
    return {"path": str(path)}, r"good16x64: holds 17\.gif beside its frames"


def _pose_with_a_gap(files: Files) -> tuple[dict[str, object], str]:
    path, pose = Path(files.good()), Path(files.good(17))
    (pose / "9.png").unlink()
    said = rf"data.pose={pose}: its frame 8 has number 9, counted from its first one's, that of"
    return {"path": str(path), "pose": str(pose)}, said


def _short_pose(files: Files) -> tuple[dict[str, object], str]:
    pose = files.good(9)
    return {"path": files.good(), "pose": pose}, "data.pose=.*good9x64: 9 frames; the video has"


def _small_pose(files: Files) -> tuple[dict[str, object], str]:
    pose = files.good(16, 48)
    return {"path": files.good(), "pose": pose}, "data.pose=.*: 48x48; must be as large .*64x64"


def _missing_pose(files: Files) -> tuple[dict[str, object], str]:
    return {"path": files.good(), "pose": "nowhere.mp4"}, "data.pose=nowhere.mp4: no such file"


def _short_mask(files: Files) -> tuple[dict[str, object], str]:
    return {"path": files.good(), "mask": files.good(3)}, "data.mask=.*: 3 frames; the video has"


def _mask_of_ones(files: Files) -> tuple[dict[str, object], str]:
    mask = write_folder(files.folder / "m", np.ones((16, 64, 64, 3), np.uint8))
    said = r"data.mask=.*m: shows nobody where a window begins: its largest value is 1; it must be"
    return {"path": files.good(), "mask": str(mask)}, said


def _mask_of_nobody(files: Files) -> tuple[dict[str, object], str]:
    mask = np.zeros((16, 64, 64, 3), np.uint8)
    mask[9] = 255
    said = r"data.mask=.*m: shows nobody where a window begins: it must be white \(255\)"
    path = write_folder(files.folder / "m", mask)
    return {"path": files.good(), "mask": str(path)}, said


def _odd_size(files: Files) -> tuple[dict[str, object], str]:
    return {"path": files.good(), "size": 60}, "data.size=60: must be a multiple of 8"


def _one_frame(files: Files) -> tuple[dict[str, object], str]:
    return {"path": files.good(), "frames": 1}, "data.frames=1: must be at least 2"


def _no_stride(files: Files) -> tuple[dict[str, object], str]:
    return {"path": files.good(), "stride": 0}, "data.stride=0: must be at least 1"


def _wide_stride(files: Files) -> tuple[dict[str, object], str]:
    return {"path": files.good(), "stride": 2}, "16 frames, but a clip takes 16, 2 apart: .* 31"


@pytest.mark.parametrize(
    "broken",
    [
        _missing, _empty_file, _no_video, _damaged, _cut_off, _no_pictures, _broken_picture,
        _no_picture, _deep_picture, _unequal_frames, _other_picture, _another_of_one_name,
        _another_of_one_number, _gif_among_frames, _pose_with_a_gap,
        _short_pose, _small_pose, _missing_pose, _short_mask, _mask_of_ones, _mask_of_nobody,
        _odd_size, _one_frame, _no_stride, _wide_stride,
    ],
    ids=lambda f: f.__name__.strip("_"),
)  # fmt: skip
def test_bad_input_is_one_line(broken, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    arguments, message = broken(Files(tmp_path))
    path = arguments.pop("path")
    with pytest.raises(UserError, match=message) as caught:
        open_video(path, **arguments)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("numbers", "lacking"),
    [
        ([1, 2, 3, 4, 7, 8], "5, 6"),
        ([1, 3, 5, 7, 11], "9"),
        ([*range(4), *range(12, 20)], "4, 5, 6, 7, ..."),
        ([1, 3, 5, 7], ""),
        ([1001, 1034, 1067, 1101, 1134], ""),
        ([5], ""),
        ([], ""),
    ],
)
def test_gaps_are_where_the_step_is_broken(numbers: list[int], lacking: str) -> None:
    assert gaps([Path(f"v2-{number}.png") for number in numbers]) == lacking


def test_missing_frames_and_folders_below_are_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = write_folder(tmp_path / "f", moving(12))
    open_video(str(path), frames=4)
    assert not caplog.text
    for number in (5, 6):
        (path / f"{number}.png").unlink()
    write_folder(path / "more", moving(2))
    open_video(str(path), frames=4)
    assert f"data.path={path}: 5, 6 missing among its frames" in caplog.text
    assert f"data.path={path}: folders of pictures below it are left out: more" in caplog.text


def write_streams(path: Path, other: str, kind: Disposition = Disposition.default) -> Path:
    """A bright video of 8 frames beside another stream of pictures, which is dark."""
    with av.open(str(path), "w") as container:
        dark, bright = (container.add_stream(codec, rate=8) for codec in (other, "mpeg4"))
        for stream in (dark, bright):
            stream.width, stream.height = 64, 64
            stream.pix_fmt = "rgb24" if stream.codec_context.name == "png" else "yuv420p"
        dark.disposition = kind
        for stream, shade, count in ((dark, 20, 1), (bright, 200, 8)):
            for _ in range(count):
                frame = np.full((64, 64, 3), shade, np.uint8)
                container.mux(stream.encode(av.VideoFrame.from_ndarray(frame)))
            container.mux(stream.encode(None))
    return path


def test_a_cover_is_no_video(tmp_path: Path) -> None:
    path = write_streams(tmp_path / "a.mp4", "png", Disposition.attached_pic)
    with av.open(str(path)) as container:
        assert len(container.streams.video) == 2
    frames = list(frames_of(path, "data.path"))
    assert len(frames) == 8
    assert all(frame.mean() > 150 for frame in frames)
    assert shape_of(path, "--real").frames == 8


def test_of_two_videos_in_a_file_none_is_taken(tmp_path: Path) -> None:
    path = write_streams(tmp_path / "a.mkv", "mpeg4")
    with pytest.raises(UserError, match=r"data\.path=.*a\.mkv: has 2 video streams; give a file"):
        list(frames_of(path, "data.path"))


def write_with_sound(path: Path, frames: int) -> Path:
    """Noise to see and to hear, 8 frames a second."""
    rng = np.random.default_rng(0)
    with av.open(str(path), "w", options={"movflags": "faststart"}) as container:
        video = container.add_stream("libx264", rate=8)
        video.width, video.height, video.pix_fmt = 64, 64, "yuv420p"
        sound = container.add_stream("ac3", rate=32000, layout="mono")
        for i in range(frames):
            seen = av.VideoFrame.from_ndarray(rng.integers(0, 256, (64, 64, 3), np.uint8))
            heard = av.AudioFrame.from_ndarray(
                rng.normal(size=(1, 4000)).astype(np.float32), format="fltp", layout="mono"
            )
            heard.rate, heard.pts, heard.time_base = 32000, 4000 * i, Fraction(1, 32000)
            container.mux([*video.encode(seen), *sound.encode(heard)])
        container.mux([*video.encode(None), *sound.encode(None)])
    return path


@pytest.mark.parametrize("suffix", [".mkv", ".avi", ".mp4", ".ts"])
def test_a_file_that_was_cut_is_refused_whatever_else_it_holds(suffix: str, tmp_path: Path) -> None:
    whole = write_with_sound(tmp_path / f"whole{suffix}", 24)
    assert len(list(frames_of(whole, "data.path"))) == 24
    data = whole.read_bytes()
    for share in (3, 5, 9):
        cut = tmp_path / f"cut{suffix}"
        cut.write_bytes(data[: len(data) * share // 10 | 1])
        with pytest.raises(UserError, match=r"cut\.\w+: cut off, \d+ of at least \d+ bytes"):
            list(frames_of(cut, "data.path"))


MATROSKA = bytes.fromhex("1a45dfa3 82 0000 18538067")


@pytest.mark.parametrize(
    ("kind", "data", "needed"),
    [
        ("matroska,webm", MATROSKA + b"\x85abcde", None),
        ("matroska,webm", MATROSKA + b"\x85ab", 17),
        ("matroska,webm", MATROSKA + b"\x40\x05ab", 18),
        ("matroska,webm", MATROSKA + b"\xffab", None),  # recorded live
        ("matroska,webm", MATROSKA + b"\x00ab", None),
        ("matroska,webm", b"\x1a\x45\xdf\xa3\x82ab", None),
        ("mov,mp4", struct.pack(">I4sI4s", 8, b"ftyp", 9, b"mdat"), 17),
        ("mov,mp4", struct.pack(">I4sQ4s", 1, b"mdat", 99, b"abcd"), 99),
        ("mov,mp4", struct.pack(">I4s4s", 0, b"mdat", b"abcd"), None),  # to the end
        ("mov,mp4", struct.pack(">I4s4s", 8, b"mdat", b"junk behind it"), None),
        ("avi", struct.pack("<4sI4s", b"RIFF", 99, b"AVI "), 99),
        ("avi", b"what", None),
        ("mpegts", (b"G" + bytes(187)) * 9, None),
        ("mpegts", (b"G" + bytes(187)) * 9 + b"G", 1880),
        ("mpegts", (b"1234G" + bytes(187)) * 9 + b"1", 1920),
        ("mpegts", bytes(999), None),
        ("gif", b"GIF89a", None),
    ],
)
def test_what_a_file_says_of_its_length(
    kind: str, data: bytes, needed: int | None, tmp_path: Path
) -> None:
    (tmp_path / "f").write_bytes(data)
    said = "" if needed is None else f"{len(data)} of at least {needed} bytes"
    assert lacks(tmp_path / "f", kind) == said


@needs_clips
@pytest.mark.parametrize("name", ["videos/wolf.mp4", "videos/man-skiing.mp4"])
def test_real_videos(name: str) -> None:
    source = open_video(str(Path(CLIPS or "") / name))
    clip = source.test[-1]
    assert len(source.test) == {"videos/wolf.mp4": 2, "videos/man-skiing.mp4": 4}[name]
    assert clip.video.std() > 0.1
    assert clip.flow is not None

    def still(k: int, r: int) -> tuple[torch.Tensor, torch.Tensor]:
        assert clip.flow is not None
        flow, seen = clip.flow(k, r)
        return torch.zeros_like(flow), seen

    with_flow = warp_error(clip.video, correspondence(clip.flow, 16, 4))
    without_flow = warp_error(clip.video, correspondence(still, 16, 4))
    assert with_flow < 0.5 * without_flow


@needs_clips
def test_a_real_densepose_video() -> None:
    path = str(Path(CLIPS or "") / "densepose/dancing2.mp4")
    clip = open_video(path, pose=path).test[0]
    assert 0.05 < clip.body.mean() < 0.5
    assert not (clip.pose[:, :3] * (clip.body == 0)).mean() > 0.005
    assert clip.flow is not None
    assert clip.flow(0, 1)[0].abs().max() < 8


@needs_clips
def test_a_real_pose_of_another_size_is_refused() -> None:
    folder = Path(CLIPS or "")
    with pytest.raises(UserError, match=r"data.pose=.*: 512x512; must be .* 718x718"):
        open_video(
            str(folder / "videos/man-skiing.mp4"), pose=str(folder / "densepose/dancing2.mp4")
        )
