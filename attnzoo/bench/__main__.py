"""`python -m attnzoo.bench attn=stsa,temporal frames=8,16,32`: what variants cost.

Settings are given as key=value in Hydra's grammar; a comma makes a grid, which is expanded here.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

from attnzoo import commands, grammar
from attnzoo.bench.settings import SuiteOptions, one_of, single
from attnzoo.overrides import plugins_of

SUITES = ("grid", "mechanisms", "unet")

WORSE = 1
"""Exit status of a run that is worse than what it is compared with."""


HELP = """\
usage: python -m attnzoo.bench [KEY=VALUE[,VALUE...] ...]

What variants cost: time in interleaved rounds, peak memory, FLOPs, bytes, share of the roofline.
A comma makes a grid of all combinations; quotes keep lists: 'size=[4,4,4],[8,4,4]'.

the grid
  attn=NAME           variants, also glob(crossframe*); all without it
  OPTION=VALUE        options of the variants, such as size=, bias=, backend=
  what=               module, level (of the U-Net), unet, training (steps); the default is these
                      four; flow, maps (once a clip)
  frames=16 resolution=32 batch=1       frames, tokens' (latents') side or 32x48, clips
  channels=320 heads=8                  of modules alone
  unet=small|sd15     widths 64,128,256 or Stable Diffusion 1.5's
  dtype=fp32          fp32, bf16, fp16
  backward=false,true forward, forward with backward (modules); compile=false
  peers=              peers by name, true for all, null for none

how it is measured
  rounds=30 limit=120 width=0.02        at most so many rounds, seconds, until +-2 %
  longest=60 memory=GiB                 no cell takes longer a run, or more memory
  steps=50            denoising steps, over which what is done once a clip is spread
  threads= device=cpu quick=true aa=true (each cell twice)

what becomes of it
  out=FILE.jsonl      rows, and FILE.csv; the same command goes on where it was killed
  fresh=true          measures what FILE holds already
  plots=FOLDER        pictures
  against=REF.jsonl   compares with an earlier run, exits 1 if anything is worse
  base=GITREF         measures a commit in turns with this tree, exits 1 if anything is worse
  +plugins=[FILE.py]  your own variants

suites
  suite=unet          whole U-Nets, and the ratios to diffusers' that the package wants to hold
  suite=mechanisms    modules against other implementations, over their projections"""


def command(arguments: Sequence[str]) -> None:
    """Measures what the arguments describe."""
    if any(text in ("-h", "--help", "help") for text in arguments):
        print(HELP)
        return
    given = dict(grammar.given(arguments))
    suite = one_of("suite", single(given, "suite", "grid"), SUITES)
    given.pop("suite", None)
    resumes = suite != "mechanisms" and "base" not in given
    with commands.going_on(commands.SAME_COMMAND if resumes else "what was measured is lost"):
        _measure(suite, given, arguments)


def _measure(suite: str, given: dict[str, Sequence[Any]], arguments: Sequence[str]) -> None:
    if suite == "mechanisms":
        from attnzoo.bench import mechanisms

        mechanisms.run(SuiteOptions.of(given, suite))
        return
    if suite == "unet":
        from attnzoo.bench import goals

        goals.run(given)
        return
    from attnzoo.bench.run import run, settings_of

    if not run(settings_of(given, plugins_of(arguments))):
        sys.exit(WORSE)


def main(arguments: Sequence[str] | None = None) -> None:
    """The command, with its exit status."""
    commands.execute(command, arguments)


if __name__ == "__main__":
    main()
