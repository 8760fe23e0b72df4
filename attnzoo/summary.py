"""The short table that a run prints at its end, made from its record."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from attnzoo import registry

SCORES = {
    "ssim": "SSIM",
    "psnr": "PSNR [dB]",
    "l1": "L1",
    "l1_body": "L1 on the body",
    "lpips": "LPIPS",
    "embedded_perceptual": "embedded perceptual distance",
    "fd_embedded_frame": "embedded Fréchet, frames",
    "fd_embedded_video": "embedded Fréchet, video",
    "warp_error_1": "warp error, 1 frame",
    "warp_error_4": "warp error, 4 frames",
    "flicker": "flicker",
    "ghosting": "ghosting",
    "identity_embedded": "likeness to the reference",
    "logo_position": "logo position [pixels]",
    "logo_jitter": "logo jitter [pixels]",
    "logo_colour": "logo colour",
}
"""Which scores the table shows, and what it calls them; the record has all."""


def summary(record: Mapping[str, Any], folder: Path) -> str:
    """The table of one record that lies, with its pictures, in `folder`."""
    rows = [*_scores(record["scores"]), *_costs(record), *_stages(record)]
    width = max(len(name) for name, _ in rows)
    lines = [_title(record), *(f"  {name:<{width}}  {value}" for name, value in rows)]
    files = ["record.json", "config.yaml", *record["files"], "log"]
    return "\n".join([*lines, f"{folder}: {', '.join(files)}"])


def _title(record: Mapping[str, Any]) -> str:
    options = " ".join(f"{k}={_option(v)}" for k, v in record["options"].items())
    noise = f"noise {record['noise']['training']}/{record['noise']['sampling']}"
    # The methods that go frame by frame have one variant, which says nothing of them.
    video = record["method"] == "video"
    parts = (
        f"{record['variant']} {options}".strip() if video else f"method={record['method']}",
        f"data {record['data']['name']}",
        f"seed {record['seed']}",
        noise,
        *_followed(record),
        f"{record['device']} {record['precision']}",
        f"{record['seconds']:.0f} s",
    )
    return ", ".join(parts)


def _followed(record: Mapping[str, Any]) -> Iterable[str]:
    """Where the motion came from, of variants that follow any."""
    variant = record["variant"]
    if variant in registry.list_variants() and registry.get(variant).needs_flow:
        yield f"flow {record['flow']}"


def _option(value: Any) -> str:
    if isinstance(value, list):
        return "[" + ",".join(map(str, value)) + "]"
    return str(value).lower() if isinstance(value, bool) else str(value)


def _scores(scores: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
    for key, name in SCORES.items():
        score = scores.get(key)
        if score is None:
            continue
        if score["value"] is None:
            yield name, f"-  ({score['reason']})"
        else:
            real = score.get("real")
            beside = "" if real is None else f"  (real clips {_number(real)})"
            yield name, _number(score["value"]) + beside


def _costs(record: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
    counts, profile = record["parameters"], record["profile"]
    yield (
        "parameters",
        f"{_si(counts['total'])} in all, {_si(counts['added'])} added to the U-Net",
    )
    if profile is not None:
        yield "one step, forward", _cost(profile["forward"])
        # Of stage 1 unless that has nothing to train.
        second = profile["training"].get("stage") == 2
        yield "one step, " + ("stage 2" if second else "training"), _cost(profile["training"])
    module = (profile or {}).get("module", {})
    if "forward" in module:
        yield "one module, forward", _cost(module["forward"])


def _cost(cost: Mapping[str, Any]) -> str:
    latency = cost["latency_s"]
    return (
        f"{1e3 * latency['median']:.1f} ms "
        f"({1e3 * latency['low']:.1f} to {1e3 * latency['high']:.1f}), "
        f"{cost['frames_per_s']:.1f} frames/s, {_si(cost['flops'])}FLOP, "
        f"{cost['peak_memory_bytes'] / 2**20:.1f} MiB"
    )


def _stages(record: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
    for number in (1, 2):
        stage = record["training"][f"stage{number}"]
        speed = stage["frames_per_second"]
        if not stage["trained_parameters"]:
            yield f"stage {number}", "nothing to train"
            continue
        yield (
            f"stage {number}",
            f"{stage['steps']} steps in {stage['seconds']:.1f} s"
            + (f", {speed:.1f} frames/s" if speed is not None else "")
            + f", {_si(stage['trained_parameters'])} parameters trained"
            + (f", loss {stage['loss']['loss'][-1]:.4f}" if stage["loss"]["loss"] else "")
            + "".join(
                f", {len(stage[odd])} {odd}" for odd in ("skipped", "spikes") if stage.get(odd)
            ),
        )
    sampling = record["sampling"]
    yield (
        "sampling",
        f"{len(sampling['clips'])} clips in {sampling['seconds']:.1f} s, "
        f"{sampling['frames_per_second']:.1f} frames/s",
    )


def _number(value: float) -> str:
    return f"{value:.4g}"


def _si(value: float) -> str:
    """`2_630_000` as `2.63 M`."""
    for factor, letter in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= factor:
            return f"{value / factor:.3g} {letter}"
    return f"{value:.0f} "
