"""Whether a video's file is as long as it says: demuxers end without a word where it was cut."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

_SEGMENT = bytes.fromhex("18538067")
_PACKETS = ((188, 0), (192, 4), (204, 0))
"""Bytes of an MPEG-TS packet, and which of them is `_SYNC`."""

_SYNC = 0x47
_LAST = (b"mdat", b"moof")
"""Boxes of MP4 that hold pictures and sound; of `moov` FFmpeg says what it cannot do without."""


def lacks(path: Path, kind: str) -> str:
    """What a file lacks by its own account, or nothing.

    Args:
        path: the file.
        kind: its format, as FFmpeg calls it.
    """
    there = path.stat().st_size
    for name, said in _SAID.items():
        if name in kind.split(","):
            with path.open("rb") as stream:
                needed = said(stream, there)
            if needed > there:
                return f"{there} of at least {needed} bytes"
    return ""


def _matroska(stream: BinaryIO, there: int) -> int:
    """Where the segment ends; 0 where it says nothing, as what was recorded live."""
    stream.seek(4)
    stream.seek(_number(stream) or 0, 1)
    if stream.read(4) != _SEGMENT:
        return 0
    length = _number(stream)
    return 0 if length is None else stream.tell() + length


def _number(stream: BinaryIO) -> int | None:
    """A number of EBML, whose first bits say how many bytes it has; None: unknown, or no number."""
    first = stream.read(1)
    if not first or not first[0]:
        return None
    count = 8 - first[0].bit_length()
    bits = 7 * (count + 1)
    number = int.from_bytes(first + stream.read(count), "big") & ((1 << bits) - 1)
    return None if number == (1 << bits) - 1 else number


def _avi(stream: BinaryIO, there: int) -> int:
    """Where the first list ends at the soonest; of several it is followed by others."""
    head = stream.read(8)
    # What it begins with does not count, but with some writers does.
    return int.from_bytes(head[4:], "little") if head[:4] == b"RIFF" else 0


def _mp4(stream: BinaryIO, there: int) -> int:
    """Where the last box ends."""
    place = 0
    while place < there:
        stream.seek(place)
        head = stream.read(16)
        size, kind = int.from_bytes(head[:4], "big"), head[4:8]
        if size == 1:
            size = int.from_bytes(head[8:], "big")
        if size < 8:
            return 0
        place += size
        if place > there and kind not in _LAST:
            return 0
    return place


def _packets(stream: BinaryIO, there: int) -> int:
    """Where the last packet ends."""
    start = stream.read(1024)
    for size, place in _PACKETS:
        if all(byte == _SYNC for byte in start[place::size]) and len(start) > 2 * size:
            return -(-there // size) * size
    return 0


_SAID: dict[str, Callable[[BinaryIO, int], int]] = {
    "matroska": _matroska, "avi": _avi, "mp4": _mp4, "mpegts": _packets,
}  # fmt: skip
