"""Files, right ones and wrong ones, for cases of input."""

from __future__ import annotations

import base64
import io
import json
import pickle
import shutil
import struct
import sys
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import av
import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from safetensors.torch import save_file

from attnzoo.config import END

Frames = NDArray[np.uint8]
Make = Callable[[Path], object]

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "results" / "example" / "record.json"


def several(*makes: Make) -> Make:
    """All of it, in order."""

    def made(folder: Path) -> None:
        for make in makes:
            make(folder)

    return made


def stored_as(text: str) -> Make:
    """A run's folder `r` with this for its configuration, to the last line."""
    return written("r/config.yaml", text + END)


def written(name: str, content: str | bytes) -> Make:
    """A file of this content."""

    def made(folder: Path) -> Path:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        data = content.encode("utf-8", "surrogateescape") if isinstance(content, str) else content
        path.write_bytes(data)
        return path

    return made


def moving(count: int, height: int = 32, width: int = 32, *, seed: int = 0) -> Frames:
    """A texture that moves a pixel a frame, `[count, height, width, 3]`."""
    coarse = np.random.default_rng(seed).integers(0, 256, (6, 6, 3), np.uint8)
    wide = np.asarray(Image.fromarray(coarse).resize((2 * width, height)))
    return np.stack([np.roll(wide, i, 1)[:, :width] for i in range(count)])


def picture(image: NDArray[Any], kind: str = "PNG", **how: Any) -> bytes:
    """An encoded picture."""
    stream = io.BytesIO()
    Image.fromarray(image).save(stream, kind, **how)
    return stream.getvalue()


def frames(name: str, images: Frames, suffix: str = "png") -> Make:
    """A folder of frames."""
    kinds = {"png": "PNG", "jpg": "JPEG", "webp": "WEBP", "bmp": "BMP"}

    def made(folder: Path) -> Path:
        (folder / name).mkdir(parents=True, exist_ok=True)
        for i, image in enumerate(images):
            (folder / name / f"{i + 1}.{suffix}").write_bytes(picture(image, kinds[suffix]))
        return folder / name

    return made


def video(
    name: str,
    images: Frames,
    *,
    codec: str = "libx264",
    pixels: str = "yuv420p",
    times: Sequence[int] = (),
    given: str = "rgb24",
    change: Callable[[bytes], bytes] = bytes,
) -> Make:
    """A video; times: of its frames, in 1/1000 s; change: of the bytes that were written."""

    def made(folder: Path) -> Path:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with av.open(str(path), "w") as container:
            stream = container.add_stream(codec, rate=1000 if times else 10)
            stream.height, stream.width, stream.pix_fmt = *images.shape[1:3], pixels
            for i, image in enumerate(images):
                frame = av.VideoFrame.from_ndarray(image, format=given)
                if times:
                    frame.pts = times[i]
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
        path.write_bytes(change(path.read_bytes()))
        return path

    return made


def cut(share: float) -> Callable[[bytes], bytes]:
    """The first part of a file."""
    return lambda data: data[: int(len(data) * share)]


def overwritten(after: bytes, offset: int, new: bytes) -> Callable[[bytes], bytes]:
    """Bytes exchanged so far behind the first place where `after` stands."""

    def change(data: bytes) -> bytes:
        at = data.index(after) + len(after) + offset
        return data[:at] + new + data[at + len(new) :]

    return change


def rotated(degrees: float) -> Callable[[bytes], bytes]:
    """An MP4 whose track declares that it is turned by so many degrees clockwise."""
    turn = np.deg2rad(degrees)
    a, b = np.cos(turn), np.sin(turn)
    matrix = [a, b, 0.0, -b, a, 0.0, 0.0, 0.0, 1.0]
    scale = [65536, 65536, 1 << 30] * 3
    words = [round(value * one) for value, one in zip(matrix, scale, strict=True)]
    return overwritten(b"tkhd", 40, struct.pack(">9i", *words))


def png_header(width: int, height: int, depth: int = 8, colour: int = 2) -> bytes:
    """A PNG that says how large it is and holds next to nothing."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        body = kind + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))

    head = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    rows = zlib.compress(bytes(64))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def deep_png(height: int = 32, width: int = 32) -> bytes:
    """A PNG with 16 bits a channel, in colours."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        body = kind + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))

    values = np.random.default_rng(0).integers(0, 65536, (height, width, 3)).astype(">u2")
    rows = b"".join(b"\0" + row.tobytes() for row in values)
    head = struct.pack(">IIBBBBB", width, height, 16, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", head)
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )


# TikTok dances in DisCo's two layouts.

HEIGHT, WIDTH, COUNT = 48, 32, 4


def body(i: int) -> NDArray[np.bool_]:
    shown = np.zeros((HEIGHT, WIDTH), bool)
    shown[12:44, 6 + i : 20 + i] = True
    return shown


def scene(i: int) -> NDArray[np.uint8]:
    image = np.full((HEIGHT, WIDTH, 3), 200, np.uint8)
    image[body(i)] = (30, 90, 160)
    return image


def points(i: int) -> list[list[float]]:
    return [[10.0 + i + 0.6 * n, 15.0 + 1.2 * n, 0.9] for n in range(17)]


def people(i: int, **changes: Any) -> str:
    return json.dumps([{"keypoints": points(i), **changes}])


def dances(name: str = "T", change: Make | None = None) -> Make:
    """DisCo's folder with one dance, `002`; change: of the dance's folder."""

    def made(folder: Path) -> Path:
        dance = folder / name / "002"
        for part in ("groundsam", "openpose_json"):
            (dance / part).mkdir(parents=True)
        for i in range(COUNT):
            frame = f"{i + 1:06d}.png"
            (dance / frame).write_bytes(picture(scene(i)))
            mask = body(i).astype(np.uint8)
            (dance / "groundsam" / f"{frame}.mask.png").write_bytes(picture(mask))
            (dance / "openpose_json" / f"{frame}.json").write_text(people(i))
        if change is not None:
            change(dance)
        return dance

    return made


def tsv(name: str = "T", change: Make | None = None) -> Make:
    """DisCo's TSV files with one dance; change: of their folder."""

    def made(folder: Path) -> Path:
        root = folder / name
        root.mkdir(parents=True, exist_ok=True)
        keys = [f"Custom_000_{i + 1:06d}.png" for i in range(COUNT)]

        def encoded(image: NDArray[Any]) -> str:
            return base64.b64encode(picture(image)).decode()

        columns = {
            "images": [encoded(scene(i)) for i in range(COUNT)],
            "masks": [encoded(body(i).astype(np.uint8) * 255) for i in range(COUNT)],
            "poses": [people(i) for i in range(COUNT)],
            "vid2line": [json.dumps([0, COUNT - 1])] * COUNT,
        }  # fmt: skip
        for field, values in columns.items():
            rows(root, field, [f"{k}\t{v}" for k, v in zip(keys, values, strict=True)])
        (root / "train.yaml").write_text(
            "composite: false\nimg: train_images.tsv\nmasks: train_masks.tsv\n"
            "poses: train_poses.tsv\nvid2line: train_vid2line.tsv\n"
        )
        if change is not None:
            change(root)
        return root

    return made


def rows(root: Path, field: str, lines: Sequence[str]) -> None:
    """Writes a TSV file and its index."""
    data = [f"{line}\n".encode("utf-8", "surrogateescape") for line in lines]
    offsets = np.cumsum([0, *map(len, data)])[:-1]
    (root / f"train_{field}.tsv").write_bytes(b"".join(data))
    (root / f"train_{field}.lineidx").write_text("".join(f"{offset}\n" for offset in offsets))


def row(field: str, number: int, value: str) -> Make:
    """Another second column of a row."""

    def made(root: Path) -> None:
        lines = (root / f"train_{field}.tsv").read_text().splitlines()
        lines[number] = f"{lines[number].split(chr(9))[0]}\t{value}"
        rows(root, field, lines)

    return made


def text(name: str, change: Callable[[str], str]) -> Make:
    """A text file changed."""

    def made(root: Path) -> None:
        file = root / name
        file.write_text(change(file.read_text()))

    return made


def replaced(old: str, new: str) -> Callable[[str], str]:
    def change(said: str) -> str:
        assert old in said
        return said.replace(old, new)

    return change


# Records and results.


def record(change: Callable[[dict[str, Any]], object] | None = None) -> dict[str, Any]:
    """The example's record as of now, changed."""
    from attnzoo.train.record import read_record

    content = json.loads(json.dumps(read_record(EXAMPLE)))
    if change is not None:
        change(content)
    return content  # type: ignore[no-any-return]


def records(
    change: Callable[[dict[str, Any]], object] | None = None, name: str = "R/a/record.json"
) -> Make:
    """A record below the folder `R`."""
    return lambda folder: written(name, json.dumps(record(change)))(folder)


def put(*keys: Any, value: Any) -> Callable[[dict[str, Any]], None]:
    """Sets one value deep inside."""

    def change(content: Any) -> None:
        for key in keys[:-1]:
            content = content[key]
        content[keys[-1]] = value

    return change


def drop(*keys: Any) -> Callable[[dict[str, Any]], None]:
    def change(content: Any) -> None:
        for key in keys[:-1]:
            content = content[key]
        del content[keys[-1]]

    return change


def results(*changes: Make) -> Make:
    """A small results folder `R` as `attnzoo.tables` leaves it, changed."""

    def made(folder: Path) -> Path:
        root = folder / "R"
        shutil.copytree(_results(), root)
        for change in changes:
            change(root)
        return root

    return made


_MADE: list[Path] = []


def _results() -> Path:
    """Made once a process: it takes longer than all that is done with it."""
    if not _MADE:
        import atexit
        import tempfile

        sys.path.append(str(ROOT / "tests"))
        from made_page import small_results

        place = tempfile.mkdtemp()
        atexit.register(shutil.rmtree, place, ignore_errors=True)
        _MADE.append(small_results(Path(place) / "results", "table1", videos=False))
    return _MADE[0]


def json_file(name: str, change: Callable[[Any], object]) -> Make:
    """A JSON file changed; what the change returns, if anything, takes its place."""

    def made(root: Path) -> None:
        file = root / name
        content = json.loads(file.read_text()) if file.exists() else {}
        other = change(content)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(content if other is None else other))

    return made


# Weights.


def tensors(name: str, **shapes: Sequence[int]) -> Make:
    """A safetensors file."""
    return lambda folder: save_file(
        {key.replace("__", "."): torch.zeros(*shape) for key, shape in shapes.items()},
        folder / name,
    )


class Evil:
    """Unpickling it would leave a file."""

    def __reduce__(self) -> Any:
        return (Path.write_text, (Path("evil-ran"), "it did"))


def evil_pickle(name: str) -> Make:
    return lambda folder: written(name, pickle.dumps({"a": Evil()}))(folder)


def evil_checkpoint(name: str) -> Make:
    return lambda folder: torch.save({"state_dict": Evil()}, folder / name)


def broken_zip(name: str) -> Make:
    """A checkpoint of torch.save, cut in the middle."""

    def made(folder: Path) -> None:
        torch.save({"a": torch.zeros(1000)}, folder / name)
        data = (folder / name).read_bytes()
        (folder / name).write_bytes(data[: len(data) // 2])

    return made


PLUGIN = """
import torch
import attnzoo
from attnzoo.attention import Mechanism

@attnzoo.register("NAME", title="TITLE", source="a test", kind=attnzoo.Kind.insert, cost="0")
class Scaled(Mechanism):
    def __init__(self, channels: int, heads: int, *, factor: float = 2.0) -> None:
        super().__init__(channels, heads)
        self.scale = torch.nn.Parameter(torch.full((channels,), factor))
    def forward(self, x, *, flow=None):
        self.check(x)
        return x * self.scale
    def sees(self, query, shape):
        mask = torch.zeros(shape, dtype=torch.bool)
        mask[query] = True
        return mask
"""


def plugin(
    file: str = "mine.py", name: str = "mine", title: str = "Scaled", old: str = "", new: str = ""
) -> Make:
    """A variant of one's own, changed."""
    assert old in PLUGIN
    changed = PLUGIN.replace(old, new) if old else PLUGIN
    return written(file, changed.replace("NAME", name).replace("TITLE", title))
