"""What a fault may not leave: half a file under a final name, something lost, another number."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import av
import numpy as np
import torch
import yaml
from PIL import Image
from safetensors import safe_open
from safetensors.torch import load_file

from attnzoo.files import PARTIAL
from attnzoo.train.record import read_record

CLOCKS = frozenset(
    (
        "seconds", "frames_per_second", "frames_per_s", "load", "loader", "resumed", "latency_s",
        "interval",
        "latency", "latency_low", "latency_high", "throughput", "roofline_share", "others",
        "peak_bytes", "amortised", "commit",
    )
)  # fmt: skip
"""Keys of JSON objects whose values are times, or follow from them, or from the checkout's history.
"""


def final_files(folder: Path) -> Iterator[Path]:
    """All that stands under a final name, in order."""
    for path in sorted(folder.rglob("*")):
        parts = path.relative_to(folder).parts
        if path.is_file() and not any(part.startswith(PARTIAL) for part in parts):
            yield path


def leftovers(folder: Path) -> list[str]:
    """What a killed process has left beside, and nobody has swept."""
    found = sorted(path for path in folder.rglob(f"{PARTIAL}*"))
    return [f"{path.relative_to(folder)}: left over" for path in found]


def half_written(folder: Path) -> list[str]:
    """The final files that are not whole, each with what is wrong."""
    found = []
    for path in final_files(folder):
        try:
            read_whole(path)
        except Exception as error:
            found.append(f"{path.relative_to(folder)}: {type(error).__name__}: {error}")
    return found


def read_whole(path: Path) -> None:
    """Reads all of a file.

    Raises:
        Exception: it is cut off, or of a kind that nobody has said how to read.
    """
    if path.name in _BY_NAME:
        _BY_NAME[path.name](path)
    elif path.parent.name == "records" or path.parent.parent.name == "records":
        (_json if path.name.endswith(".error.json") else _record)(path)
    elif path.parent.parent.name == "items":
        _summed(path)
    elif path.parent.name == "locks" or path.name.startswith(".lock-"):
        _any(path)
    elif path.parent.name == "catalogue":
        _json(path)
    elif path.suffix in _BY_SUFFIX:
        _BY_SUFFIX[path.suffix](path)
    else:
        raise ValueError("a kind of file that the harness cannot read: tell checking.py how")


def _json(path: Path) -> None:
    json.loads(path.read_text())


def _lines(path: Path) -> None:
    text = path.read_text()
    if text and not text.endswith("\n"):
        raise ValueError("the last line is cut off")
    for line in text.splitlines():
        json.loads(line)


def _journal(path: Path) -> None:
    """Appended to: its last line alone may be cut off."""
    for line in path.read_text().splitlines(keepends=True):
        if line.endswith("\n"):
            json.loads(line)


def _csv(path: Path) -> None:
    text = path.read_text()
    rows = list(csv.reader(io.StringIO(text)))
    if not rows or not text.endswith("\n") or {len(row) for row in rows} != {len(rows[0])}:
        raise ValueError("the table is cut off")


def _picture(path: Path) -> None:
    with Image.open(path) as picture:
        picture.load()
    if not path.read_bytes().endswith(b"IEND\xae\x42\x60\x82"):
        raise ValueError("the end is missing")


def _video(path: Path) -> None:
    with av.open(str(path)) as video:
        if not sum(1 for _ in video.decode(video=0)):
            raise ValueError("no frames")


def _arrays(path: Path) -> None:
    with path.open("rb") as file, np.load(file) as stored:
        for name in stored.files:
            stored[name]


def _ending(*endings: str) -> Callable[[Path], None]:
    def read(path: Path) -> None:
        if not path.read_text().rstrip().endswith(endings):
            raise ValueError("the end is missing")

    return read


def _text(path: Path) -> None:
    if not path.read_text().endswith("\n"):
        raise ValueError("the end is missing")


def _pickle(path: Path) -> None:
    torch.load(path, weights_only=False)  # of this harness's own run


def _summed(path: Path) -> None:
    """SHA-256, and then what it is of."""
    content = path.read_bytes()
    if sha256(content[32:]).digest() != content[:32]:
        raise ValueError("its checksum does not fit")


def _any(path: Path) -> None:
    """Logs and locks: there is no end that could be missing."""


_BY_NAME: dict[str, Callable[[Path], None]] = {
    "record.json": lambda path: _record(path),
    "log": _any,
    "lock": _any,
    ".lock": _any,
}
_BY_SUFFIX: dict[str, Callable[[Path], None]] = {
    ".json": _json,
    ".jsonl": _lines,
    ".part": _journal,
    ".csv": _csv,
    ".png": _picture,
    ".svg": _ending("</svg>"),
    ".html": _ending("</html>"),
    ".mp4": _video,
    ".npz": _arrays,
    ".npy": lambda path: _array(path),
    ".safetensors": lambda path: _tensors(path),
    ".yaml": lambda path: _yaml(path),
    ".md": _text,
    ".tex": _text,
    ".bin": _pickle,
    ".pkl": _pickle,
    ".pt": _pickle,
    ".log": _any,
    ".lock": _any,
}


def _record(path: Path) -> None:
    read_record(path)


def _array(path: Path) -> None:
    np.load(path)


def _tensors(path: Path) -> None:
    load_file(path)


def _yaml(path: Path) -> None:
    text = path.read_text()
    if not text.endswith("\n"):
        raise ValueError("the end is missing")
    yaml.safe_load(text)


def differences(got: Path, wanted: Path, clocks: tuple[str, ...]) -> list[str]:
    """What in the folder `got` is not as in `wanted`; of files that `clocks` match, only whether
    they are there."""
    here = {str(p.relative_to(got)) for p in final_files(got)}
    there = {str(p.relative_to(wanted)) for p in final_files(wanted)}
    found = [f"{name}: missing" for name in sorted(there - here)]
    found += [f"{name}: one too many" for name in sorted(here - there)]
    for name in sorted(here & there):
        if any(Path(name).match(pattern) for pattern in clocks):
            continue
        if _content(got / name) != _content(wanted / name):
            found.append(f"{name}: differs from the uninterrupted run's{_where(got, wanted, name)}")
    return found


def _content(path: Path) -> Any:
    if path.suffix == ".json":
        return timeless(json.loads(path.read_text()))
    if path.suffix == ".csv":  # of a table's columns those of costs are times
        with path.open(newline="") as file:
            return [row for row in csv.DictReader(file) if row.get("kind") != "cost"]
    if path.name == "config.yaml":  # a plug-in's file lies in the job's own folder
        return path.read_text().replace(str(path.parents[1]), "")
    if path.suffix == ".jsonl":
        return [timeless(json.loads(line)) for line in path.read_text().splitlines()]
    if path.suffix == ".safetensors":  # whose texts stand in no order of their own
        with safe_open(path, framework="pt") as file:
            texts = file.metadata()
        tensors = load_file(path)
        return texts, {n: (str(t.dtype), t.shape, _raw(t)) for n, t in tensors.items()}
    return path.read_bytes()


def _raw(tensor: torch.Tensor) -> bytes:
    return tensor.flatten().view(torch.uint8).numpy().tobytes()


def timeless(value: Any) -> Any:
    """A JSON value without what two runs of the same do not have in common."""
    if isinstance(value, dict):
        clocks = {k for k in value if k in CLOCKS or k.startswith("peak_flops")}
        # A plug-in's file lies in the job's own folder.
        return {
            k: Path(v).name if k == "file" and isinstance(v, str) else timeless(v)
            for k, v in value.items()
            if k not in clocks
        }
    return [timeless(v) for v in value] if isinstance(value, list) else value


def _where(got: Path, wanted: Path, name: str) -> str:
    if Path(name).suffix not in (".json", ".jsonl"):
        return ""
    return ": " + "; ".join(_unequal(_content(got / name), _content(wanted / name), ""))[:300]


def _unequal(a: Any, b: Any, place: str) -> Iterator[str]:
    if isinstance(a, dict) and isinstance(b, dict):
        for key in sorted({*a, *b}):
            yield from _unequal(a.get(key), b.get(key), f"{place}.{key}")
    elif isinstance(a, list) and isinstance(b, list) and len(a) == len(b):
        for i, (one, other) in enumerate(zip(a, b, strict=True)):
            yield from _unequal(one, other, f"{place}[{i}]")
    elif a != b:
        yield f"{place} is {a!r}, not {b!r}"
