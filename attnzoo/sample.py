"""`python -m attnzoo.sample --run FOLDER --foreground IMAGE --background IMAGE --pose CLIP`.

Any person in any place in any dance, from what a run has trained; also longer than its clips were.
`--help` says what sources there are.
"""

from __future__ import annotations

import argparse
import math
import shlex
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf

from attnzoo import commands, config, stored
from attnzoo.composing import complaints, composed
from attnzoo.errors import UserError
from attnzoo.models.noise import Noise
from attnzoo.overrides import PLUGINS, parsed
from attnzoo.stored import CONFIG
from attnzoo.train.settings import SEEDS, Experiment, Precision, Tracker

if TYPE_CHECKING:
    from attnzoo.mixing.making import Ready, Wanted

SOURCES = """\
sources
  FILE                    a picture or a video
  FOLDER                  pictures as frames, or one dance in DisCo's layout
  FOLDER_OR_YAML:NAME     one dance of DisCo's folders or TSV files
  embedded:test:3         an embedded dancer (train, validation or test, and a number)
  embedded:person7-dance9 a person in a dance, as strips name them

A person's picture is transparent outside the person or has a --mask. Of a clip the person is its
first frame's, the place what lies behind. A video as --pose shows poses (DensePose's renderings or
a drawn skeleton) as the run's data did. A setting key=value says what is elsewhere now or is to be
taken from elsewhere: model.path=FOLDER, +plugins=[FILE.py], flow=iuv, motion.weights=FILE."""

CHANGEABLE = ("model.", "motion.", "flow", "plugins")
"""Settings of the run that may be said anew: where things lie, and what flow is taken from."""

_FLAGS = {
    f"{theirs}=": f"{ours} "
    for theirs, ours in (
        ("sample.steps", "--steps"),
        ("sample.guidance", "--guidance"),
        ("sample.noise", "--noise"),
        ("sample.fps", "--fps"),
        ("device", "--device"),
        ("precision", "--precision"),
    )
}


def command(arguments: Sequence[str]) -> None:
    """Makes one clip, prints what its seams are like, and leaves it in a folder."""
    given = _parser().parse_intermixed_args(list(arguments))
    from attnzoo.mixing import trained

    run = trained.run_of(given.run)
    with complaints():
        cfg = _configuration(run, given.setting)
    out = given.out or Path("outputs/samples") / time.strftime("%Y-%m-%d_%H-%M-%S")
    try:
        with complaints():
            experiment = _experiment(cfg, given)
        weights = trained.weights_of(given.run)
        ready = _ready(experiment, cfg, out, given)
        _make(experiment, ready, weights, out, given, arguments)
    except UserError as error:
        raise UserError(_in_flags(str(error))) from error


def _parser() -> commands.Parser:
    parser = commands.Parser(
        "attnzoo.sample",
        description="Sample a clip of one person, one place and one dance from a trained run.",
        epilog=SOURCES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("setting", nargs="*", help="of the run, where it differs: key=value, see below")
    add("--run", type=Path, required=True, metavar="FOLDER",
        help="of a finished run, of one that has checkpoints, or one checkpoint")  # fmt: skip
    add("--foreground", required=True, metavar="SOURCE", help="the person")
    add("--background", required=True, metavar="SOURCE", help="the place")
    add("--pose", required=True, metavar="SOURCE", help="the dance")
    add("--mask", metavar="FILE|all", help="white where the person is in --foreground; all of it")
    add(
        "--foreground-pose",
        metavar="FILE",
        help="the pose picture of --foreground, if there is one",
    )
    add("--frames", type=int, metavar="N", help="of the clip (those that the run was trained on)")
    add("--overlap", type=int, metavar="N",
        help="least frames in common of two windows of a longer clip (a quarter)")  # fmt: skip
    add("--loop", action="store_true", help="play a dance that is too short to and fro")
    add("--stride", type=int, metavar="N", help="every N-th frame of a video of poses (the run's)")
    add("--steps", type=int, metavar="N", help="denoising steps (the run's)")
    add("--guidance", type=float, metavar="G", help="towards the person, 1 is none (the run's)")
    add("--noise", choices=[n.name for n in Noise], help="what frames share of it (the run's)")
    add("--seed", type=int, metavar="N", help="of the noise (the run's)")
    add("--device", default="auto", help="auto, cpu or cuda")
    add("--precision", choices=[p.name for p in Precision], help="arithmetic (the run's)")
    add("--fps", type=int, metavar="N", help="frames a second of the video (the run's)")
    add("--png", action="store_true", help="leave each frame as a PNG, too")
    add("--out", type=Path, metavar="FOLDER", help="a new one (outputs/samples/TIME)")
    return parser


def _configuration(run: Path, settings: Sequence[str]) -> DictConfig:
    """What lies in the run's folder, but for what `settings` change."""
    said = f"--run {run}"
    text = stored.read(run, said)
    named = _named(settings)
    first = stored.overrides_of(text, run, said, anew=PLUGINS in named)
    cfg = composed([*first, *settings])
    changed = OmegaConf.create({})
    for key in named:
        OmegaConf.update(changed, key, OmegaConf.select(cfg, key))
    try:
        return config.restored(cfg, text, changed)
    except UserError as error:
        raise UserError(f"{run / CONFIG}: {error}") from error


def _named(settings: Sequence[str]) -> list[str]:
    """The keys that are said anew; UserError for one that is the run's own matter."""
    named = []
    for setting in settings:
        try:
            (override,) = parsed([setting])
        except HydraException as error:
            told = " ".join(str(error).split())
            raise UserError(f"{setting}: cannot be read as key=value ({told})") from error
        named.append(override.key_or_group)
        if not override.key_or_group.startswith(CHANGEABLE):
            raise UserError(
                f"{setting}: the run's settings stand; only {', '.join(CHANGEABLE)} may change"
            )
    return named


def _experiment(cfg: DictConfig, given: Any) -> Experiment:
    """The run's experiment with the sampling that was asked for; checked."""
    from attnzoo.train.device import check_machine

    stored = config.experiment_of(cfg)
    sampling = replace(
        stored.sampling,
        steps=_or(given.steps, stored.sampling.steps),
        guidance=_or(given.guidance, stored.sampling.guidance),
        noise=Noise[given.noise] if given.noise else stored.sampling.noise,
        fps=_or(given.fps, stored.sampling.fps),
    )
    if not math.isfinite(sampling.guidance):
        raise UserError(f"--guidance {sampling.guidance}: must be a number from 0 on")
    experiment = replace(
        stored,
        sampling=sampling,
        training=replace(stored.training, gradient_checkpointing=False),
        device=given.device,
        precision=Precision[given.precision] if given.precision else stored.precision,
        tracker=Tracker.none,
    )
    experiment.check()
    experiment.model.check()
    check_machine(experiment)
    return experiment


def _ready(experiment: Experiment, cfg: DictConfig, out: Path, given: Any) -> Ready:
    from attnzoo.mixing.made import check_folder
    from attnzoo.mixing.making import prepare

    check_folder(out)
    wanted = _wanted(experiment, cfg, given)
    return prepare(experiment, wanted, window=cfg.data.frames, size=cfg.data.size)


def _wanted(experiment: Experiment, cfg: DictConfig, given: Any) -> Wanted:
    from attnzoo.mixing.making import Wanted

    seed = _or(given.seed, experiment.seed)
    for flag, value, least in (("--stride", given.stride, 1), ("--seed", seed, 0)):
        if value is not None and value < least:
            raise UserError(f"{flag} {value}: must be at least {least}")
    if seed > SEEDS:
        raise UserError(f"--seed {seed}: must be at most {SEEDS}")
    return Wanted(
        given.foreground, given.background, given.pose, given.mask, given.foreground_pose,
        _or(given.frames, cfg.data.frames), given.overlap, seed, given.loop, given.stride,
    )  # fmt: skip


def _make(
    experiment: Experiment, ready: Ready, weights: Any, out: Path, given: Any,
    arguments: Sequence[str],
) -> None:  # fmt: skip
    """Samples, writes and prints."""
    from attnzoo.bench.hardware import hardware, versions
    from attnzoo.mixing import made, making, seams, trained
    from attnzoo.train.device import choose_device
    from attnzoo.train.trainer import progress_bar

    for notice in (*_notices(experiment, weights), *ready.notices):
        print(f"note: {notice}", file=sys.stderr)
    model, sha256 = trained.load(experiment, weights)
    with progress_bar("sampling", experiment.sampling.steps, 0) as bar:
        done, rows, about = making.make(model, experiment, ready, lambda done, steps: bar.update())
    about |= {
        "run": making.of_run(experiment, weights, sha256),
        "command": shlex.join(["python", "-m", "attnzoo.sample", *arguments]),
        "hardware": hardware(choose_device(experiment.device)),
        "versions": versions(),
    }
    made.write(out, done, about, fps=experiment.sampling.fps, single=given.png)
    windows = ready.parts.windows
    print(
        f"{weights.said}: {len(done.video)} frames in {about['seconds']:.1f} s, "
        f"{about['frames_per_second']:.1f} frames/s, "
        + (f"{len(windows)} windows of {len(windows[0])}" if len(windows) > 1 else "one window")
    )
    if rows:
        print(seams.table(rows))
    files = [made.VIDEO, made.STRIP, *([made.FRAMES] if given.png else ()), made.RECORD]
    print(f"{out}: {', '.join(files)}")


def _notices(experiment: Experiment, weights: Any) -> list[str]:
    """What is unlike a finished run, or unlike when it ran."""
    from attnzoo import registry

    found = [] if weights.stage is None else [f"{weights.file}: {weights.said}"]
    entry = registry.get(experiment.variant)
    if not entry.built_in and weights.code not in (None, entry.sha256):
        found.append(f"attn={entry.name}: its file has changed since the run was trained")
    return found


def _or(given: Any, otherwise: Any) -> Any:
    return otherwise if given is None else given


def _in_flags(text: str) -> str:
    """An error about a setting in the words of this command."""
    for theirs, ours in _FLAGS.items():
        if text.startswith(theirs):
            return ours + text.removeprefix(theirs)
    return text


def main(arguments: Sequence[str] | None = None) -> None:
    """The command, with its exit status."""
    commands.execute(command, arguments)


if __name__ == "__main__":
    main()
