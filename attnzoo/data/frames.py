"""Pictures from files: any video that PyAV reads, a folder of frames, or one encoded picture.

Frames come one by one, upright (rotation and pixel shape that the file declares are applied), and
none is ever replaced: what cannot be decoded is an error that names the file and the frame.
"""

from __future__ import annotations

import hashlib
import io
import math
import re
import warnings
from collections.abc import Iterator, Sequence
from fractions import Fraction
from itertools import chain, islice, pairwise
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
from av.container import InputContainer
from av.stream import Disposition
from av.video.stream import VideoStream
from numpy.typing import NDArray
from PIL import Image, ImageOps

from attnzoo.data.whole import lacks
from attnzoo.errors import DAMAGED, UserError

Picture = NDArray[np.uint8]
"""RGB `[H, W, 3]`."""

_LISTS = ("concat", "dash", "ffmetadata", "hls", "imf", "sdp", "webm_dash_manifest")
"""Formats that only name other files or addresses."""

_SHAPE = 16
"""So much wider than high, or higher than wide, a pixel may be: of more a header is damaged."""

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp")
"""What counts as a frame in a folder."""

OTHERS = (
    ".apng", ".avif", ".dng", ".exr", ".gif", ".hdr", ".heic", ".heif", ".jfif", ".jp2", ".jpe",
    ".jxl", ".pbm", ".pgm", ".pnm", ".ppm", ".psd", ".tga", ".tif", ".tiff",
)  # fmt: skip
"""Pictures all the same: a folder of frames that holds such is not read as if it did not."""


_NAMED = 4
"""What a notice names of many."""


def frames_of(path: Path, setting: str) -> Iterator[Picture]:
    """The frames of a video or of a folder of pictures, in order, all of one size.

    Args:
        path: a file, or a folder whose pictures are taken in the order of the numbers in their
            names (2.png before 10.png).
        setting: what to call the path in an error, such as `data.path`.

    Raises:
        UserError: nothing there, no frames in it, a frame that cannot be decoded, or a frame whose
            size differs from the first one's. All but the first two come as the frames do.
    """
    if not path.exists():
        raise UserError(f"{setting}={path}: no such file; give a video or a folder of frames")
    return _equal(_folder(path, setting) if path.is_dir() else _video(path, setting), path, setting)


def pictures_in(folder: Path) -> list[Path]:
    """The pictures of a folder in the order of the numbers in their names."""
    found = [p for p in folder.iterdir() if p.suffix.lower() in SUFFIXES and p.is_file()]
    return sorted((p for p in found if not p.name.startswith(".")), key=in_order)


def frames_in(folder: Path, name: str) -> list[Path]:
    """The pictures of a folder as its frames, in order.

    Raises:
        UserError: beside them lies a picture of another format, or two are of one name or number,
            of which nobody knows which is the frame. The message begins with `name`.
    """
    found = pictures_in(folder)
    others = [p.name for p in folder.iterdir() if p.suffix.lower() in OTHERS] if found else []
    for other in sorted(others):
        if not other.startswith("."):
            raise UserError(
                f"{name}: holds {other} beside its frames; a frame is a picture in one of "
                f"{' '.join(SUFFIXES)}"
            )
    places: dict[tuple[int | str, ...], Path] = {}
    for file in found:
        parts = re.split(r"(\d+)", file.stem)
        place = tuple(int(part) if i % 2 else part for i, part in enumerate(parts))
        if (same := places.setdefault(place, file)) is not file:
            raise UserError(
                f"{name}: holds {same.name} and {file.name}, two pictures for one frame; leave one"
            )
    return found


def in_order(path: Path) -> tuple[tuple[int, int, str], ...]:
    """A sorting key that reads runs of digits as numbers."""
    parts = re.split(r"(\d+)", path.name)
    return tuple((0, int(p), p) if i % 2 else (1, 0, p) for i, p in enumerate(parts))


def numbers_in(folder: Path) -> list[int] | None:
    """The numbers of a folder's frames from 0 on, in steps of 1 where their steps are all equal.

    Of each name it is the last number. None where these do not count the frames.
    """
    numbers = _numbers(pictures_in(folder))
    if numbers is None:
        return None
    step = math.gcd(*(after - before for before, after in pairwise(numbers)))
    return [(number - numbers[0]) // step for number in numbers]


def _numbers(files: Sequence[Path]) -> list[int] | None:
    """The last number of each name, where there is one and they grow."""
    found = [re.findall(r"\d+", file.stem) for file in files]
    numbers = [int(one[-1]) for one in found if one]
    steps = [after - before for before, after in pairwise(numbers)]
    return None if len(numbers) < len(found) or min(steps, default=0) <= 0 else numbers


def gaps(files: Sequence[Path]) -> str:
    """Which numbers frames lack between their first and last one, in words; nothing if none.

    Numbers count frames where most steps are the smallest one: times have none in common.
    """
    numbers = _numbers(files)
    if numbers is None:
        return ""
    pairs = list(pairwise(numbers))
    step = min(after - before for before, after in pairs)
    wide = [(before, after) for before, after in pairs if after - before != step]
    if not wide or 2 * len(wide) > len(pairs) or any((b - a) % step for a, b in wide):
        return ""
    lacking = chain.from_iterable(range(a + step, b, step) for a, b in wide)
    named = ", ".join(map(str, islice(lacking, _NAMED)))
    return named + (", ..." if next(lacking, None) is not None else "")


def oddities(path: Path) -> list[str]:
    """What makes one doubt that a folder's pictures are all its frames; nothing of a file."""
    if not path.is_dir():
        return []
    lacking = gaps(pictures_in(path))
    told = [f"{lacking} missing among its frames; what remains counts as successive"]
    below = [p for p in path.iterdir() if p.is_dir() and not p.name.startswith(".")]
    names = sorted(p.name for p in below if pictures_in(p))
    more = ", ..." if len(names) > _NAMED else ""
    left = [f"folders of pictures below it are left out: {', '.join(names[:_NAMED])}{more}"]
    return (told if lacking else []) + (left if names else [])


def check_numbers_alike(first: Path, other: Path, what: str) -> None:
    """UserError where frames that are paired by their places have numbers that say otherwise.

    As where a frame is missing in the middle of one folder and at the end of the other. Of what is
    no folder, or has no numbers, nobody knows, but for how many there are. The message begins with
    `what`.
    """
    ours, theirs = (numbers_in(path) if path.is_dir() else None for path in (first, other))
    for place, (one, another) in enumerate(zip(ours or (), theirs or (), strict=False)):
        if one != another:
            raise UserError(
                f"{what}: its frame {place} has number {another}, counted from its first one's, "
                f"that of {first} number {one}: a frame is missing"
            )


def film_of(container: InputContainer, name: str) -> VideoStream:
    """The stream that is the video: of pictures, and no cover.

    Raises:
        UserError: none is, or several are, of which nobody knows which is meant.
    """
    films = [s for s in container.streams.video if not s.disposition & Disposition.attached_pic]
    if not films:
        raise UserError(f"{name}: has no video stream")
    if len(films) > 1:
        raise UserError(f"{name}: has {len(films)} video streams; give a file with one of them")
    return films[0]


def picture(data: bytes | Path, name: str, *, least: int | None = None) -> Picture:
    """One encoded picture as RGB, upright.

    Args:
        data: its bytes or its file.
        name: what to call it in an error.
        least: the shorter side that is needed; a JPEG much larger than that is decoded at a half,
            quarter or eighth of its size, which its format offers at a fraction of the time.

    Raises:
        UserError: it is no picture, is damaged or cut off, or has more than 8 bits a channel.
    """
    with opened(data, name) as image:
        if least is not None and min(image.size) >= 2 * least:
            image.draft("RGB", (least, least))
        return pixels(image, name)


def opened(data: bytes | Path, name: str) -> Image.Image:
    """An encoded picture whose size and mode are known, not yet decoded."""
    try:
        with warnings.catch_warnings():
            # Pillow only warns of what is half as large as what it refuses.
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            return Image.open(io.BytesIO(data) if isinstance(data, bytes) else data)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise UserError(f"{name}: too large a picture ({_line(error)})") from error
    except DAMAGED as error:
        raise UserError(f"{name}: not a picture that can be read ({_line(error)})") from error


def pixels(image: Image.Image, name: str, *, seen_through: bool = False) -> Picture:
    """Decodes a picture to RGB; `seen_through`: whether somebody looks after its transparency.

    Raises:
        UserError: it is damaged, has more than 8 bits a channel, or pixels through which one sees:
            what lies behind them nobody knows.
    """
    # Of deep colours Pillow keeps the upper half and says so only in how it will decode.
    modes = [image.mode, *(str(tile[3]) for tile in getattr(image, "tile", ()))]
    deep = next((mode for mode in modes if mode.startswith(("I", "F")) or "16" in mode), None)
    if deep is not None:
        raise UserError(f"{name}: {deep} pixels; a frame has 8 bits a channel")
    try:
        upright = ImageOps.exif_transpose(image)
        clear = image.has_transparency_data and not seen_through
        if clear and np.asarray(upright.convert("RGBA"))[..., 3].min() < 255:
            raise UserError(f"{name}: has transparent pixels; a frame hides what is behind it")
        return np.asarray(upright.convert("RGB"))
    except UserError:
        raise
    except DAMAGED as error:
        raise UserError(f"{name}: damaged picture ({_line(error)})") from error


def square(image: NDArray[np.uint8], size: int, *, nearest: bool = False) -> NDArray[np.uint8]:
    """The largest central square, by area to `[size, size(, c)]` (linear where it grows).

    With `nearest` no two pixels are mixed, for pictures whose values are no colours.
    """
    height, width = image.shape[:2]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    part = image[top : top + side, left : left + side]
    if side == size:
        return part.copy()
    how = cv2.INTER_AREA if side > size else cv2.INTER_LINEAR
    if nearest:
        how = cv2.INTER_NEAREST_EXACT
    return np.asarray(cv2.resize(part, (size, size), interpolation=how), np.uint8)


def fingerprint(path: Path) -> str:
    """SHA-256 of a file, or of the pictures of a folder with their names."""
    digest = hashlib.sha256()
    for file in pictures_in(path) if path.is_dir() else [path]:
        # A name may be no text.
        digest.update(file.name.encode(errors="surrogateescape") if path.is_dir() else b"")
        with file.open("rb") as stream:
            while block := stream.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()


def size_text(image: NDArray[np.uint8]) -> str:
    """Width x height."""
    return f"{image.shape[1]}x{image.shape[0]}"


def _equal(frames: Iterator[Picture], path: Path, setting: str) -> Iterator[Picture]:
    first: Picture | None = None
    for number, image in enumerate(frames):
        first = image if first is None else first
        if image.shape != first.shape:
            raise UserError(
                f"{setting}={path}: frame {number} is {size_text(image)}, the first one "
                f"{size_text(first)}; all must be of one size"
            )
        yield image
    if first is None:
        raise UserError(f"{setting}={path}: holds no frames")


def _folder(path: Path, setting: str) -> Iterator[Picture]:
    found = frames_in(path, f"{setting}={path}")
    if not found:
        raise UserError(f"{setting}={path}: no pictures in this folder ({' '.join(SUFFIXES)})")
    for file in found:
        yield picture(file, f"{setting}={file}")


def _video(path: Path, setting: str) -> Iterator[Picture]:
    if path.stat().st_size == 0:
        raise UserError(f"{setting}={path}: an empty file; give a video or a folder of frames")
    number, end = 0, 0.0
    try:
        # A relative path with a colon would be taken for a protocol.
        with av.open(str(path.absolute())) as container:
            if container.format.name in _LISTS:
                raise UserError(
                    f"{setting}={path}: a list of other files ({container.format.name}), which may "
                    "lie anywhere; give the video itself"
                )
            if container.format.name == "tty":  # what draws the letters of any text
                raise UserError(f"{setting}={path}: a text; give a video or a folder of frames")
            if missing := lacks(path, container.format.name):
                raise UserError(f"{setting}={path}: cut off, {missing}; give the whole video")
            stream = film_of(container, f"{setting}={path}")
            if stream.codec_context is None:
                raise UserError(f"{setting}={path}: nothing here decodes its format")
            stream.thread_type = "AUTO"
            # Decoders hide damage by default: they drop frames or paint over holes.
            stream.codec_context.options = {"err_detect": "explode", "flags": "+output_corrupt"}
            shape = stream.sample_aspect_ratio
            if shape and not 1 / _SHAPE <= shape <= _SHAPE:
                raise UserError(
                    f"{setting}={path}: declares pixels {shape} times as wide as high; at least "
                    f"1/{_SHAPE} and at most {_SHAPE} can be applied"
                )
            for packet in container.demux():
                if packet.stream is not stream:
                    end = max(end, _end(packet))
                    continue
                if packet.is_corrupt:
                    raise UserError(f"{setting}={path}: damaged or cut off at frame {number}")
                for frame in stream.decode(packet):
                    if frame.is_corrupt:
                        raise UserError(f"{setting}={path}: frame {number} is damaged")
                    if frame.rotation % 90:
                        raise UserError(
                            f"{setting}={path}: declares a rotation by {frame.rotation} degrees; "
                            "only quarters can be applied"
                        )
                    yield _upright(_rgb(frame, f"{setting}={path}"), frame.rotation, shape)
                    number += 1
                    lasts = float((frame.duration or 0) * (stream.time_base or 0))
                    end = max(end, (frame.time or 0.0) + lasts)
            _check_whole(container, end, f"{setting}={path}: cut off after frame {number}")
    except (av.error.FFmpegError, OSError, ValueError) as error:
        if isinstance(error, UserError):
            raise
        where = f"after {number} frames" if number else "at its start"
        raise UserError(
            f"{setting}={path}: cannot be decoded {where} ({_line(error)}); "
            "give a whole video or a folder of frames"
        ) from error


def _rgb(frame: av.VideoFrame, name: str) -> Picture:
    """A frame's colours; what is seen through it is unknown, so it must be opaque."""
    if any(part.is_alpha for part in frame.format.components):
        every = frame.to_ndarray(format="rgba")
        if every[..., 3].min() < 255:
            raise UserError(f"{name}: has transparent pixels; a frame hides what is behind it")
        return np.ascontiguousarray(every[..., :3])
    return np.asarray(frame.to_ndarray(format="rgb24"), np.uint8)


def _end(packet: Any) -> float:
    """When what a packet holds is over, in seconds."""
    return float(((packet.pts or 0) + (packet.duration or 0)) * (packet.time_base or 0))


def _check_whole(container: InputContainer, end: float, message: str) -> None:
    """UserError where all streams together end much sooner than the file's header promises.

    Matroska and AVI simply end where they were cut; their headers still know how long they were.
    """
    promised = (container.duration or 0) / av.time_base
    if promised > end + max(1.0, 0.05 * promised):
        raise UserError(f"{message}: {end:.1f} of {promised:.1f} seconds")


def _upright(image: Picture, rotation: int, shape: Fraction | None) -> Picture:
    """Pixels made square by `shape` (width / height of one), turned by degrees anticlockwise."""
    if shape and shape != 1:
        height, width = image.shape[:2]
        size = (max(1, round(width * shape)), height)
        image = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)
    return np.ascontiguousarray(np.rot90(image, round(rotation / 90) % 4))


def _line(error: BaseException) -> str:
    """What an error says, in one line and without the path that ours already names."""
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return " ".join(text.split())
