"""`python -m attnzoo align CLIP ...`: what aligning by motion flow does to real clips.

For each clip and each value of `align`: how many cells move and collide, and the variance inside
subspaces after alignment over that before. A picture shows frames before and after.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attnzoo import commands
from attnzoo.errors import UserError
from attnzoo.paths import check_folder

if TYPE_CHECKING:
    from attnzoo.testing.alignment import Aligned

PERCENT = ("cells that move", "collisions")
RATIOS = ("after / before", "worst group")


def command(arguments: Sequence[str]) -> None:
    """Measures the clips, prints the table, and with `--out` writes table and picture."""
    parser = commands.Parser(
        "attnzoo align", description="Measure what aligning by motion flow does to clips."
    )
    parser.add_argument("clip", nargs="*", help="a video or a folder of frames")
    parser.add_argument(
        "--pose", action="append", default=[], metavar="CLIP",
        help="a video of pose pictures, whose background does not move; may be given again",
    )  # fmt: skip
    for name, default, what in (
        ("size", 256, "pixels of a side at which flow is computed"),
        ("grid", 32, "cells of a side"),
        ("frames", 16, "frames of a window"),
    ):
        parser.add_argument(f"--{name}", type=int, default=default, help=f"{what} ({default})")
    parser.add_argument(
        "--group", type=int, help="frames of a subspace (4, or all of a shorter window)"
    )
    parser.add_argument(
        "--out",
        type=commands.path,
        metavar="FOLDER",
        help="write align.csv, align.png and align.json here",
    )
    given = parser.parse_args(arguments)
    if given.out is not None:
        check_folder(given.out, f"--out {given.out}")
    from attnzoo.testing.alignment import aligned

    if given.group is None:
        given.group = max(1, min(4, given.frames))
    numbers = {k: getattr(given, k) for k in ("size", "grid", "frames", "group")}
    every = [(path, True) for path in given.pose] + [(path, False) for path in given.clip]
    if not every:
        raise UserError("attnzoo align: no clip given; give videos, or pose videos by --pose")
    clips = [aligned(path, pose=pose, **numbers) for path, pose in every]
    rows = [row for clip in clips for row in clip.rows()]
    print(_table(rows))
    if given.out is not None:
        _write(given.out, clips, rows, arguments)


def _table(rows: Sequence[Mapping[str, Any]]) -> str:
    """The rows in words, one a line."""
    shown = [{key: _said(key, value) for key, value in row.items()} for row in rows]
    widths = {key: max(len(key), *(len(row[key]) for row in shown)) for key in shown[0]}
    lines = [dict(zip(widths, widths, strict=True)), *shown]
    return "\n".join(
        "  ".join(f"{line[key]:<{width}}" for key, width in widths.items()).rstrip()
        for line in lines
    )


def _said(key: str, value: Any) -> str:
    if key in PERCENT:
        return f"{100 * value:.1f} %"
    if key in RATIOS:
        return f"{value:.2f}"
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _write(
    folder: Path,
    clips: Sequence[Aligned],
    rows: Sequence[Mapping[str, Any]],
    arguments: Sequence[str],
) -> None:
    """Table, picture, and how they came about."""
    import pandas as pd

    from attnzoo.bench.hardware import hardware, versions
    from attnzoo.files import replacing
    from attnzoo.testing.alignment import draw

    about = {
        "command": shlex.join(["python", "-m", "attnzoo", "align", *arguments]),
        "hardware": hardware(),
        "versions": versions(),
    }
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with replacing(folder / "align.csv") as beside:
            pd.DataFrame(rows).to_csv(beside, index=False, float_format="%.6g")
        with replacing(folder / "align.png") as beside:
            draw(clips, beside)
        with replacing(folder / "align.json") as beside:
            beside.write_text(json.dumps(about, indent=2) + "\n")
    except OSError as error:
        raise UserError(f"--out {folder}: {error.strerror or error}") from error
    print(f"{folder}: align.csv, align.png, align.json")


def main(arguments: Sequence[str] | None = None) -> None:
    """The command, with its exit status."""
    commands.execute(command, arguments)


if __name__ == "__main__":
    main()
