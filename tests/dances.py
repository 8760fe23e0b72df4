"""Made-up TikTok dances in every layout, a few kilobytes each."""

from __future__ import annotations

import base64
import io
import json
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Frame = NDArray[np.uint8]

HEIGHT, WIDTH = 96, 64


def picture(i: int) -> Frame:
    """A dancer of one colour in front of a wall of another."""
    frame = np.full((HEIGHT, WIDTH, 3), 200, np.uint8)
    frame[mask(i)] = (30, 90, 160)
    return frame


def mask(i: int) -> NDArray[np.bool_]:
    shown = np.zeros((HEIGHT, WIDTH), bool)
    shown[24:90, 12 + i : 40 + i] = True
    return shown


def points(i: int) -> list[list[float]]:
    rows = [[20.0 + i + 1.2 * n, 30.0 + 2.5 * n, 0.9] for n in range(17)]
    rows[15] = rows[16] = [-1, -1, -1]
    return rows


def png(image: Frame) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(image).save(stream, "PNG")
    return stream.getvalue()


def folder(root: Path, dances: tuple[str, ...] = ("002",), count: int = 16) -> Path:
    for name in dances:
        for part in ("groundsam", "openpose_json"):
            (root / name / part).mkdir(parents=True)
        for i in range(count):
            frame = f"{i + 1:06d}.png"
            (root / name / frame).write_bytes(png(picture(i)))
            (root / name / "groundsam" / f"{frame}.mask.png").write_bytes(
                png(mask(i).astype(np.uint8))
            )
            people = json.dumps([{"keypoints": points(i)}])
            (root / name / "openpose_json" / f"{frame}.json").write_text(people)
    return root


def write_tsv(path: Path, rows: list[tuple[str, str]]) -> None:
    lines = [f"{key}\t{value}\n".encode() for key, value in rows]
    offsets = np.cumsum([0, *map(len, lines)])[:-1]
    path.write_bytes(b"".join(lines))
    path.with_suffix(".lineidx").write_text("".join(f"{offset}\n" for offset in offsets))
    path.with_suffix(".lineidx.8b").write_bytes(struct.pack(f"<{len(offsets)}q", *offsets))


def tsv(
    root: Path,
    dances: tuple[str, ...] = ("000", "001"),
    count: int = 16,
    *,
    prefix: str = "Custom",
) -> Path:
    """As DisCo writes them, the yaml's wrong file name included; poses as keypoints."""
    root.mkdir(exist_ok=True)
    keys = [f"{prefix}_{name}_{i + 1:06d}.png" for name in dances for i in range(count)]
    frames = [i for _ in dances for i in range(count)]

    def encoded(image: Frame) -> str:
        return base64.b64encode(png(image)).decode()

    white = [np.repeat(mask(i)[..., None], 3, 2).astype(np.uint8) * 255 for i in frames]
    first = [n // count * count for n in range(len(keys))]
    columns = {
        "images": [encoded(picture(i)) for i in frames],
        "masks": [encoded(image) for image in white],
        "poses": [json.dumps([{"keypoints": points(i)}]) for i in frames],
        "vid2line": [json.dumps([start, start + count - 1]) for start in first],
    }
    for field, values in columns.items():
        write_tsv(root / f"train_{field}.tsv", list(zip(keys, values, strict=True)))
    (root / "train.yaml").write_text(
        "composite: false\nimg: train_img.tsv\nmasks: train_masks.tsv\n"
        "poses: train_poses.tsv\nvid2line: train_vid2line.tsv\n"
    )
    return root


def rewrite(root: Path, field: str, change: Callable[[list[tuple[str, str]]], object]) -> Path:
    """A set of TSV files with one field's rows changed."""
    path = tsv(root) / f"train_{field}.tsv"
    rows = [tuple(line.split("\t")) for line in path.read_text().splitlines()]
    change(rows)  # type: ignore[arg-type]
    write_tsv(path, rows)  # type: ignore[arg-type]
    return root


def published(root: Path, dances: tuple[str, ...] = ("00001",), count: int = 16) -> Path:
    """As the TikTok set was published; DensePose as raw IUV, U across and V down the body."""
    for name in dances:
        for part in ("images", "masks", "densepose"):
            (root / name / part).mkdir(parents=True)
        for i in range(count):
            white = np.repeat(mask(i)[..., None], 3, 2).astype(np.uint8) * 255
            images = {"images": picture(i), "masks": white, "densepose": iuv(i)}
            for part, image in images.items():
                (root / name / part / f"{i + 1:04d}.png").write_bytes(png(image))
    return root


def iuv(i: int) -> Frame:
    """Part 2 above part 5, with U and V that follow the body."""
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    part = np.where(y < 57, 2, 5)
    u, v = 9 * (x - 12 - i), 3 * (y - 24)
    return np.asarray(np.stack([part, u, v], -1) * mask(i)[..., None], np.uint8)
