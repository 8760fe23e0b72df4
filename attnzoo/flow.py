"""`python -m attnzoo flow --out FOLDER`: the sources of motion flow, compared.

On the embedded dancers each is held against the exact flow; on clips that are given, where nobody
knows it, against colours and against itself backwards. `flow=` of a run chooses among them.
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
    from attnzoo.testing.flow_clips import Recorded
    from attnzoo.testing.flow_pictures import Row
    from attnzoo.testing.flow_sources import Way

SHOWN = (1, 4, 8)
"""Spans that the picture of the dancers shows."""

MOST = 10_000
"""Embedded clips that are measured."""
SIZE = 64
"""Pixels of a side of theirs."""

DANCERS = """\
End-point error in pixels (64 pixels a side) against the exact flow, over the body's pixels that
both frames show, mean over clips with its 95 % interval; by speed in pixels a frame; and, over all
pixels, off the body."""

CLIPS = """\
Over the body of pose clips (the whole of others), at 256 pixels a side: photometric error of the
frame to which the flow leads, in [0, 1]; cycle error and length of the flow in pixels. Of the pose
picture, which is what the flow was taken from."""


def command(arguments: Sequence[str]) -> None:
    """Measures, prints the tables, and with `--out` writes tables and pictures."""
    parser = commands.Parser(
        "attnzoo flow", description="Compare the sources of motion flow that a run can follow."
    )
    parser.add_argument("clip", nargs="*", help="a video or a folder of frames")
    parser.add_argument(
        "--pose", action="append", default=[], metavar="CLIP",
        help="a video of pose pictures; may be given again",
    )  # fmt: skip
    parser.add_argument("--count", type=int, default=8, help="embedded clips (8)")
    parser.add_argument("--frames", type=int, default=16, help="frames of a clip (16)")
    parser.add_argument(
        "--weights", metavar="FILE", help="torchvision's raft_large or raft_small, to compare RAFT"
    )
    parser.add_argument(
        "--out", type=commands.path, metavar="FOLDER", help="write tables and pictures here"
    )
    given = parser.parse_args(arguments)
    if given.out is not None:
        check_folder(given.out, f"--out {given.out}")
    if given.count < 1:
        raise UserError(f"--count {given.count}: must be at least one clip")
    if given.count > MOST:
        raise UserError(f"--count {given.count}: at most {MOST} clips")
    from attnzoo.data.windows import check_numbers
    from attnzoo.testing.flow_clips import recorded
    from attnzoo.testing.flow_sources import ways

    check_numbers(SIZE, given.frames)
    made = ways(given.weights)
    every = [(path, True) for path in given.pose] + [(path, False) for path in given.clip]
    clips = [recorded(path, made, pose=pose, frames=given.frames) for path, pose in every]
    rows = _dancers(made, given.count, given.frames)
    text = [_titled("Embedded dancers", DANCERS, rows)]
    if clips:
        text.append(_titled("Clips", CLIPS, [row for clip in clips for row in clip.rows]))
        text += [f"{c.name}: {why}" for c in clips for why in c.refused.values()]
    if given.weights is None:
        text.append("RAFT is left out: no --weights.")
    print("\n\n".join(text))
    if given.out is not None:
        pictures = {
            "dancers": _pictures(made, given.count, given.frames),
            "clips": [row for clip in clips for row in _shown(made, clip)],
        }
        tables = {"dancers": rows, "clips": [row for clip in clips for row in clip.rows]}
        _write(given.out, tables, pictures, "\n\n".join(text), arguments)


def _dancers(made: Sequence[Way], count: int, frames: int) -> list[dict[str, Any]]:
    from attnzoo.data.embedded import Camera
    from attnzoo.testing.flow_sources import compared

    return [
        row
        for camera in Camera
        for row in compared(made, clips=count, frames=frames, camera=camera)
    ]


def _titled(title: str, what: str, rows: Sequence[Mapping[str, Any]]) -> str:
    """A table in Markdown, its numbers rounded."""
    heads = list(rows[0])
    lines = [f"| {' | '.join(heads)} |", "| " + " | ".join("---" for _ in heads) + " |"]
    lines += ["| " + " | ".join(_said(row[head]) for head in heads) + " |" for row in rows]
    return "\n".join([f"## {title}", "", what, "", *lines])


def _said(value: Any) -> str:
    if value is None:
        return "-"
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _pictures(made: Sequence[Way], count: int, frames: int) -> list[Row]:
    """Of the embedded dancers: where they move most in so many frames."""
    from attnzoo.data.embedded import open_embedded
    from attnzoo.testing.flow_pictures import fastest, row_of

    source = open_embedded(clips=count, frames=frames)
    clips = [source.test[i] for i in range(count)]
    spans = [span for span in SHOWN if span < frames]
    return [row_of(*fastest(clips, span), span, made, exact=True) for span in spans]


def _shown(made: Sequence[Way], clip: Recorded) -> list[Row]:
    """Of a clip: where it moves most over its longest span."""
    from attnzoo.testing.flow_pictures import fastest, row_of

    span = max(row["frames"] for row in clip.rows)
    return [row_of(*fastest(clip.clips, span), span, made)]


def _write(
    folder: Path,
    tables: Mapping[str, Sequence[Mapping[str, Any]]],
    pictures: Mapping[str, Sequence[Row]],
    text: str,
    arguments: Sequence[str],
) -> None:
    """Tables, pictures, and how they came about."""
    import pandas as pd

    from attnzoo.bench.hardware import hardware, versions
    from attnzoo.files import replacing
    from attnzoo.testing.flow_pictures import draw

    about = {
        "command": shlex.join(["python", "-m", "attnzoo", "flow", *arguments]),
        "hardware": hardware(),
        "versions": versions(),
    }
    names = ["flow.md", "flow.json"]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, rows in tables.items():
            if rows:
                with replacing(folder / f"{name}.csv") as beside:
                    pd.DataFrame(rows).to_csv(beside, index=False, float_format="%.6g")
                with replacing(folder / f"{name}.png") as beside:
                    draw(pictures[name], beside)
                names += [f"{name}.csv", f"{name}.png"]
        with replacing(folder / "flow.md") as beside:
            beside.write_text(f"# Sources of motion flow\n\n`{about['command']}`\n\n{text}\n")
        with replacing(folder / "flow.json") as beside:
            beside.write_text(json.dumps(about, indent=2) + "\n")
    except OSError as error:
        raise UserError(f"--out {folder}: {error.strerror or error}") from error
    print(f"\n{folder}: {', '.join(names)}")


def main(arguments: Sequence[str] | None = None) -> None:
    """The command, with its exit status."""
    commands.execute(command, arguments)


if __name__ == "__main__":
    main()
