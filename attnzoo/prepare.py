"""`python -m attnzoo.prepare data=tiktok data.path=TikTok/ data.prepared=FOLDER ...`: once for all.

Takes the settings of `attnzoo.run` and computes what training needs of every clip and never
changes: latents, image embeddings, motion flow. The same settings to `attnzoo.run` then read it.
Killed, it goes on where it was; started twice, two processes share the work.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence

from attnzoo import commands, config
from attnzoo.composing import composed
from attnzoo.errors import UserError
from attnzoo.paths import typed


def command(arguments: Sequence[str]) -> None:
    """Fills the folder that `data.prepared` names, and says what was done."""
    parser = commands.Parser(
        "attnzoo.prepare",
        description="Compute latents, image embeddings and motion flow of training clips once.",
    )
    parser.add_argument(
        "setting", nargs="*", help="settings as of attnzoo.run, data.prepared=FOLDER among them"
    )
    given = parser.parse_intermixed_args(list(arguments))
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    cfg = composed(given.setting)
    experiment = config.experiment_of(cfg)
    experiment.check()
    if "prepared" not in cfg.data:
        raise UserError(
            f"data={cfg.data.name}: its clips are drawn and not read, so there is nothing to "
            "prepare; data=tiktok and data=video have data.prepared=FOLDER"
        )
    if cfg.data.prepared is None:
        raise UserError("data.prepared=FOLDER is needed: where to put what is computed")
    experiment.model.check()
    from attnzoo.train.device import check_machine

    check_machine(experiment)
    source = config.source_of(cfg, prepared=False)
    from attnzoo.preparation.prepare import prepare
    from attnzoo.train import experiment as training

    training.check(experiment, source)
    started = time.perf_counter()
    folder = typed(cfg.data.prepared, f"data.prepared={cfg.data.prepared}")
    with commands.going_on(commands.SAME_COMMAND):
        done = prepare(experiment, source, folder)
    rebuilt = f" ({done.rebuilt} of them anew: they were damaged)" if done.rebuilt else ""
    print(
        f"{cfg.data.prepared}: {done.windows} windows of {source.frames} frames; {done.made} items "
        f"made{rebuilt}, {done.kept} were there; {time.perf_counter() - started:.1f} s"
    )


def main(arguments: Sequence[str] | None = None) -> None:
    """The command, with its exit status."""
    commands.execute(command, arguments)


if __name__ == "__main__":
    main()
