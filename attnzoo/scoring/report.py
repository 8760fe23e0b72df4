"""Results as a table for people, and as files for programs."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from attnzoo.files import held, replacing, short
from attnzoo.metrics.registry import Better, Profile
from attnzoo.scoring.folders import Pair
from attnzoo.scoring.results import FEW, LEVEL, Result

Results = Mapping[Profile, Sequence[Result]]

_ARROWS = {Better.lower: "lower", Better.higher: "higher", Better.zero: "0"}


def table(results: Results, repeated: Mapping[str, int] | None = None) -> str:
    """Everything, to be printed: values, then what they are, what is missing and what to mind."""
    parts = [_one_table(profile, found) for profile, found in results.items()]
    warnings = [
        f"{path}: its frames come in runs of {times}: probably a slow GIF or video that was "
        "expanded to a higher frame rate; scores per frame count each picture that often"
        for path, times in (repeated or {}).items()
    ]
    if warnings:
        parts.append("\n".join(["frames that repeat", *(f"  {line}" for line in warnings)]))
    return "\n\n".join(parts)


def _one_table(profile: Profile, results: Sequence[Result]) -> str:
    head = ("metric", "better", "value", f"{LEVEL:.0%} interval", "real/real", "n", "unit")
    rows = [head, *(_row(result) for result in results)]
    widths = [max(len(row[i]) for row in rows) for i in range(len(head))]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
    n = max((result.n for result in results), default=0)
    few = [f"  {n} videos: values are those of these videos, not of a model"] * (0 < n < FEW)
    notes = few + [
        f"  {result.metric.label}: {note}"
        for result in results
        for note in ([f"none: {result.reason}"] if result.reason else result.notes)
    ]
    said = [f"  {result.statement}" for result in results]
    methods = dict.fromkeys(result.method for result in results if result.method)
    return "\n".join(
        [
            f"profile {profile.value}",
            *lines,
            *(["to mind", *notes] if notes else []),
            "intervals",
            *(f"  {method}" for method in methods),
            "real/real",
            "  of sets: every other real video to the rest, which is how far real videos are apart "
            "at half their number",
            "  per video: the real video in the generated one's place",
            "what the numbers are",
            *said,
        ]
    )


def _row(result: Result) -> tuple[str, ...]:
    interval = "-"
    if result.low is not None and result.high is not None:
        interval = f"{_number(result.low)} .. {_number(result.high)}"
    return (
        result.metric.label,
        _ARROWS[result.metric.better],
        _number(result.value),
        interval,
        _number(result.floor),
        str(result.n),
        result.metric.unit,
    )


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.5g}"


def as_json(results: Results) -> dict[str, dict[str, dict[str, Any]]]:
    """`{profile: {metric: {value, low, high, n, network, ...}}}`, numbers as they are."""
    return {
        profile.value: {result.metric.name: _entry(result) for result in found}
        for profile, found in results.items()
    }


def _entry(result: Result) -> dict[str, Any]:
    entry = {
        "value": result.value,
        "low": result.low,
        "high": result.high,
        "n": result.n,
        "network": result.network,
        "samples": result.samples,
        "real_to_real": result.floor,
        "unit": result.metric.unit,
        "better": result.metric.better.value,
        "interval": result.method,
        "statement": result.statement,
        "notes": list(result.notes),
        "videos": result.videos,
    }
    return entry if result.reason is None else {**entry, "reason": result.reason}


def write_both(path: Path, results: Mapping[str, Any], about: Mapping[str, Any]) -> None:
    """Writes results to `path` and their provenance `beside` it.

    Never those of two commands: one waits for the other, and results that a killed one left have
    no provenance.
    """
    with held(path.with_name(f".lock-{short(path)}"), waits=True):
        beside(path).unlink(missing_ok=True)
        _write(path, results)
        _write(beside(path), about)


def _write(path: Path, content: Mapping[str, Any]) -> None:
    with replacing(path) as new:
        new.write_text(json.dumps(content, indent=1, allow_nan=False) + "\n")


def beside(path: Path) -> Path:
    """Where what is known of a whole run is kept, since the results' file holds results alone."""
    return path.with_name(f"{path.stem}.provenance.json")


def provenance(
    pairs: Sequence[Pair], repeated: Mapping[str, int], settings: Mapping[str, Any]
) -> dict[str, Any]:
    """What was scored, by which versions; `settings` as they were given."""
    return {
        "command": "attnzoo score",
        "settings": dict(settings),
        "level": LEVEL,
        "versions": {name: _version(name) for name in PACKAGES},
        "videos": {
            pair.name: {
                "real": str(pair.real),
                "fake": str(pair.fake),
                "frames": pair.shape.frames,
                "height": pair.shape.height,
                "width": pair.shape.width,
            }
            for pair in pairs
        },
        "frames_that_repeat": dict(repeated),
    }


PACKAGES = (
    "attnzoo",
    "torch",
    "torchvision",
    "torch-fidelity",
    "lpips",
    "numpy",
    "scipy",
    "pillow",
)


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


COLUMNS = (
    "profile", "metric", "value", "low", "high", "n", "samples", "real_to_real", "unit", "better",
    "network", "interval", "reason",
)  # fmt: skip


def write_csv(path: Path, results: Results) -> None:
    """A row for each metric of each profile, numbers as they are."""
    with replacing(path) as beside, beside.open("w", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, extrasaction="ignore", lineterminator="\n")
        writer.writeheader()
        for profile, found in as_json(results).items():
            for name, entry in found.items():
                writer.writerow({"profile": profile, "metric": name, **entry})
