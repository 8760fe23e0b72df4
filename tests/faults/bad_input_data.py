"""Data that are wrong or unusual: videos, folders of frames, DisCo's dances in both layouts."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
from bad_input_case import Case, Ran
from bad_input_files import (
    body,
    cut,
    dances,
    deep_png,
    frames,
    moving,
    overwritten,
    people,
    picture,
    png_header,
    points,
    replaced,
    rotated,
    row,
    rows,
    scene,
    several,
    text,
    tsv,
    video,
    written,
)

VIDEO = "run data=video data.path={} data.frames=4 data.size=32"
TIKTOK = "run data=tiktok data.path=T data.frames=4 data.size=32"
TWO = VIDEO.format("v")
LOOP = VIDEO.format("v.mp4") + " data.short=loop"


def shown(ran: Ran) -> np.ndarray:
    """The first test clip's frames as bytes `[f, h, w, 3]`."""
    clip = ran.started[0][1].test[0]
    return np.asarray((clip.video.permute(0, 2, 3, 1).numpy() * 255).round(), np.uint8)


def shows(images: np.ndarray, tolerance: float = 0.0) -> Callable[[Ran], bool]:
    """The clip has these frames."""

    def right(ran: Ran) -> bool:
        found = shown(ran).astype(float)
        return found.shape == images.shape and abs(found - images).mean() <= tolerance

    return right


def finite(ran: Ran) -> bool:
    """Flow of a clip is finite where nothing can be seen either."""
    clip = ran.started[0][1].test[0]
    assert clip.flow is not None
    return bool(np.isfinite(clip.flow(0, 1)[0].numpy()).all())


def alpha(name: str, opaque: bool) -> Callable[[Path], object]:
    """Frames with an alpha channel."""
    images = np.concatenate([moving(4), np.full((4, 32, 32, 1), 255, np.uint8)], -1)
    if not opaque:
        images[:, :8, :8, 3] = 0
    return frames(name, images)


def link(name: str, target: str) -> Callable[[Path], object]:
    def made(folder: Path) -> None:
        (folder / name).unlink(missing_ok=True)
        (folder / name).symlink_to(target)

    return made


def exchanged(name: str, data: bytes | str) -> Callable[[Path], object]:
    """Good frames, one of them another file."""
    return several(frames("v", moving(4)), written(f"v/{name}", data))


def turned(images: np.ndarray) -> np.ndarray:
    """As a picture shows that is turned by 90 degrees clockwise."""
    return np.rot90(images, -1, (1, 2))


def unspoken(*folders: str) -> Callable[[Path], object]:
    """Names that are no text in any encoding, for all files of these folders."""

    def made(root: Path) -> None:
        for name in folders:
            for file in [p for p in (root / name).iterdir() if p.is_file()]:
                file.rename(file.with_name(os.fsdecode(b"\xff") + file.name))

    return made


def exif(folder: Path) -> None:
    """Frames that say that the camera was held sideways."""
    from PIL import Image

    (folder / "v").mkdir()
    for i, image in enumerate(moving(4)):
        noted = Image.Exif()
        noted[0x0112] = 6
        Image.fromarray(image).save(folder / "v" / f"{i}.png", exif=noted)


Y4M = b"YUV4MPEG2 W%d H%d F10:1 Ip A1:1 C420jpeg\nFRAME\n" + bytes(400)


def shaped(shape: bytes) -> bytes:
    """Four frames of 32 by 32 pixels of another shape."""
    head = (Y4M % (32, 32)).partition(b"FRAME")[0].replace(b"A1:1", b"A" + shape)
    return head + (b"FRAME\n" + bytes(32 * 32 * 3 // 2)) * 4


SIXTEEN = np.random.default_rng(0).integers(0, 65536, (4, 32, 32, 3), np.uint16)
LOSSLESS = {"codec": "ffv1", "pixels": "bgr0"}
"""Of `video`: in Matroska."""

VIDEOS = [
    Case("video: empty file", VIDEO.format("v.mp4"), ("v.mp4", "empty file"), written("v.mp4", "")),
    Case(
        "video: words",
        VIDEO.format("v.mp4"),
        ("v.mp4", "cannot be decoded"),
        written("v.mp4", b"hello " * 99),
    ),
    Case("video: zeros", VIDEO.format("v.mp4"), ("v.mp4",), written("v.mp4", bytes(5000))),
    Case(
        "video: a page",
        VIDEO.format("v.mp4"),
        ("v.mp4",),
        written("v.mp4", "<!doctype html><title>404</title>"),
    ),
    Case(
        "video: a picture",
        VIDEO.format("v.png"),
        ("v.png", "1 frames"),
        written("v.png", picture(moving(1)[0])),
    ),
    Case(
        "video: header alone",
        VIDEO.format("v.mp4"),
        ("v.mp4",),
        video("v.mp4", moving(8), change=cut(0.1)),
    ),
    Case(
        "video: half of it",
        VIDEO.format("v.mp4"),
        ("v.mp4",),
        video("v.mp4", moving(30, 64, 64), change=cut(0.5)),
    ),
    Case(
        "video: without its last note",
        VIDEO.format("v.mp4"),
        right=shows(moving(4), 9),
        files=video("v.mp4", moving(4), change=lambda data: data[:-40]),
    ),
    Case(
        "video: a colon in its name",
        """run data=video "data.path='12:30.mkv'" data.frames=4 """
        "data.size=32",
        right=shows(moving(4)),
        files=video("12:30.mkv", moving(4), **LOSSLESS),
    ),
    Case(
        "video: half of a Matroska",
        VIDEO.format("v.mkv"),
        ("v.mkv",),
        video("v.mkv", moving(30, 64, 64), change=cut(0.5), **LOSSLESS),
    ),
    Case(
        "video: data of zeros",
        VIDEO.format("v.mp4"),
        ("v.mp4",),
        video("v.mp4", moving(8, 64, 64), change=overwritten(b"mdat", 600, bytes(2000))),
    ),
    Case(
        "video: wrong suffix",
        VIDEO.format("v.avi"),
        right=shows(moving(4), 9),
        files=several(
            video("v.mp4", moving(4)), lambda folder: (folder / "v.mp4").rename(folder / "v.avi")
        ),
    ),
    Case(
        "video: no frames",
        VIDEO.format("v.mkv"),
        ("v.mkv",),
        video("v.mkv", moving(1), change=cut(0.5), **LOSSLESS),
    ),
    Case(
        "video: one frame",
        VIDEO.format("v.mp4"),
        ("1 frames", "data.short=loop"),
        video("v.mp4", moving(1)),
    ),
    Case(
        "video: one frame, looped",
        LOOP,
        right=shows(np.repeat(moving(1), 4, 0), 9),
        files=video("v.mp4", moving(1)),
    ),
    Case(
        "video: two frames, looped",
        LOOP,
        right=shows(moving(2)[[0, 1, 0, 1]], 9),
        files=video("v.mp4", moving(2)),
    ),
    Case(
        "video: too short",
        VIDEO.format("v.mp4"),
        ("3 frames", "at least 4"),
        video("v.mp4", moving(3)),
    ),
    Case(
        "video: sound alone",
        VIDEO.format("v.wav"),
        ("v.wav", "no video"),
        written(
            "v.wav",
            b"RIFF"
            + (36 + 800).to_bytes(4, "little")
            + b"WAVEfmt "
            + bytes.fromhex("10000000 0100 0100 401f0000 803e0000 0200 1000".replace(" ", ""))
            + b"data"
            + (800).to_bytes(4, "little")
            + bytes(800),
        ),
    ),
    Case(
        "video: huge in its header",
        VIDEO.format("v.y4m"),
        ("v.y4m",),
        written("v.y4m", Y4M % (100000, 100000)),
    ),
    Case(
        "video: large in its header",
        VIDEO.format("v.y4m"),
        ("v.y4m",),
        written("v.y4m", Y4M % (20000, 12000)),
    ),
    Case(
        "video: no width in its header",
        VIDEO.format("v.y4m"),
        ("v.y4m",),
        written("v.y4m", Y4M % (0, 32)),
    ),
    *(
        Case(
            f"video: pixels of {shape}",
            VIDEO.format("v.y4m"),
            ("v.y4m", "times as wide as high", "1/16"),
            written("v.y4m", shaped(shape.encode())),
        )
        for shape in ("2147483647:1", "1000000:1", "17:1", "1:17")
    ),
    Case(
        "video: pixels twice as wide as high",
        VIDEO.format("v.y4m"),
        right=lambda ran: shown(ran).shape == (4, 32, 32, 3),
        files=written("v.y4m", shaped(b"2:1")),
    ),
    Case(
        "video: frames whose names are no text",
        TWO,
        right=shows(moving(4)),
        files=several(frames("v", moving(4)), unspoken("v")),
    ),
    Case(
        "video: odd sizes",
        VIDEO.format("v.mkv"),
        right=lambda ran: shown(ran).shape == (4, 32, 32, 3),
        files=video("v.mkv", moving(4, 35, 51), **LOSSLESS),
    ),
    Case(
        "video: of a single line",
        VIDEO.format("v.mkv"),
        right=finite,
        files=video("v.mkv", moving(4, 2, 64), **LOSSLESS),
    ),
    Case(
        "video: lossless",
        VIDEO.format("v.mkv"),
        right=shows(moving(4)),
        files=video("v.mkv", moving(4), **LOSSLESS),
    ),
    Case(
        "video: opaque alpha",
        VIDEO.format("v.mkv"),
        right=shows(moving(4)),
        files=video(
            "v.mkv",
            np.concatenate([moving(4)[..., ::-1], np.full((4, 32, 32, 1), 255, np.uint8)], -1),
            codec="ffv1",
            pixels="bgra",
            given="bgra",
        ),
    ),
    Case(
        "video: transparent",
        VIDEO.format("v.mkv"),
        ("v.mkv", "transparent"),
        video(
            "v.mkv",
            np.concatenate([moving(4), np.full((4, 32, 32, 1), 100, np.uint8)], -1),
            codec="ffv1",
            pixels="bgra",
            given="bgra",
        ),
    ),
    Case(
        "video: 16 bits a channel",
        VIDEO.format("v.mkv"),
        right=shows((SIXTEEN / 257).round().astype(np.uint8), 1),
        files=video("v.mkv", SIXTEEN, codec="ffv1", pixels="gbrp16le", given="rgb48le"),
    ),
    Case(
        "video: variable frame rate",
        VIDEO.format("v.mkv"),
        right=shows(moving(4)),
        files=video("v.mkv", moving(4), times=(0, 40, 500, 510), **LOSSLESS),
    ),
    Case(
        "video: frames out of time",
        VIDEO.format("v.mkv"),
        right=shows(moving(4)),
        files=video("v.mkv", moving(4), times=(1000, 1001, 90000, 90001), **LOSSLESS),
    ),
    Case(
        "video: turned by a quarter",
        VIDEO.format("v.mp4"),
        right=shows(turned(moving(4)), 9),
        files=video("v.mp4", moving(4), change=rotated(90)),
    ),
    Case(
        "video: turned upside down",
        VIDEO.format("v.mp4"),
        right=shows(moving(4)[:, ::-1, ::-1], 9),
        files=video("v.mp4", moving(4), change=rotated(180)),
    ),
    Case(
        "video: turned by 30 degrees",
        VIDEO.format("v.mp4"),
        ("v.mp4", "rotation"),
        video("v.mp4", moving(4), change=rotated(30)),
    ),
    Case(
        "video: a pipe",
        VIDEO.format("v.mp4"),
        ("v.mp4",),
        lambda folder: os.mkfifo(folder / "v.mp4"),
    ),
    Case("video: a device", VIDEO.format("/dev/zero"), ("/dev/zero",)),
    Case(
        "video: a link to nothing",
        VIDEO.format("v.mp4"),
        ("v.mp4", "no such file"),
        link("v.mp4", "gone.mp4"),
    ),
    Case("video: a link to itself", VIDEO.format("v.mp4"), ("v.mp4",), link("v.mp4", "v.mp4")),
    Case(
        "video: an address",
        "run data=video \"data.path='http://localhost:9/v.mp4'\"",
        ("no such file",),
    ),
    Case(
        "video: a list of files for ffmpeg",
        VIDEO.format("v.txt"),
        ("v.txt",),
        several(video("w.mp4", moving(4)), written("v.txt", "ffconcat version 1.0\nfile w.mp4\n")),
    ),
    Case(
        "video: a playlist that leads outside",
        VIDEO.format("d/v.m3u8"),
        ("v.m3u8",),
        several(
            video("w.mp4", moving(8)),
            written(
                "d/v.m3u8",
                "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n../w.mp4\n#EXT-X-ENDLIST\n",
            ),
        ),
    ),
    Case(
        "video: pose is missing",
        TWO + " data.pose=p",
        ("data.pose=p", "no such file"),
        frames("v", moving(4)),
    ),
    Case(
        "video: pose is shorter",
        TWO + " data.pose=p",
        ("data.pose=p", "3 frames"),
        several(frames("v", moving(4)), frames("p", moving(3))),
    ),
    Case(
        "video: pose is longer",
        TWO + " data.pose=p",
        ("data.pose=p", "more"),
        several(frames("v", moving(4)), frames("p", moving(5))),
    ),
    Case(
        "video: pose is smaller",
        TWO + " data.pose=p",
        ("data.pose=p", "16x16", "32x32"),
        several(frames("v", moving(4)), frames("p", moving(4, 16, 16))),
    ),
    Case(
        "video: mask is shorter",
        TWO + " data.mask=p",
        ("data.mask=p", "3 frames"),
        several(frames("v", moving(4)), frames("p", moving(3))),
    ),
    Case(
        "video: mask is longer",
        TWO + " data.mask=p",
        ("data.mask=p", "more"),
        several(frames("v", moving(4)), frames("p", moving(5))),
    ),
    Case(
        "video: empty name of a mask",
        TWO + " data.mask=",
        ("data.mask=", "empty"),
        frames("v", moving(4)),
    ),
    Case(
        "video: nobody is there",
        TWO + " data.mask=p",
        ("data.mask=p", "shows nobody", "white (255)"),
        files=several(frames("v", moving(4)), frames("p", np.zeros((4, 32, 32, 3), np.uint8))),
    ),
    Case(
        "video: everything is person",
        TWO + " data.mask=p",
        right=finite,
        files=several(frames("v", moving(4)), frames("p", np.full((4, 32, 32, 3), 255, np.uint8))),
    ),
    Case(
        "video: nothing moves",
        TWO,
        right=finite,
        files=frames("v", np.zeros((4, 32, 32, 3), np.uint8)),
    ),
    Case(
        "video: a pose without colours",
        TWO + " data.pose=p",
        right=finite,
        files=several(frames("v", moving(4)), frames("p", np.zeros((4, 32, 32, 3), np.uint8))),
    ),
    Case(
        "video: negative windows",
        TWO + " data.windows=-1",
        ("data.windows=-1",),
        frames("v", moving(4)),
    ),
    Case("video: no stride", TWO + " data.stride=0", ("data.stride=0",), frames("v", moving(4))),
    Case(
        "video: wide stride",
        TWO + " data.stride=2",
        ("2 apart", "at least 7"),
        frames("v", moving(4)),
    ),
    Case(
        "video: huge stride",
        TWO + " data.stride=1000000000 data.short=loop",
        right=finite,
        files=frames("v", moving(4)),
    ),
    Case("video: joints of a video", TWO + " flow=skeleton", ("joints",), frames("v", moving(4))),
]

PICTURES = [
    Case("frames: none", TWO, ("no pictures",), lambda folder: (folder / "v").mkdir()),
    Case("frames: hidden ones", TWO, ("no pictures",), written("v/.1.png", picture(moving(1)[0]))),
    Case("frames: words", TWO, ("2.png", "not a picture"), exchanged("2.png", "hello")),
    Case("frames: an empty one", TWO, ("2.png", "not a picture"), exchanged("2.png", "")),
    Case(
        "frames: half of one",
        TWO,
        ("2.png", "damaged"),
        exchanged(
            "2.png", picture(np.random.default_rng(0).integers(0, 256, (32, 32, 3), np.uint8))[:400]
        ),
    ),
    Case(
        "frames: grey with 16 bits",
        TWO,
        ("2.png", "8 bits"),
        exchanged("2.png", picture(np.zeros((32, 32), np.uint16))),
    ),
    Case("frames: colours with 16 bits", TWO, ("2.png", "8 bits"), exchanged("2.png", deep_png())),
    Case(
        "frames: huge in its header",
        TWO,
        ("2.png", "large"),
        exchanged("2.png", png_header(60000, 60000)),
    ),
    Case(
        "frames: large in its header", TWO, ("2.png",), exchanged("2.png", png_header(12000, 11000))
    ),
    Case("frames: no width", TWO, ("2.png",), exchanged("2.png", png_header(0, 32))),
    Case(
        "frames: a wrong check sum at the end",
        TWO,
        right=finite,
        files=exchanged("2.png", picture(moving(1)[0])[:-4] + b"xxxx"),
    ),
    Case(
        "frames: a wrong byte in the middle",
        TWO,
        ("2.png", "damaged"),
        exchanged("2.png", overwritten(b"IDAT", 200, b"xx")(picture(moving(1)[0]))),
    ),
    Case(
        "frames: another size",
        TWO,
        ("frame 1 is 16x16", "32x32"),
        exchanged("2.png", picture(moving(1, 16, 16)[0])),
    ),
    Case("frames: SVG", TWO, ("2.png",), exchanged("2.png", "<svg xmlns='a' width='32'/>")),
    Case(
        "frames: a folder among them",
        TWO,
        right=shows(moving(4)),
        files=several(frames("v", moving(4)), lambda folder: (folder / "v/5.png").mkdir()),
    ),
    Case("frames: transparent", TWO, ("1.png", "transparent"), alpha("v", False)),
    Case("frames: opaque alpha", TWO, right=shows(moving(4)), files=alpha("v", True)),
    Case(
        "frames: a transparent colour",
        TWO,
        ("2.png", "transparent"),
        exchanged("2.png", picture(np.zeros((32, 32, 3), np.uint8), transparency=(0, 0, 0))),
    ),
    Case(
        "frames: grey",
        TWO,
        right=lambda ran: bool((shown(ran)[1] == 77).all()),
        files=exchanged("2.png", picture(np.full((32, 32), 77, np.uint8))),
    ),
    Case(
        "frames: black and white",
        TWO,
        right=lambda ran: bool((shown(ran)[1] == 255).all()),
        files=exchanged("2.png", picture(np.ones((32, 32), bool))),
    ),
    Case("frames: held sideways", TWO, right=shows(turned(moving(4))), files=exif),
    Case(
        "frames: JPEG named PNG",
        TWO,
        right=lambda ran: shown(ran).shape == (4, 32, 32, 3),
        files=exchanged("2.png", picture(moving(2)[1], "JPEG")),
    ),
    Case("frames: WebP", TWO, right=shows(moving(4), 12), files=frames("v", moving(4), "webp")),
    Case(
        "frames: BMP of odd sizes",
        TWO,
        right=lambda ran: shown(ran).shape == (4, 32, 32, 3),
        files=frames("v", moving(4, 33, 47), "bmp"),
    ),
    Case("frames: one pixel each", TWO, right=finite, files=frames("v", moving(4, 1, 1))),
    Case(
        "frames: ten after nine",
        VIDEO.format("v").replace("frames=4", "frames=10"),
        right=shows(moving(10)),
        files=frames("v", moving(10)),
    ),
    Case(
        "frames: a link to nothing among them",
        TWO,
        right=shows(moving(4)),
        files=several(frames("v", moving(4)), link("v/5.png", "gone.png")),
    ),
    Case(
        "frames: a pipe among them",
        TWO,
        right=shows(moving(4)),
        files=several(frames("v", moving(4)), lambda folder: os.mkfifo(folder / "v/5.png")),
    ),
]


def encoded(image: np.ndarray, **how: object) -> str:
    return base64.b64encode(picture(image, **how)).decode()


POSE = "openpose_json/000002.png.json"
MASK = "groundsam/000002.png.mask.png"
DEEP = "[" * 100_000

DANCES = [
    Case("dances: nothing", TIKTOK, ("no dances there",), lambda folder: (folder / "T").mkdir()),
    Case("dances: a file", TIKTOK, ("no dances there",), written("T", "")),
    Case("dances: right", TIKTOK, right=finite, files=dances()),
    Case(
        "dances: a folder for the yaml",
        TIKTOK,
        ("train.yaml", "cannot be read"),
        lambda folder: (folder / "T/train.yaml").mkdir(parents=True),
    ),
    Case(
        "dances: frames whose names are no text",
        TIKTOK,
        right=finite,
        files=dances(change=unspoken(".", "groundsam", "openpose_json")),
    ),
    Case(
        "dances: no mask",
        TIKTOK,
        ("000002.png", "no mask"),
        dances(change=lambda d: (d / MASK).unlink()),
    ),
    Case(
        "dances: no keypoints",
        TIKTOK,
        ("000002.png", "no keypoints"),
        dances(change=lambda d: (d / POSE).unlink()),
    ),
    Case(
        "dances: sixteen keypoints",
        TIKTOK,
        (POSE, "16 keypoints", "must be 17"),
        dances(change=written(POSE, json.dumps([{"keypoints": points(0)[:16]}]))),
    ),
    Case(
        "dances: keypoints of nobody",
        TIKTOK,
        right=finite,
        files=dances(change=written(POSE, "[]")),
    ),
    Case(
        "dances: a person without keypoints",
        TIKTOK,
        (POSE, "no keypoints"),
        dances(change=written(POSE, "[{}]")),
    ),
    Case(
        "dances: all keypoints absent",
        TIKTOK,
        right=finite,
        files=dances(change=written(POSE, people(0, keypoints=[[-1, -1, -1]] * 17))),
    ),
    Case(
        "dances: NaN keypoint",
        TIKTOK,
        (POSE, "keypoint"),
        dances(change=written(POSE, people(0, keypoints=[[float("nan"), 1, 1]] * 17))),
    ),
    Case(
        "dances: infinite keypoint",
        TIKTOK,
        (POSE, "keypoint"),
        dances(change=written(POSE, people(0, keypoints=[[1e999, 1, 1]] * 17))),
    ),
    Case(
        "dances: a keypoint of 400 digits",
        TIKTOK,
        (POSE, "keypoint"),
        dances(change=written(POSE, people(0, keypoints=[[10**400, 1, 1]] * 17))),
    ),
    Case(
        "dances: keypoints far outside",
        TIKTOK,
        right=finite,
        files=dances(change=written(POSE, people(0, keypoints=[[9e5, 9e5, 1]] * 17))),
    ),
    Case(
        "dances: keypoint in words",
        TIKTOK,
        (POSE, "keypoint"),
        dances(change=written(POSE, people(0, keypoints=[["a", 1, 1]] * 17))),
    ),
    Case(
        "dances: keypoint of one number",
        TIKTOK,
        (POSE, "keypoint"),
        dances(change=written(POSE, people(0, keypoints=[[1]] * 17))),
    ),
    Case(
        "dances: keypoints that are no JSON",
        TIKTOK,
        (POSE, "not JSON"),
        dances(change=written(POSE, "{")),
    ),
    Case(
        "dances: keypoints of bytes",
        TIKTOK,
        (POSE, "not JSON"),
        dances(change=written(POSE, b"\xff\xfe\x00")),
    ),
    Case(
        "dances: keypoints deep inside",
        TIKTOK,
        (POSE, "not JSON"),
        dances(change=written(POSE, DEEP)),
    ),
    Case(
        "dances: keypoints in an object",
        TIKTOK,
        (POSE, "list of people"),
        dances(change=written(POSE, '{"keypoints": []}')),
    ),
    Case(
        "dances: mask of another shape",
        TIKTOK,
        ("the mask is 32x32",),
        dances(change=written(MASK, picture(body(0)[:32].astype(np.uint8)))),
    ),
    Case(
        "dances: mask of half the size",
        TIKTOK,
        right=finite,
        files=dances(change=written(MASK, picture(body(0)[::2, ::2].astype(np.uint8)))),
    ),
    Case(
        "dances: half a mask",
        TIKTOK,
        (MASK, "damaged"),
        dances(
            change=written(
                MASK, picture(np.random.default_rng(0).integers(0, 2, (48, 32), np.uint8))[:120]
            )
        ),
    ),
    Case(
        "dances: empty mask",
        TIKTOK,
        right=finite,
        files=dances(change=written(MASK, picture(np.zeros((48, 32), np.uint8)))),
    ),
    Case(
        "dances: half a frame",
        TIKTOK,
        ("000002.png", "damaged"),
        dances(change=written("000002.png", picture(scene(0))[:100])),
    ),
    Case(
        "dances: frame of another size",
        TIKTOK,
        ("000002.png", "32x32", "32x48"),
        dances(change=written("000002.png", picture(scene(0)[:32]))),
    ),
    Case(
        "dances: huge frame in its header",
        TIKTOK,
        ("000002.png",),
        dances(change=written("000002.png", png_header(60000, 60000))),
    ),
    Case(
        "dances: unknown dance", TIKTOK + " data.sequence='004'", ("004", "there are 002"), dances()
    ),
    Case("dances: short", TIKTOK.replace("frames=4", "frames=5"), ("002", "4 frames"), dances()),
    Case(
        "dances: short, looped",
        TIKTOK.replace("frames=4", "frames=5") + " data.short=loop",
        right=lambda ran: len(shown(ran)) == 5,
        files=dances(),
    ),
    Case(
        "dances: Unicode",
        TIKTOK.replace("data.path=T", "\"data.path='Tänze, 2'\""),
        right=finite,
        files=dances("Tänze, 2"),
    ),
    Case("TSV: right", TIKTOK, right=finite, files=tsv()),
    Case(
        "TSV: broken base64",
        TIKTOK,
        ("row 1", "broken base64"),
        tsv(change=row("images", 1, "@@@")),
    ),
    Case(
        "TSV: base64 with a hole",
        TIKTOK,
        ("row 1", "train_images.tsv"),
        tsv(change=row("images", 1, encoded(scene(1))[:-3])),
    ),
    Case(
        "TSV: Unicode for base64",
        TIKTOK,
        ("row 1", "base64"),
        tsv(change=row("images", 1, "Tänze")),
    ),
    Case(
        "TSV: no picture",
        TIKTOK,
        ("row 1", "not a picture"),
        tsv(change=row("masks", 1, "aGVsbG8=")),
    ),
    Case(
        "TSV: empty column", TIKTOK, ("row 1", "no second column"), tsv(change=row("poses", 1, ""))
    ),
    Case(
        "TSV: keypoints",
        TIKTOK,
        ("row 1", "16 keypoints"),
        tsv(change=row("poses", 1, json.dumps([{"keypoints": points(0)[:16]}]))),
    ),
    Case(
        "TSV: keypoints deep inside",
        TIKTOK,
        ("row 1", "not JSON"),
        tsv(change=row("poses", 1, DEEP)),
    ),
    Case(
        "TSV: pose of another size",
        TIKTOK,
        ("row 1", "the pose is 16x24"),
        tsv(change=row("poses", 1, encoded(scene(0)[::2, ::2]))),
    ),
    Case(
        "TSV: huge pose in its header",
        TIKTOK,
        ("row 1", "large"),
        tsv(change=row("poses", 1, base64.b64encode(png_header(60000, 60000)).decode())),
    ),
    Case(
        "TSV: dance beyond the rows",
        TIKTOK,
        ("row 0", "END below 4"),
        tsv(change=row("vid2line", 0, "[0, 99]")),
    ),
    Case(
        "TSV: dance that begins elsewhere",
        TIKTOK,
        ("row 0", "[0, END]"),
        tsv(change=row("vid2line", 0, "[1, 3]")),
    ),
    Case(
        "TSV: dance of truths",
        TIKTOK,
        ("row 0", "[0, END]"),
        tsv(change=row("vid2line", 0, "[false, true]")),
    ),
    Case(
        "TSV: dance deep inside",
        TIKTOK,
        ("row 0", "[0, END]"),
        tsv(change=row("vid2line", 0, DEEP)),
    ),
    Case(
        "TSV: no index",
        TIKTOK,
        ("train_images.lineidx", "missing"),
        tsv(change=lambda r: (r / "train_images.lineidx").unlink()),
    ),
    Case(
        "TSV: empty index",
        TIKTOK,
        ("train_images.lineidx", "empty"),
        tsv(change=written("train_images.lineidx", "")),
    ),
    Case(
        "TSV: index of words",
        TIKTOK,
        ("train_images.lineidx", "byte offset"),
        tsv(change=written("train_images.lineidx", "0\na\n")),
    ),
    Case(
        "TSV: index of bytes",
        TIKTOK,
        ("train_images.lineidx", "byte offset"),
        tsv(change=written("train_images.lineidx", b"\xff\xfe\n")),
    ),
    Case(
        "TSV: index that falls",
        TIKTOK,
        ("grow",),
        tsv(change=written("train_images.lineidx", "0\n300\n200\n400\n")),
    ),
    Case(
        "TSV: negative index",
        TIKTOK,
        ("grow",),
        tsv(change=written("train_images.lineidx", "0\n-5\n10\n20\n")),
    ),
    Case(
        "TSV: index off by one",
        TIKTOK,
        ("no row begins at byte",),
        tsv(
            change=text(
                "train_masks.lineidx",
                lambda s: "\n".join(str(int(n) + (i > 0)) for i, n in enumerate(s.split())),
            )
        ),
    ),
    Case(
        "TSV: index beyond the file",
        TIKTOK,
        ("cut off",),
        tsv(change=text("train_poses.lineidx", lambda s: s + "99999999\n")),
    ),
    Case(
        "TSV: index of 5000 digits",
        TIKTOK,
        ("train_poses.lineidx",),
        tsv(change=text("train_poses.lineidx", lambda s: s + "9" * 5000 + "\n")),
    ),
    Case(
        "TSV: index of fewer rows",
        TIKTOK,
        ("train_poses.tsv", "3 rows"),
        tsv(change=text("train_poses.lineidx", lambda s: "\n".join(s.split()[:3]))),
    ),
    Case(
        "TSV: another key",
        TIKTOK,
        ("must be of Custom_000_000002.png",),
        tsv(
            change=lambda r: rows(
                r,
                "masks",
                [
                    line.replace("000_000002", "000_000009")
                    for line in (r / "train_masks.tsv").read_text().splitlines()
                ],
            )
        ),
    ),
    Case(
        "TSV: cut off",
        TIKTOK,
        ("cut off",),
        tsv(change=text("train_images.tsv", lambda s: s[: len(s) // 2])),
    ),
    Case(
        "TSV: outside",
        TIKTOK,
        ("leaves the yaml's folder",),
        tsv(change=text("train.yaml", replaced("train_masks", "../train_masks"))),
    ),
    Case(
        "TSV: whole path",
        TIKTOK,
        ("leaves the yaml's folder",),
        tsv(change=text("train.yaml", replaced("train_masks", "/etc/train_masks"))),
    ),
    Case(
        "TSV: link outside",
        TIKTOK,
        ("leaves the yaml's folder",),
        several(
            tsv(),
            lambda f: (f / "T/train_masks.tsv").rename(f / "away.tsv"),
            link("T/train_masks.tsv", "../away.tsv"),
        ),
    ),
    Case(
        "TSV: index linked outside",
        TIKTOK,
        ("leaves the yaml's folder",),
        several(
            tsv(),
            lambda f: (f / "T/train_masks.lineidx").rename(f / "away.lineidx"),
            link("T/train_masks.lineidx", "../away.lineidx"),
        ),
    ),
    Case(
        "TSV: link to itself",
        TIKTOK,
        ("train_masks.tsv",),
        tsv(change=link("train_masks.tsv", "train_masks.tsv")),
    ),
    Case(
        "TSV: a zero in a name",
        TIKTOK,
        ("train.yaml",),
        tsv(change=text("train.yaml", replaced("train_masks.tsv", '"a\\0.tsv"'))),
    ),
    Case(
        "TSV: name too long",
        TIKTOK,
        ("too long",),
        tsv(change=text("train.yaml", replaced("train_masks", "a" * 300))),
    ),
    Case(
        "TSV: no file",
        TIKTOK,
        ("does not lie beside it",),
        tsv(change=text("train.yaml", replaced("train_poses", "poses"))),
    ),
    Case(
        "TSV: composite",
        TIKTOK,
        ("composite: true",),
        tsv(change=text("train.yaml", replaced("false", "true"))),
    ),
    Case(
        "TSV: fewer fields",
        TIKTOK,
        ("must name a file for each of",),
        tsv(change=written("train.yaml", "img: a.tsv\n")),
    ),
    Case(
        "TSV: a number for a file",
        TIKTOK,
        ("must name a file for each of",),
        tsv(change=text("train.yaml", replaced("train_masks.tsv", "3"))),
    ),
    Case(
        "TSV: a list for a yaml",
        TIKTOK,
        ("must name a file",),
        tsv(change=written("train.yaml", "- img\n")),
    ),
    Case("TSV: no YAML", TIKTOK, ("not YAML",), tsv(change=written("train.yaml", "img: [\n"))),
    Case(
        "TSV: yaml deep inside",
        TIKTOK,
        ("not YAML",),
        tsv(change=written("train.yaml", DEEP[:20000])),
    ),
    Case(
        "TSV: yaml with code",
        TIKTOK,
        ("not YAML",),
        tsv(change=written("train.yaml", "!!python/object/apply:os.system ['touch evil-ran']")),
    ),
    Case(
        "TSV: yaml of bytes", TIKTOK, ("not YAML",), tsv(change=written("train.yaml", b"\xff\x00"))
    ),
    Case(
        "TSV: a key of the yaml twice",
        TIKTOK,
        ("train.yaml", "'img'", "twice"),
        tsv(change=text("train.yaml", lambda said: f"{said}img: other.tsv\n")),
    ),
    *(
        Case(
            f"TSV: a yaml with {value}",
            TIKTOK,
            ("train.yaml", "not YAML"),
            tsv(change=written("train.yaml", f"img: {value}\n")),
        )
        for value in ("!!bool maybe", "!!int ''", "!!timestamp x", "0x_")
    ),
    Case("TSV: two yamls", TIKTOK, ("name one of them",), tsv(change=written("b.yaml", ""))),
]


def follows(*words: str) -> Callable[[Ran], bool]:
    return lambda ran: all(word in ran.out.split("\n")[0] for word in words)


FLOWS = [
    Case("flow of NaN", "motion 1,4,4,2,8,8 nan", right=follows("finite", "as without motion")),
    Case("infinite flow", "motion 1,4,4,2,8,8 inf", right=follows("finite", "as without motion")),
    Case("flow beyond all pictures", "motion 1,4,4,2,8,8 1e30", right=follows("finite")),
    Case("flow that is right", "motion 1,4,4,2,8,8 2", right=follows("finite", "moved")),
    Case("flow of another grid", "motion 1,4,4,2,6,10 2", right=follows("finite")),
    Case("flow coarser than the tokens", "motion 1,4,4,2,2,2 1", right=follows("finite")),
    Case("flow of three channels", "motion 1,4,4,3,8,8 1", ("[b, f, f, 2, H, W]",)),
    Case("flow of unequal frames", "motion 1,4,3,2,8,8 1", ("[b, f, f, 2, H, W]",)),
    Case("flow without frames", "motion 1,2,8,8 1", ("[b, f, f, 2, H, W]",)),
    Case("flow of fewer frames", "motion 1,3,3,2,8,8 1", ("3 frames",)),
    Case("flow of more clips", "motion 2,4,4,2,8,8 1", ("clips",)),
    Case("flow of no pixels", "motion 1,4,4,2,0,8 1", ("0",)),
]

CASES = {"flows": FLOWS, "videos": VIDEOS, "pictures": PICTURES, "dances": DANCES}
