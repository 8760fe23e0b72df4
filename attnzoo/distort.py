"""`python -m attnzoo distort`: which metric notices which damage, and which it is blind to.

Damages clips in grades of known order, measures each grade with every metric that can be computed
here, and writes as tables and heat maps how well each metric orders the grades and which damage
weighs how much with it. Without `--clips` the clips are the embedded data's test part; a folder of
videos is cut into clips that share no frame.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attnzoo import commands
from attnzoo.errors import UserError

if TYPE_CHECKING:
    from attnzoo.data.clip import Clip

ALL_WINDOWS = 10_000
MOST = 10_000
"""Clips that are measured."""


def command(arguments: Sequence[str]) -> None:
    """Damages, measures, prints the table and writes the files."""
    given = _parser().parse_args(arguments)
    if given.count < 4:
        raise UserError(f"--count {given.count}: at least 4 clips are needed")
    if given.count > MOST:
        raise UserError(f"--count {given.count}: at most {MOST}, all of which are in memory")
    for plugin in given.plugin or ():
        from attnzoo.metrics import registry

        registry.load_plugin(plugin)
    try:
        given.out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"--out {given.out}: {error.strerror or error}") from error
    clips = _embedded(given) if given.clips is None else _from_folder(given)
    _run(given, clips)


def _parser() -> commands.Parser:
    parser = commands.Parser(
        "attnzoo distort", description="Which metric notices which damage to clips."
    )
    parser.add_argument(
        "--clips",
        type=commands.path,
        metavar="FOLDER",
        help="videos to damage (default: embedded dancers)",
    )
    parser.add_argument(
        "--out", type=commands.path, default=Path("distort"), metavar="FOLDER", help="(%(default)s)"
    )
    parser.add_argument("--count", type=int, default=16, help="clips at most (%(default)s)")
    parser.add_argument("--frames", type=int, default=16, help="of a clip (%(default)s)")
    parser.add_argument("--size", type=int, default=64, help="pixels of a side (%(default)s)")
    parser.add_argument(
        "--seed", type=commands.seed, default=0, help="of the damages (%(default)s)"
    )
    parser.add_metrics()
    return parser


def _embedded(given: Any) -> list[Clip]:
    from attnzoo.data.embedded import open_embedded

    source = open_embedded(frames=given.frames, size=given.size, clips=given.count)
    return list(source.test)


def _from_folder(given: Any) -> list[Clip]:
    """Clips in turn from each video, so that a smaller number still has all of them."""
    from itertools import chain, zip_longest

    from attnzoo.data.video import open_video
    from attnzoo.scoring.folders import videos_in

    rows = [
        list(open_video(str(path), size=given.size, frames=given.frames, windows=ALL_WINDOWS).test)
        for path in videos_in(given.clips, "--clips").values()
    ]
    clips = [clip for clip in chain.from_iterable(zip_longest(*rows)) if clip is not None]
    if len(clips) < 4:
        raise UserError(f"--clips {given.clips}: {len(clips)} clips; at least 4 are needed")
    return clips[: given.count]


def _run(given: Any, clips: Sequence[Clip]) -> None:
    from tqdm import tqdm

    from attnzoo.damage import damages
    from attnzoo.metrics.registry import Profile, metrics
    from attnzoo.scoring import sensitivity, sensitivity_report
    from attnzoo.scoring.weights import parse

    weights = parse(given.weights, [m for profile in Profile for m in metrics(profile)])
    absent: dict[str, str] = {}
    sights = sensitivity.sights(weights, absent)
    chosen = [d for d in damages() if not d.needs_logo or clips[0].logo is not None]
    pause = 0.2 if sys.stderr.isatty() else 10.0

    def progress(rows: Iterable[Any]) -> Iterable[Any]:
        bar: Iterable[Any] = tqdm(rows, desc="damaging", unit="grade", mininterval=pause)
        return bar

    found = sensitivity.measure(clips, chosen, sights, seed=given.seed, progress=progress)
    found.absent = {**absent, **found.absent}
    what = "embedded dancers"
    if given.clips is not None:
        what = f"cut from the videos in {given.clips.resolve().name}"
    made = sensitivity_report.Made(
        f"python -m attnzoo distort {_spelled(given)}".strip(),
        f"{len(clips)} clips of {len(clips[0].video)} frames of {given.size}x{given.size} pixels, "
        f"{what}",
    )
    sensitivity_report.write(given.out, found, sights, chosen, made)
    print((given.out / "distort.md").read_text())


def _spelled(given: Any) -> str:
    """The options that decide the numbers."""
    folder = [] if given.clips is None else [f"--clips {given.clips.resolve().name}"]
    names = ("count", "frames", "size", "seed")
    return " ".join([*folder, *(f"--{name} {getattr(given, name)}" for name in names)])


def main(arguments: Sequence[str] | None = None) -> None:
    """The command, with its exit status."""
    commands.execute(command, arguments)


if __name__ == "__main__":
    main()
