"""Files of weights: cut off, of another network, or pickles that would run code."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from bad_input_case import Case
from bad_input_files import (
    ROOT,
    broken_zip,
    evil_checkpoint,
    evil_pickle,
    frames,
    json_file,
    moving,
    several,
    tensors,
    written,
)

SHIPPED = ROOT / "attnzoo" / "weights"
HEADER = (2**62).to_bytes(8, "little") + b"{}"
"""Of a safetensors file that would not fit this planet."""


def half(source: Path, name: str) -> Callable[[Path], object]:
    return lambda folder: written(name, source.read_bytes()[: source.stat().st_size // 2])(folder)


def modules(*changes: Callable[[Path], object]) -> Callable[[Path], object]:
    """What `attnzoo.save_modules` wrote of `temporal`, changed."""

    def made(folder: Path) -> None:
        import attnzoo
        from attnzoo.testing.small_unet import stock

        unet = stock()
        attnzoo.attach(unet, "temporal", frames=4)
        attnzoo.save_modules(unet, folder / "m")
        for change in changes:
            change(folder / "m")

    return made


def saved(name: str, content: Any) -> Callable[[Path], object]:
    return lambda folder: torch.save(content, folder / name)


DESCRIPTION = "modules.json"
RAFT = "run flow=raft motion.weights={}"

BASE = "run model.weights={}"

WEIGHTS = [
    *(
        Case(f"{door}: {name}", f"{door} {file}", (file,), files)
        for door in ("read_weights", "read_state")
        for name, file, files in (
            ("empty", "w.pt", written("w.pt", "")),
            ("words", "w.pt", written("w.pt", "hello")),
            ("bytes", "w.pt", written("w.pt", bytes(range(256)) * 9)),
            ("cut off", "w.pt", broken_zip("w.pt")),
            ("a pickle with code", "w.pt", evil_pickle("w.pt")),
            ("a checkpoint with code", "w.pt", evil_checkpoint("w.pt")),
            ("a pickle that stops", "w.pt", written("w.pt", b"\x80\x04]")),
            ("empty safetensors", "w.safetensors", written("w.safetensors", "")),
            ("safetensors of words", "w.safetensors", written("w.safetensors", "hello" * 9)),
            ("huge header", "w.safetensors", written("w.safetensors", HEADER)),
            (
                "half safetensors",
                "w.safetensors",
                half(SHIPPED / "features.safetensors", "w.safetensors"),
            ),
            ("a folder", "w.pt", lambda folder: (folder / "w.pt").mkdir()),
        )
    ),
    Case("read_weights: a list", "read_weights w.pt", ("w.pt",), saved("w.pt", [1, 2])),
    Case("read_weights: a number", "read_weights w.pt", ("w.pt",), saved("w.pt", 3)),
    Case(
        "read_weights: names that are numbers",
        "read_weights w.pt",
        ("w.pt",),
        saved("w.pt", {3: torch.zeros(1)}),
    ),
    Case(
        "read_weights: no weights inside",
        "read_weights w.pt",
        ("w.pt", "no weights"),
        saved("w.pt", {"epoch": 3}),
    ),
    Case(
        "read_weights: a loop",
        "read_weights w.pt",
        ("w.pt",),
        lambda folder: saved("w.pt", loop())(folder),
    ),
    Case(
        "base: words",
        BASE.format("w.safetensors"),
        ("w.safetensors",),
        written("w.safetensors", "hello"),
    ),
    Case(
        "base: of another network",
        "base w.safetensors",
        ("w.safetensors", "first"),
        tensors("w.safetensors", a=(1,)),
    ),
    Case(
        "base: a folder",
        BASE.format("w"),
        ("model.weights=w", "no such file"),
        lambda folder: (folder / "w").mkdir(),
    ),
    Case("RAFT: empty", RAFT.format("w.pth"), ("w.pth",), written("w.pth", "")),
    Case("RAFT: a pickle with code", RAFT.format("w.pth"), ("w.pth",), evil_pickle("w.pth")),
    Case(
        "RAFT: of another network",
        RAFT.format("w.safetensors"),
        ("w.safetensors",),
        tensors("w.safetensors", a=(1,)),
    ),
    Case(
        "RAFT: names that are numbers",
        RAFT.format("w.pth"),
        ("w.pth",),
        saved("w.pth", {3: torch.zeros(1)}),
    ),
    Case("RAFT: cut off", RAFT.format("w.pth"), ("w.pth",), broken_zip("w.pth")),
    Case(
        "score: weights of words",
        "score --real real --fake fake --only fvd --cache none --weights i3d=w.pt",
        ("w.pt",),
        several(
            written("w.pt", "hello"), *(frames(f"{d}/v", moving(16)) for d in ("real", "fake"))
        ),
    ),
    Case(
        "score: weights with code",
        "score --real real --fake fake --only fvd --cache none --weights i3d=w.pt",
        ("w.pt",),
        several(evil_pickle("w.pt"), *(frames(f"{d}/v", moving(16)) for d in ("real", "fake"))),
    ),
    Case(
        "modules: right", "load_modules m", right=lambda ran: "temporal" in ran.out, files=modules()
    ),
    Case("modules: nowhere", "load_modules gone", ("gone", "no such file")),
    Case(
        "modules: no weights",
        "load_modules m",
        ("modules.safetensors",),
        modules(lambda m: (m / "modules.safetensors").unlink()),
    ),
    Case(
        "modules: other weights",
        "load_modules m",
        ("modules.safetensors",),
        modules(tensors("modules.safetensors", a=(1,))),
    ),
    Case(
        "modules: half the weights",
        "load_modules m",
        ("modules.safetensors",),
        modules(
            lambda m: written(
                "modules.safetensors", (m / "modules.safetensors").read_bytes()[:900]
            )(m)
        ),
    ),
    *(
        Case(f"modules: {name}", "load_modules m", (DESCRIPTION,), modules(change))
        for name, change in {
            "description of words": written(DESCRIPTION, "hello"),
            "description of bytes": written(DESCRIPTION, b"\xff\x00"),
            "description deep inside": written(DESCRIPTION, "[" * 100_000),
            "description in a list": written(DESCRIPTION, "[]"),
            "another format": json_file(DESCRIPTION, lambda c: {**c, "format": 9}),
            "no variant": json_file(
                DESCRIPTION, lambda c: {k: v for k, v in c.items() if k != "variant"}
            ),
            "a variant in a list": json_file(DESCRIPTION, lambda c: {**c, "variant": ["a"]}),
            "an unknown variant": json_file(DESCRIPTION, lambda c: {**c, "variant": "temporl"}),
            "options in a list": json_file(DESCRIPTION, lambda c: {**c, "options": [1]}),
            "frames in words": json_file(DESCRIPTION, lambda c: {**c, "frames": "four"}),
            "no frames": json_file(DESCRIPTION, lambda c: {**c, "frames": 0}),
            "unknown slots": json_file(DESCRIPTION, lambda c: {**c, "slots": "none"}),
            "slots in a list": json_file(DESCRIPTION, lambda c: {**c, "base": {"slots": [1]}}),
            "channels in words": json_file(
                DESCRIPTION, lambda c: {**c, "base": {"slots": {"a": "b"}}}
            ),
        }.items()
    ),
]


def loop() -> Any:
    content: dict[str, Any] = {}
    content["state_dict"] = content
    return content


CASES = {"weights": WEIGHTS}
