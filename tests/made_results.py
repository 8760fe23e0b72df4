"""A made-up results folder: the layout of a real one, numbers with effects that are known.

A score's badness is `base * exp(clip + scenario + effect + noise)`: `clip` is shared by all cells,
`effect` belongs to the cell (`EFFECTS`, `SIXTH`), noise is small beside the effects. Planted:
`temporal` is clearly better than `none`, but for the logo's jitter, where it is worse;
`stsa` and `stsa_flow` are equal; cross-frame attention is worse; frame by frame flickers most. In
the sixth table the gain of unaligned attention goes with the noise's sharing and is halved by a
moving camera.
"""

from __future__ import annotations

import copy
import hashlib
import json
import math
from collections.abc import Collection
from pathlib import Path
from typing import Any

import av
import numpy as np
from PIL import Image

FRAMES, SIZE, ENLARGED = 16, 64, 4
SCENARIOS = (
    "seen person, seen pose",
    "seen person, unseen pose",
    "unseen person, seen pose",
    "unseen person, unseen pose",
)
EXAMPLE = Path("results/example/record.json")

CELLS: dict[str, tuple[str, list[str]]] = {
    "dreampose": ("DreamPose-style", ["method=dreampose", "attn=none"]),
    "disco": ("DisCo-style", ["method=disco", "attn=none"]),
    "none": ("VD", ["attn=none"]),
    "stsa-4x4x4": ("VD + SA", ["attn=stsa", "size=[4,4,4]"]),
    "stsa_flow-permute": (
        "VD + SA + MF",
        ["attn=stsa_flow", "size=[4,4,4]", "align=permute"],
    ),
    "crossframe_first": ("CrossFrame, first", ["attn=crossframe_first"]),
    "crossframe_middle": ("CrossFrame, middle", ["attn=crossframe_middle"]),
    "crossframe_previous": ("CrossFrame, previous", ["attn=crossframe_previous"]),
    "crossframe_all": ("CrossFrame, all", ["attn=crossframe_all"]),
    "temporal": ("Temporal", ["attn=temporal"]),
    "stsa-4x2x2": ("[4, 2, 2]", ["attn=stsa", "size=[4,2,2]"]),
    "stsa-8x4x4": ("[8, 4, 4]", ["attn=stsa", "size=[8,4,4]"]),
    "stsa_flow-scatter": (
        "align=scatter",
        ["attn=stsa_flow", "size=[4,4,4]", "align=scatter"],
    ),
    "stsa_flow-cycles": ("align=cycles", ["attn=stsa_flow", "size=[4,4,4]", "align=cycles"]),
    "stsa-flat": ("stsa, not shifted", ["attn=stsa", "size=[4,4,4]", "stack=flat"]),
    "stsa_flow-flat": (
        "stsa_flow, not shifted",
        ["attn=stsa_flow", "size=[4,4,4]", "align=permute", "stack=flat"],
    ),
    "stsa_flow-iuv": (
        "flow from IUV",
        ["attn=stsa_flow", "size=[4,4,4]", "align=permute", "flow=iuv"],
    ),
    "stsa_flow-skeleton": (
        "flow from the skeleton",
        ["attn=stsa_flow", "size=[4,4,4]", "align=permute", "flow=skeleton"],
    ),
}

SIXTH_VARIANTS = {
    "none": ["attn=none"],
    "temporal": ["attn=temporal"],
    "stsa": ["attn=stsa", "size=[4,4,4]"],
    "stsa_flow": ["attn=stsa_flow", "size=[4,4,4]", "align=permute"],
    "mixed": ["attn=stsa_flow", "size=[4,4,4]", "align=permute", "aligned=shifted"],
}

EFFECTS: dict[str, float] = {
    "dreampose": 0.5,
    "disco": 0.3,
    "none": 0.0,
    "temporal": -0.25,
    "stsa-4x4x4": -0.12,
    "stsa_flow-permute": -0.12,
    "crossframe_first": 0.15,
    "crossframe_middle": 0.12,
    "crossframe_previous": 0.1,
    "crossframe_all": 0.2,
    "stsa-4x2x2": -0.06,
    "stsa-8x4x4": -0.18,
    "stsa_flow-scatter": -0.1,
    "stsa_flow-cycles": -0.12,
    "stsa-flat": -0.07,
    "stsa_flow-flat": -0.07,
    "stsa_flow-iuv": -0.12,
    "stsa_flow-skeleton": -0.02,
}
"""Log ratio of badness to that of `none`, the same for every metric but `REVERSED`."""

REVERSED = "logo_jitter"
"""Here `temporal` is as much worse as it is better elsewhere."""

NOISE = {"shared": 1.0, "half": 0.4, "independent": 0.0}
CAMERA = {"still": 1.0, "moving": 0.5}
SIXTH = {"none": 0.0, "temporal": -0.3, "stsa": -0.15, "stsa_flow": 0.0, "mixed": -0.08}
"""The same with noise shared and a still camera."""

BASES = {
    "ssim": 0.2, "psnr": 0.07, "l1": 0.036, "l1_body": 0.09, "embedded_perceptual": 0.21,
    "warp_error_1": 0.061, "warp_error_1_picture": 0.0175, "warp_error_4": 0.085,
    "warp_error_4_picture": 0.022, "flicker": 0.0126, "ghosting": 0.045,
    "identity_embedded": 0.04, "logo_position": 0.45, "logo_jitter": 0.54, "logo_shape": 0.42,
    "logo_colour": 0.042, "fd_embedded_frame": 18.0, "fd_embedded_video": 53.0,
}  # fmt: skip
REAL = {
    "warp_error_1": 0.0357, "warp_error_1_picture": 0.00925, "warp_error_4": 0.0509,
    "warp_error_4_picture": 0.01135, "identity_embedded": 0.982,
}  # fmt: skip
SPREAD = 0.02
"""Standard deviation of the logarithm that a cell, a metric and a clip have to themselves."""
FAILED = "stsa_flow-cycles"


def make_results(
    folder: Path,
    *,
    seeds: int = 3,
    clips: int = 8,
    sixth: int | None = None,
    broken: bool = True,
    videos: bool = True,
    reused: Collection[tuple[str, int]] = (),
) -> Path:
    """Writes it and returns it.

    sixth: clips of the sixth table, by default as many as of the others; broken: one cell has
    failed; without videos there is no clips/; reused: records (cell and seed) of another machine.
    """
    protocol = made_protocol(seeds, clips, sixth)
    _write(folder / "protocol.json", protocol)
    for cell in protocol["cells"]:
        for seed in range(seeds):
            place = folder / "records" / cell / f"seed{seed}.json"
            if broken and cell == FAILED:
                _write(place.with_suffix(".error.json"), _error(cell, seed))
            else:
                own = sixth if sixth is not None and cell.startswith("table6-") else clips
                record = made_record(protocol, cell, seed, own)
                if (cell, seed) in reused:
                    record["environment"]["reused"] = True
                    record["environment"]["hardware"]["gpu"] = "H100"
                _write(place, record)
        profile = _profile(cell)
        _write(
            folder / "costs" / f"{cell}.json",
            {
                "schema": 1, "cell": cell, "profile": profile,
                "environment": _example()["environment"], "reused": False,
            },
        )  # fmt: skip
    for cell in protocol["curves"]:
        _write(folder / "curves" / f"{cell}.json", _curves(cell))
    _write_search(folder / "search", protocol)
    (folder / "figures").mkdir(parents=True, exist_ok=True)
    _picture(0, 0.0).resize((660, 220)).save(folder / "figures" / "figure2c.png")
    if videos:
        _write_clips(folder / "clips", list(protocol["cells"]))
    return folder


def made_protocol(seeds: int, clips: int, sixth: int | None = None) -> dict[str, Any]:
    """All six tables; the sixth has cells of its own."""
    cells: dict[str, Any] = {name: _cell(*CELLS[name]) for name in CELLS}
    of_sixth: list[dict[str, Any]] = []
    for noise in NOISE:
        for camera in CAMERA:
            for variant, overrides in SIXTH_VARIANTS.items():
                name = f"table6-{noise}-{camera}-{variant}"
                extra = [f"noise={noise}", f"data.camera={camera}"]
                extra += [] if sixth is None else [f"sample.clips={sixth}"]
                cells[name] = _cell(variant, [*overrides, *extra])
                of_sixth.append(_row(variant, name, f"noise {noise}, camera {camera}"))

    def rows(*names: str, group: str | None = None) -> list[dict[str, Any]]:
        return [_row(CELLS[name][0], name, group) for name in names]

    first = rows("dreampose", "disco", "none", "stsa-4x4x4", "stsa_flow-permute")
    crossframe = [name for name in CELLS if name.startswith("crossframe")]
    tables = {
        "table1": ("Comparison of methods", first),
        "table2": ("Attention mechanisms", rows(*crossframe, "temporal", "stsa-4x4x4")),
        "table3": ("Subspace sizes", rows("stsa-4x2x2", "stsa-4x4x4", "stsa-8x4x4")),
        "table4": ("Scenarios", first),
        "table5": (
            "Alignment, shift and flow",
            [
                *rows(
                    "stsa_flow-scatter", "stsa_flow-permute", "stsa_flow-cycles", group="alignment"
                ),
                *rows("stsa-4x4x4", "stsa-flat", group="shift, stsa"),
                *rows("stsa_flow-permute", "stsa_flow-flat", group="shift, stsa_flow"),
                *rows("stsa_flow-permute", "stsa_flow-iuv", "stsa_flow-skeleton", group="flow"),
            ],
        ),
        "table6": ("Noise and camera", of_sixth),
    }
    rest = {
        "schema": 1,
        "name": "full",
        "command": "python -m attnzoo.tables",
        "seeds": list(range(seeds)),
        "settings": {"train.stage1.steps": 80, "train.stage2.steps": 15, "sample.steps": 10},
        "cells": cells,
        "tables": {key: {"title": title, "rows": found} for key, (title, found) in tables.items()},
        "curves": ["none", "temporal", "stsa-4x4x4", "stsa_flow-permute"],
        "clips": clips,
    }
    found = hashlib.sha256(json.dumps(rest, sort_keys=True).encode()).hexdigest()
    return {**rest, "hash": found}


def made_record(protocol: dict[str, Any], cell: str, seed: int, clips: int) -> dict[str, Any]:
    """A record of schema 3."""
    record = copy.deepcopy(_example())
    names = [f"person{4 * seed + i % 4}-dance{seed * clips + i}" for i in range(clips)]
    scenarios = [SCENARIOS[i % 4] for i in range(clips)]
    overrides = dict(one.split("=", 1) for one in protocol["cells"][cell]["overrides"])
    attn = overrides["attn"]
    own = {k: v for k, v in overrides.items() if k in ("size", "align", "aligned")}
    options: dict[str, Any] = {"backend": "auto", **own}
    if "size" in own:
        options |= {"size": json.loads(own["size"]), "bias": "none"}
    steps = list(range(1, 81, 4))
    noise = overrides.get("noise", "shared")
    record |= {
        "schema": 3,
        "method": overrides.get("method", "video"),
        "flow": overrides.get("flow", "exact"),
        "variant": attn,
        "options": options,
        "kind": "replace" if attn.startswith("crossframe") else "insert",
        "stack": overrides.get("stack", "declared"),
        "seed": seed,
        "noise": {"training": noise, "sampling": noise},
        "profile": None,
        "scores": _scores(cell, seed, scenarios),
    }
    record["environment"] |= {
        "overrides": [
            *(f"{key}={value}" for key, value in protocol["settings"].items()),
            f"seed={seed}",
            *protocol["cells"][cell]["overrides"],
            *(f"{key}={value}" for key, value in protocol["cells"][cell]["chosen"].items()),
        ],
        "key": hashlib.sha256(repr((cell, seed)).encode()).hexdigest(),
        "reused": False,
    }
    record["data"]["settings"]["camera"] = overrides.get("data.camera", "still")
    record["data"]["split"]["test"] = record["data"]["split"]["test"][:4]
    record["sampling"] |= {"clips": names, "scenarios": scenarios}
    fall = np.exp(-np.arange(20) / 6) * 0.06 + 0.02 * math.exp(_effect(cell, "l1"))
    rng = _rng("loss", cell, seed)
    record["training"]["stage1"]["loss"] = {
        "step": steps,
        "loss": [float(v) for v in fall * rng.lognormal(0, 0.1, 20)],
    }
    record["training"]["stage2"]["loss"] = {"step": [5, 10, 15], "loss": [0.024, 0.023, 0.0235]}
    record["parameters"] |= _profile(cell)["parameters"] | {"slots": 0, "positions": 16640}
    record["parameters"].pop("trained")
    return record


def _example() -> dict[str, Any]:
    path = EXAMPLE if EXAMPLE.exists() else Path(__file__).parent.parent / EXAMPLE
    found: dict[str, Any] = json.loads(path.read_text())
    return found


def _rng(*key: object) -> np.random.Generator:
    return np.random.default_rng(list(hashlib.sha256(repr(key).encode()).digest()))


def _effect(cell: str, score: str) -> float:
    if cell.startswith("table6-"):
        _, noise, camera, variant = cell.split("-")
        return SIXTH[variant] * NOISE[noise] * CAMERA[camera]
    sign = -1.0 if cell == "temporal" and score == REVERSED else 1.0
    return sign * EFFECTS[cell]


def _scores(cell: str, seed: int, scenarios: list[str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, base in BASES.items():
        clip = _rng("clip", name, seed).normal(0, 0.15, len(scenarios))
        hard = np.array([0.1 * SCENARIOS.index(s) for s in scenarios])
        own = _rng("own", name, cell, seed).normal(0, SPREAD, len(scenarios))
        # In the sixth table it is what real clips have not that a variant takes away.
        real = REAL[name] if cell.startswith("table6-") and name.startswith("warp") else 0.0
        badness = real + (base - real) * np.exp(clip + hard + own + _effect(cell, name))
        if name.startswith("fd_"):
            value = float(badness.mean())
            per_clip = (badness - value) / len(scenarios)
            n = len(scenarios) * (FRAMES if name.endswith("frame") else 1)
            note = {"note": f"{n} samples of 64 dimensions: biased upwards, compare at equal n"}
            found[name] = {
                "value": value, "n": n, "clips": [], "influence": per_clip.tolist(),
                "statement": f"{name}, made up",
            } | (note if n <= 64 else {})  # fmt: skip
            continue
        values: list[float | None] = _shown(name, badness).tolist()
        if name.startswith("logo_") and len(values) > 2:
            values[2] = None  # no sign was seen in this clip
        known = [v for v in values if v is not None]
        found[name] = {"value": float(np.mean(known)), "n": len(known), "clips": values}
        if name in REAL:
            found[name]["real"] = REAL[name]
    found["lpips"] = {
        "value": None, "n": 0, "clips": [], "reason": "the package lpips is not installed",
    }  # fmt: skip
    return found


def _shown(name: str, badness: Any) -> Any:
    """A metric's value from its badness: likenesses fall with it, flicker lies below zero."""
    if name in ("ssim", "identity_embedded"):
        return 1 - badness
    if name == "psnr":
        return -20 * np.log10(badness)
    return -badness if name == "flicker" else badness


def _profile(cell: str) -> dict[str, Any]:
    profile: dict[str, Any] = copy.deepcopy(_example()["profile"])
    attn = "none" if cell in ("dreampose", "disco") else cell.split("-")[-1 if "6" in cell else 0]
    bare = attn in ("none", "dreampose", "disco") or attn.startswith("crossframe")
    slower = 1.0 + 0.04 * (sum(cell.encode()) % 11) * (not bare)
    for kind in ("forward", "training"):
        one = profile[kind]
        for end in ("median", "low", "high"):
            one["latency_s"][end] *= slower
        one["frames_per_s"] /= slower
        one["peak_memory_bytes"] = int(one["peak_memory_bytes"] * (0.6 + 0.4 * slower))
        one["flops"] = int(one["flops"] * slower)
    added = 16640 if bare else 413312
    profile["parameters"] |= {"added": added, "trained": added}
    if bare:
        profile["module"] = None
    return profile


def _curves(cell: str) -> dict[str, Any]:
    def scores(factor: float) -> dict[str, Any]:
        means = {name: _shown(name, np.array([base]))[0] for name, base in BASES.items()}
        effect = math.exp(_effect(cell, "l1"))
        return {
            name: {"value": float(mean * factor * effect), "clips": [float(mean * factor)] * 4}
            for name, mean in means.items()
        }

    return {
        "schema": 1,
        "cell": cell,
        "denoising": {"steps": [2, 5, 10, 20], "scores": [scores(f) for f in (1.5, 1.1, 1, 0.98)]},
        # The last ones are after stage 2.
        "training": {"steps": [20, 40, 60, 95], "scores": [scores(f) for f in (1.3, 1.1, 1.03, 1)]},
    }


def _write_search(folder: Path, protocol: dict[str, Any]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    names = [name for name in protocol["cells"] if not name.startswith("table6")]
    lines = []
    for cell in names:
        for rate in (1e-3, 3e-3, 1e-2):
            values = (0.06 * _rng("search", cell, rate).lognormal(0, 0.05, 4)).tolist()
            setting = {"train.stage1.learning_rate": rate}
            lines.append(json.dumps({"cell": cell, "setting": setting, "clips": values}))
    (folder / "log.jsonl").write_text("\n".join(lines) + "\n")
    _write(folder / "chosen.json", {name: {"train.stage1.learning_rate": 3e-3} for name in names})


def _write_clips(folder: Path, cells: list[str]) -> None:
    index = []
    for i, scenario in enumerate(SCENARIOS):
        boxes: list[Any] = [[24 + k, 28, 34 + k, 36] for k in range(FRAMES)]
        boxes[3] = None  # turned away
        index.append(
            {
                "name": f"person{i}-dance{i}", "scenario": scenario, "fps": 8, "frames": FRAMES,
                "size": SIZE, "boxes": boxes,
            }
        )  # fmt: skip
        for cell in ("real", "pose", *cells):
            blur = 0.0 if cell in ("real", "pose") else math.exp(_effect(cell, "l1"))
            frames = [_picture(k, blur, seed=sum(cell.encode()) + i) for k in range(FRAMES)]
            _write_video(folder / cell / f"person{i}-dance{i}.mp4", frames)
        (folder / "reference").mkdir(parents=True, exist_ok=True)
        _picture(0, 0.0, seed=i).save(folder / "reference" / f"person{i}-dance{i}.png")
    _write(folder / "index.json", index)


def _picture(frame: int, blur: float, seed: int = 0) -> Image.Image:
    """A person of blocks with a red logo that moves a pixel a frame, with still grain of `blur`."""
    pixels = np.full((SIZE, SIZE, 3), 0.75)
    pixels[:, :, 2] -= np.linspace(0, 0.3, SIZE)[:, None]
    pixels[20:44, 20 + frame : 38 + frame] = (0.2, 0.35, 0.6)
    pixels[12:20, 25 + frame : 33 + frame] = (0.9, 0.75, 0.6)
    pixels[44:60, 22 + frame : 27 + frame] = pixels[44:60, 31 + frame : 36 + frame] = 0.15
    shake = round(2 * blur * math.sin(2.1 * frame + seed)) if blur else 0
    pixels[28:36, 24 + frame + shake : 34 + frame + shake] = (0.85, 0.15, 0.1)
    grain = _rng("grain", seed).normal(0, 0.02 * blur, pixels.shape)
    values = np.round((pixels + grain).clip(0, 1) * 255).astype(np.uint8)
    return Image.fromarray(values.repeat(ENLARGED, axis=0).repeat(ENLARGED, axis=1))


def _write_video(path: Path, frames: list[Image.Image]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=8, options={"crf": "16"})
        stream.width, stream.height, stream.pix_fmt = *frames[0].size, "yuv420p"
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_image(frame)))
        container.mux(stream.encode())


def _cell(label: str, overrides: list[str]) -> dict[str, Any]:
    attn = next(o.split("=")[1] for o in overrides if o.startswith("attn="))
    return {
        "label": label, "overrides": overrides, "attn": attn,
        "chosen": {"train.stage1.learning_rate": 3e-3},
    }  # fmt: skip


def _row(label: str, cell: str, group: str | None) -> dict[str, Any]:
    return {"label": label, "cell": cell, "group": group}


def _error(cell: str, seed: int) -> dict[str, Any]:
    return {
        "schema": 1, "cell": cell, "seed": seed, "kind": "UserError",
        "error": "align=cycles: a made-up failure at step 17",
    }  # fmt: skip


def _write(path: Path, content: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=1, allow_nan=False) + "\n")
