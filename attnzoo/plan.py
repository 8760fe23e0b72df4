"""`python -m attnzoo.plan +preset=paper attn=stsa`: what a run needs, without running it.

On the meta device, without weights or data: parameters, memory by kind with and without gradient
checkpointing, operations, and for named GPUs what fits, how long it takes and what to change.
`--measure` runs a step here, on random weights, and compares; `--out` keeps what it found.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from omegaconf import DictConfig, OmegaConf

from attnzoo import commands, config
from attnzoo.composing import composed
from attnzoo.errors import UserError

if TYPE_CHECKING:
    from torch import Tensor

    from attnzoo.planning.trace import Sizes
    from attnzoo.train.settings import Experiment

MEASURED = ("stage1", "stage2", "sample")


def command(arguments: Sequence[str]) -> None:
    """Prints the plan; with `--measure` what a step here needs, beside it."""
    parser = commands.Parser("attnzoo.plan", description="Work out what a run needs.")
    parser.add_argument(
        "setting", nargs="*", help="settings as of attnzoo.run: +preset=paper attn=stsa"
    )
    parser.add_argument(
        "--gpu", action="append", metavar="NAME", help="a GPU of the table; may be given again"
    )
    parser.add_argument(
        "--utilisation",
        type=float,
        metavar="SHARE",
        help="of a GPU's peak that is assumed to be reached (0.35)",
    )
    parser.add_argument(
        "--measure",
        action="append",
        choices=MEASURED,
        default=[],
        help="run one such step on this machine, on random weights, instead of printing the plan; "
        "may be given again",
    )
    parser.add_argument(
        "--cold",
        action="store_true",
        help="with --measure: the first pass, where one to warm up takes too long",
    )
    parser.add_argument(
        "--update",
        action="store_true",
        help="with --measure: the optimiser's and the averages' step, too",
    )
    parser.add_argument(
        "--whole",
        action="store_true",
        help="with --measure: layers called whole, as on a GPU, where a CPU works piece by piece",
    )
    parser.add_argument(
        "--out",
        type=Path,
        metavar="FILE",
        help="with --measure: adds a line of JSON for each, with command, machine and versions",
    )
    given = parser.parse_intermixed_args(list(arguments))
    if given.measure and (given.gpu or given.utilisation is not None):
        raise UserError("--gpu, --utilisation: of use without --measure, which runs a step here")
    utilisation = 0.35 if given.utilisation is None else given.utilisation
    if not 0 < utilisation <= 1:
        raise UserError(f"--utilisation {utilisation}: must be above 0 and at most 1")
    if not given.measure and (given.cold or given.update or given.whole or given.out):
        raise UserError("--cold, --update, --whole, --out: of use with --measure alone")
    cfg = composed(given.setting)
    from attnzoo.planning.gpus import gpu

    gpus = [gpu(name) for name in given.gpu or ["H200"]]
    _without_data(cfg)
    experiment = config.experiment_of(cfg)
    experiment.check()
    _check_data(cfg, experiment)
    from attnzoo.train.experiment import check_variant

    check_variant(experiment, cfg.data.frames)
    sizes = _sizes(cfg, experiment.training.batch)
    if given.measure:
        from attnzoo.planning.measured import measured
        from attnzoo.planning.notes import check_notes, note

        if given.out is not None:
            check_notes(given.out)
        for what in given.measure:
            how = {"cold": given.cold, "update": given.update, "whole": given.whole}
            found = measured(experiment, sizes, what, **how)
            print(found, flush=True)
            if given.out is not None:
                note(given.out, shlex.join(["attnzoo.plan", *arguments]), experiment, sizes, found)
        return
    from attnzoo.planning.plan import plan
    from attnzoo.planning.report import report

    print(report(plan(experiment, sizes), gpus, utilisation))


def _without_data(cfg: DictConfig) -> None:
    """Sizes are all that counts of the data: where they lie may be left out."""
    for key in cfg.data:
        if OmegaConf.is_missing(cfg.data, key):
            cfg.data[key] = "(not given)"


def _check_data(cfg: DictConfig, experiment: Experiment) -> None:
    """UserError for sizes and flow that data cannot have; the embedded ones say so when opened."""
    if cfg.data.name == "embedded":
        return
    from attnzoo.data.flow_settings import FlowSource
    from attnzoo.data.flow_source import with_flow
    from attnzoo.data.source import Source
    from attnzoo.data.windows import check_numbers

    data = cfg.data
    check_numbers(data.size, data.frames, data.get("stride", 1))
    if experiment.flow is not FlowSource.raft:  # whose weights may be elsewhere
        unread = Source(data.name, data.frames, data.size, [], [], {}, FlowSource.classical)
        with_flow(unread, experiment.flow, experiment.motion, tried=True)


def _sizes(cfg: DictConfig, batch: int) -> Sizes:
    from attnzoo.planning.trace import Sizes

    return Sizes(batch, cfg.data.frames, cfg.data.size, _mask(cfg, batch))


def _mask(cfg: DictConfig, batch: int) -> Tensor:
    """Where the persons are: the embedded dancers' first one; elsewhere it may be everywhere."""
    import torch

    if cfg.data.name == "embedded":
        mask = config.source_of(cfg).train[0].mask[None]
    else:
        mask = torch.ones(1, 1, cfg.data.size, cfg.data.size)
    return mask.repeat(batch, 1, 1, 1)


def main(arguments: Sequence[str] | None = None) -> None:
    """The command, with its exit status."""
    commands.execute(command, arguments)


if __name__ == "__main__":
    main()
