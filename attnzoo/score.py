"""`python -m attnzoo score --real DIR --fake DIR`: generated videos against the real ones.

Exits with 0 when done, also where a metric is missing its package or its weights (its value is
null, with the reason), and with 2 for input that cannot be scored.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attnzoo import commands
from attnzoo._options import suggestion
from attnzoo.errors import UserError
from attnzoo.metrics import registry
from attnzoo.metrics.registry import Metric, Profile
from attnzoo.paths import check_place, typed

if TYPE_CHECKING:
    import torch

    from attnzoo.scoring.folders import Pair
    from attnzoo.scoring.measure import Measurement

PROFILES = {"disco": (Profile.disco,), "strict": (Profile.strict,), "both": tuple(Profile)}


def command(arguments: Sequence[str]) -> None:
    """Scores two folders, prints the table and writes the files that were asked for."""
    given = _parser().parse_args(arguments)
    for file in given.plugin or ():
        registry.load_plugin(file)
    profiles = {p: _chosen(p, given.only) for p in PROFILES[given.profile]}
    if given.only and not any(profiles.values()):
        raise UserError(f"--only: no such metric in profile {given.profile}")
    if given.list:
        _print_list(profiles)
        return
    if given.real is None or given.fake is None:
        raise UserError("attnzoo score: --real DIR and --fake DIR are needed; --help shows more")
    _score(given, profiles)


def _parser() -> commands.Parser:
    parser = commands.Parser(
        "attnzoo score",
        description="Score generated videos against real ones, paired by name. A folder holds "
        "<video>/<frame>.png or <video>.mp4, .gif, ...",
    )
    parser.add_argument("--real", type=commands.path, metavar="DIR", help="the real videos")
    parser.add_argument("--fake", type=commands.path, metavar="DIR", help="the generated videos")
    parser.add_argument("--profile", choices=PROFILES, default="both")
    parser.add_argument("--only", metavar="NAME,NAME", help="these metrics alone")
    parser.add_argument(
        "--csv", type=commands.path, metavar="FILE", help="write a row for each number"
    )
    parser.add_argument(
        "--json", type=commands.path, metavar="FILE", help="write all of it, unrounded"
    )
    parser.add_argument(
        "--cache", metavar="FOLDER|none", help="where features are kept (default: the user's cache)"
    )
    parser.add_argument("--device", help="cpu or cuda (default: cuda if there is one)")
    parser.add_argument("--seed", type=commands.seed, default=0, help="of resampling")
    parser.add_argument("--list", action="store_true", help="list the metrics and what they are")
    parser.add_metrics()
    return parser


def _chosen(profile: Profile, only: str | None) -> list[Metric]:
    metrics = registry.metrics(profile)
    if only is None:
        return metrics
    known = {metric.name for p in Profile for metric in registry.metrics(p)}
    names = [name.strip() for name in only.split(",")]
    for name in names:
        if name not in known:
            raise UserError(f"--only {name}: no such metric{suggestion(name, sorted(known))}")
    return [metric for metric in metrics if metric.name in names]


def _print_list(profiles: dict[Profile, list[Metric]]) -> None:
    for profile, metrics in profiles.items():
        print(f"profile {profile.value}")
        width = max((len(metric.name) for metric in metrics), default=0)
        for metric in metrics:
            print(f"  {metric.name:<{width}}  {metric.statement()}")


def _score(given: Any, profiles: dict[Profile, list[Metric]]) -> None:
    from attnzoo.scoring import folders, report
    from attnzoo.scoring.results import result

    started = time.perf_counter()
    for file in (given.csv, given.json):
        _check_output(file, given.real, given.fake)
    if given.json is not None:
        typed(report.beside(given.json), f"--json {given.json}: its provenance")
    if None not in (given.csv, given.json):
        table = given.csv.resolve()
        if table in (given.json.resolve(), report.beside(given.json).resolve()):
            raise UserError(
                f"--csv {given.csv}: is what --json {given.json} writes, too; take another file"
            )
    try:
        pairs = folders.paired(given.real, given.fake)
    except folders.Mismatch as mismatch:
        for line in mismatch.lines:
            print(line, file=sys.stderr)
        raise
    measured = _measured(given, [m for metrics in profiles.values() for m in metrics], pairs)
    results = {
        profile: [result(m, measured.found[m], seed=given.seed) for m in metrics]
        for profile, metrics in profiles.items()
    }
    print(report.table(results, measured.repeated))
    seconds = time.perf_counter() - started
    print(f"\n{len(pairs)} pairs in {seconds:.1f} s on {measured.device}")
    if given.csv is not None:
        report.write_csv(given.csv, results)
    if given.json is not None:
        settings = {
            "real": str(given.real),
            "fake": str(given.fake),
            "device": str(measured.device),
            "seed": given.seed,
        }
        about = report.provenance(pairs, measured.repeated, settings)
        report.write_both(given.json, report.as_json(results), about)


def _measured(given: Any, metrics: Sequence[Metric], pairs: Sequence[Pair]) -> Measurement:
    from tqdm import tqdm

    from attnzoo.scoring.cache import Features, user_folder
    from attnzoo.scoring.measure import Measurement
    from attnzoo.scoring.weights import parse

    everything = [metric for profile in Profile for metric in registry.metrics(profile)]
    weights = parse(given.weights, everything)
    folder = user_folder() if given.cache is None else typed(given.cache, f"--cache {given.cache}")
    cache = Features(None if given.cache == "none" else folder)
    measured = Measurement(metrics, weights, cache, _device(given.device))
    # In a log file each refresh is a line.
    pause = 0.2 if sys.stderr.isatty() else 10.0
    for pair in tqdm(pairs, desc="scoring", unit="pair", mininterval=pause):
        measured.add(pair)
    return measured


def _device(text: str | None) -> torch.device:
    import torch

    if text is None:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(text)
    except RuntimeError as error:
        raise UserError(f"--device {text}: no such device; cpu or cuda") from error
    if device.type not in ("cpu", "cuda"):
        raise UserError(f"--device {text}: cannot be scored on; cpu or cuda")
    if device.type == "cuda" and not torch.cuda.is_available():
        raise UserError(f"--device {text}: PyTorch sees no GPU here; cpu is right")
    return device


def _check_output(file: Path | None, real: Path, fake: Path) -> None:
    if file is None:
        return
    from attnzoo.data.frames import pictures_in

    for option, folder in (("--real", real), ("--fake", fake)):
        # Other folders below may well be for results, as where the videos are those of `.`.
        below = folder.resolve() in file.resolve().parent.parents and file.parent.is_dir()
        if below and pictures_in(file.parent):
            raise UserError(
                f"{file}: lies among the frames of a video of {option} {folder}; take another "
                "folder"
            )
    if file.is_dir() or not file.parent.is_dir():
        raise UserError(f"{file}: cannot be written; its folder {file.parent} has to exist")
    check_place(file)
    if not os.access(file.parent, os.W_OK):
        raise UserError(f"{file}: its folder {file.parent} cannot be written to")


def main(arguments: Sequence[str] | None = None) -> None:
    """The command, with its exit status."""
    commands.execute(command, arguments)


if __name__ == "__main__":
    main()
